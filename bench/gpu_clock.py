"""Time on a GPU: CUDA events around one call, inside a captured graph where it can be captured.

A graph takes the host out of the measurement; a call that waits for the device (eager sampling
does) cannot be captured and is timed on the stream, launches and waits included. "cold" reads a
buffer of twice the L2 cache before the call. It is only read: lines that were written would go
back to memory while the call is timed.
"""

from collections.abc import Callable

import torch
from report import gpu

__all__ = ["in_graph", "on_stream"]

WARM_UP = 3
MEGABYTE = 1 << 20

Call = Callable[[], object]


def _prelude(call: Call, cold: bool) -> Call:
    """What comes before the timed call: the cache is flushed, or filled by the call itself."""
    if not cold:
        return call
    size = max(2 * gpu()["gpu_l2"], 64 * MEGABYTE) // 4
    clean = torch.zeros(size, dtype=torch.float32, device="cuda")
    return clean.amax


def in_graph(call: Call, *, cold: bool) -> Callable[[], float]:
    """Return a function that replays `call` once and gives its seconds on the GPU."""
    begin, end = (torch.cuda.Event(enable_timing=True, external=True) for _ in range(2))
    before = _prelude(call, cold)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        before()
        begin.record()
        call()
        end.record()

    def replay() -> float:
        graph.replay()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) * 1e-3

    return replay


def on_stream(call: Call, *, cold: bool) -> Callable[[], float]:
    """Return a function that runs `call` once and gives its seconds between two events."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before = _prelude(call, cold)
    for _ in range(WARM_UP):
        call()

    def run() -> float:
        before()
        # The host then runs ahead of the device no more than it does in a decoding loop.
        torch.cuda.synchronize()
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3

    return run
