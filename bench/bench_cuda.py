"""The fused step on a GPU: against the time to read the logits once, eager, FlashInfer; and tilts.

    python bench/bench_cuda.py --json bench/results/adaptor_step-cuda.json

Tokens, counts and status are compared with the CPU kernel's before anything is timed. The protocol
is in bench/README.md; without a GPU it says so and ends with 1.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import bench_tilt
import command
import pytest
import torch
from gpu_clock import in_graph, on_stream
from inputs import make
from interleave import REPEATS, Timing, interleave
from report import Load, Row, gpu
from suite import BATCH, COLD, GRID, KINDS, LIMITS, VOCAB, VOCAB_GRID, Limit, adaptor
from torch import Tensor

import aligndec as ad
from aligndec import tilting

LIMITS |= {
    "cuda, one row": Limit("<=", 1.0),  # of 12 us
    "cuda, roofline": Limit(">=", 0.45),
    "cuda, roofline, half": Limit(">=", 0.30),
    "cuda, roofline, many rows": Limit(">=", 0.50),
    "cuda, eager": Limit(">=", 30.0),
    "cuda, torch.compile": Limit(">=", 1.0),
    "cuda, FlashInfer": Limit(">=", 2.0),
    "cuda, score_grid": Limit("<=", 0.2),
    "cuda, solve_beta_for_kl": Limit(">=", 5.0),
}
ONE_ROW = 12e-6
ROWS, MANY_ROWS, CHECKED = 128, 512, 8
DTYPES = {torch.float32: "", torch.bfloat16: " bfloat16"}
EXACT = ("token", "n_kept", "status")

Seconds = Callable[[], float]


@dataclass(frozen=True)
class Case:
    """One row of the table; `build` gives our clock and theirs, or theirs in seconds."""

    section: str
    adaptor: str
    logits: str
    shape: tuple[int, int]
    against: str
    build: Callable[[], tuple[Seconds, Seconds | float]]

    def __str__(self) -> str:
        words = (self.section, self.adaptor, self.logits, "x".join(map(str, self.shape)))
        return " | ".join((*words, self.against))


def on_gpu(rows: int, vocab: int = VOCAB, dtype: torch.dtype = torch.float32) -> Tensor:
    """Gaussian logits on the GPU; up to 128 rows are the first ones of one batch."""
    whole = make("N(0,3)", max(rows, ROWS), vocab)
    assert whole is not None
    return whole[:rows].to(dtype).cuda()


def sampler(logits: Tensor, chosen: ad.Adaptor) -> Callable[[], object]:
    """A step of a decoding loop, checked against the CPU kernel first."""
    here, state = logits[:CHECKED].cpu(), ad.SequenceState.start(len(logits), device="cuda")
    packed = ad.pack(chosen, len(logits), device="cuda")
    mine, other = ad.sample(logits, packed, positions=5), ad.sample(here, chosen, positions=5)
    for name in EXACT:
        a, b = getattr(mine, name)[:CHECKED].cpu(), getattr(other, name)
        if not torch.equal(a, b):
            raise AssertionError(f"{chosen}: {name} on CUDA {a.tolist()}, on the CPU {b.tolist()}")
    return lambda: ad.sample(logits, packed, state=state)


def absolute(kind: str, tau: float, rows: int, dtype: torch.dtype, cold: bool) -> Case:
    """Seconds of one step inside a graph against a bound that is a number."""

    def build() -> tuple[Seconds, float]:
        logits = on_gpu(rows, dtype=dtype)
        bound = logits.nbytes / gpu()["gpu_bytes_per_second"]
        clock = in_graph(sampler(logits, adaptor(kind, tau)), cold=cold)
        return clock, ONE_ROW if rows == 1 else bound

    section = "one row" if rows == 1 else "roofline, many rows" if rows > ROWS else "roofline"
    section += ", half" if section == "roofline" and dtype != torch.float32 else ""
    name = kind if tau == 1.0 else f"{kind}, temperature {tau}"
    cache = "cold" if cold else "warm"
    against = "12 us" if rows == 1 else "one read"
    logits = f"N(0,3){DTYPES[dtype]}, L2 {cache}"
    return Case(f"cuda, {section}", name, logits, (rows, VOCAB), against, build)


def against_eager(kind: str, compiled: bool) -> Case:
    """Both on the stream: transformers' chain waits for the device, so no graph holds it."""

    def build() -> tuple[Seconds, Seconds]:
        from eager import EagerChain

        logits = on_gpu(BATCH)
        chain = EagerChain(KINDS[kind], BATCH, "cuda")
        run = torch.compile(chain.__call__, dynamic=False) if compiled else chain
        ours = sampler(logits, adaptor(kind))
        return on_stream(ours, cold=True), on_stream(lambda: run(logits), cold=True)

    against = "torch.compile of eager" if compiled else "eager"
    section = f"cuda, {against.removesuffix(' of eager')}"
    return Case(section, kind, "N(0,3), L2 cold", (BATCH, VOCAB), against, build)


def against_flashinfer(rows: int) -> Case:
    """Softmax and joint top-k, top-p: it returns the token alone."""
    chosen = ad.Adaptor(top_k=50, top_p=0.9)

    def build() -> tuple[Seconds, Seconds]:
        from flashinfer import sampling

        logits = on_gpu(rows)

        def theirs() -> object:
            probs = sampling.softmax(logits)
            k, p, order = chosen.top_k, chosen.top_p, "joint"
            return sampling.top_k_top_p_sampling_from_probs(probs, k, p, filter_apply_order=order)

        ours = on_stream(sampler(logits, chosen), cold=True)
        return ours, on_stream(theirs, cold=True)

    shape = (rows, VOCAB)
    return Case("cuda, FlashInfer", "top_k+top_p", "N(0,3), L2 cold", shape, "FlashInfer", build)


def grid() -> Case:
    """Many adaptors in one read against one read each."""

    def build() -> tuple[Seconds, Seconds]:
        logits = on_gpu(BATCH, VOCAB_GRID)
        tokens, packed = logits.argmax(-1), ad.pack(GRID, len(GRID), device="cuda")
        each = [ad.pack(a, BATCH, device="cuda") for a in GRID]
        ours = in_graph(lambda: ad.score_grid(logits, tokens, packed), cold=True)
        return ours, in_graph(lambda: [ad.score(logits, tokens, a) for a in each], cold=True)

    name, against = f"{len(GRID)} adaptors", f"{len(GRID)} x score"
    return Case("cuda, score_grid", name, "N(0,3)", (BATCH, VOCAB_GRID), against, build)


def tilts(shape: tuple[int, int]) -> Case:
    """Both with the checks of their arguments, which wait for the device."""

    def build() -> tuple[Seconds, Seconds]:
        log_p, r, kl, iterations = bench_tilt.problem(shape, "cuda")
        ours = on_stream(lambda: tilting.solve_beta_for_kl(log_p, r, kl), cold=True)
        return ours, on_stream(lambda: bench_tilt.eager(log_p, r, kl, iterations), cold=True)

    name, rows = "solve_beta_for_kl", "N(0,3), L2 cold"
    return Case(f"cuda, {name}", "the same iterations", rows, shape, "eager", build)


def cases(*, compiled: bool = False) -> Iterator[Case]:
    """Every row of the table; `compiled` adds torch.compile of the eager chain (slow)."""
    for rows in (1, ROWS, MANY_ROWS):
        for dtype in DTYPES if rows <= ROWS else (torch.float32,):
            for kind in KINDS:
                yield absolute(kind, 1.0, rows, dtype, True)
            yield absolute("top_p", COLD, rows, dtype, True)
            yield absolute("top_p", 1.0, rows, dtype, False)
    for kind in KINDS:
        yield against_eager(kind, False)
        if compiled:
            yield against_eager(kind, True)
    if importlib.util.find_spec("flashinfer"):
        yield from map(against_flashinfer, (1, BATCH, ROWS))
    yield grid()
    yield from map(tilts, bench_tilt.SHAPES)


def measure(case: Case, repeats: int = REPEATS) -> Row:
    """The row of one case; equal results were asserted while it was built."""
    ours, theirs = case.build()
    number = isinstance(theirs, float)
    clocks = {"ours": ours} if number else {"ours": ours, "theirs": theirs}
    times = interleave(clocks, repeats=repeats, seconds=0.05, clock=lambda call: call())
    if number:
        times["theirs"] = Timing(theirs, theirs, 1)
    place = (case.section, case.adaptor, case.logits, case.shape, 1, case.against)
    return Row.timed(*place, **times)


def measure_memory(kind: str) -> Row:
    """Bytes that one call allocates over the bytes of its logits."""
    logits = on_gpu(ROWS)
    call = sampler(logits, adaptor(kind))
    call()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    added, size = torch.cuda.max_memory_allocated() - before, logits.nbytes
    name = f"sample {kind}"
    return Row("memory", name, "N(0,3)", (ROWS, VOCAB), 1, "logits", added / size, added, size, 1)


def usable() -> bool:
    """Whether there is a GPU, and kernels for it."""
    return torch.cuda.is_available() and bool(ad.build_info()["cuda_architectures"])


@pytest.mark.cuda
@pytest.mark.skipif(not usable(), reason="no CUDA device, or no kernels for it")
@pytest.mark.parametrize("cuda_case", list(cases()), ids=str)
def test_time(cuda_case: Case, rows: list[Row]) -> None:
    with torch.inference_mode():
        rows.append(measure(cuda_case))


def main() -> int:
    parser = command.parser(__doc__, REPEATS, "turns per case")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile of the chain")
    options = parser.parse_args()
    if not usable():
        print("bench_cuda: a GPU and an extension with CUDA kernels must be there", file=sys.stderr)
        return 1
    load, rows = Load(), []
    with torch.inference_mode(), ad.use_backend("native"):
        for case in cases(compiled=options.compiled):
            if options.only in str(case):
                rows.append(measure(case, options.repeats))
        if options.only in "memory":
            rows += [measure_memory(kind) for kind in ("top_p", "typical_p")]
    return command.conclude(rows, load, options.json)


if __name__ == "__main__":
    sys.exit(main())
