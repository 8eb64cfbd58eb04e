"""Peak memory of one call, in a process of its own: high-water mark of the resident set.

    python bench/memory.py sample top_p 256 128256 2

prints the bytes that the call added to the resident set at its peak. The mark is the kernel's
(Linux), so it sees every allocator.
"""

import subprocess
import sys
from pathlib import Path

__all__ = ["added_bytes", "supported"]


def supported() -> bool:
    return Path("/proc/self/clear_refs").exists()


def added_bytes(function: str, kind: str, batch: int, vocab: int, threads: int) -> int:
    """Run the probe below in a fresh process."""
    arguments = [function, kind, str(batch), str(vocab), str(threads)]
    command = [sys.executable, __file__, *arguments]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in status if line.startswith(field)).split()[1])


def _probe(function: str, kind: str, batch: int, vocab: int, threads: int) -> int:
    import torch
    from suite import GRID, adaptor

    import aligndec as ad

    torch.set_num_threads(threads)

    def call(logits: torch.Tensor) -> object:
        tokens = torch.zeros(len(logits), dtype=torch.int64)
        if function == "eager":
            from eager import EagerChain
            from suite import KINDS

            return EagerChain(KINDS[kind], len(logits))(logits)
        if function == "sample":
            return ad.sample(logits, adaptor(kind), positions=0)
        if function == "score":
            return ad.score(logits, tokens, adaptor(kind))
        return ad.score_grid(logits, tokens, GRID)

    # Code, dispatcher and thread pool become resident; nothing as long as a row of the call does.
    call(torch.zeros(64, 257))
    torch.log_softmax(torch.zeros(64, 1024), -1)
    logits = torch.empty(batch, vocab).normal_(0.0, 3.0)
    Path("/proc/self/clear_refs").write_text("5")  # the mark starts again at the present size
    before = _resident("VmHWM")
    result = call(logits)
    after = _resident("VmHWM")
    del result
    return max(0, after - before)


if __name__ == "__main__":
    print(_probe(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])))
