"""The rows of the table of a GPU, in the order of their worth: a run may be stopped any time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import bench_tilt
import torch
from gpu_clock import in_graph, on_stream
from gpu_peers import PEERS
from inputs import make
from interleave import wall
from report import gpu
from suite import BATCH, COLD, GRID, KINDS, LIMITS, VOCAB, VOCAB_GRID, Limit, adaptor
from torch import Tensor

import aligndec as ad
from aligndec import tilting

__all__ = ["DRY", "Case", "Place", "cases", "sampler"]

LIMITS |= {
    "cuda, one row": Limit("<=", 1.0),  # of 12 us
    "cuda, roofline": Limit(">=", 0.45),
    "cuda, roofline, half": Limit(">=", 0.30),
    "cuda, roofline, many rows": Limit(">=", 0.50),
    "cuda, eager": Limit(">=", 30.0),
    "cuda, torch.compile": Limit(">=", 1.0),
    "cuda, FlashInfer": Limit(">=", 2.0),
    "cuda, Triton": Limit(">=", 2.0),
    "cuda, score_grid": Limit("<=", 0.2),
    "cuda, solve_beta_for_kl": Limit(">=", 5.0),
}
ONE_ROW = 12e-6
CHECKED = 8
DTYPES = {torch.float32: "", torch.bfloat16: " bfloat16"}
EXACT = ("token", "n_kept", "status")

Seconds = Callable[[], float]
Call = Callable[[], object]


@dataclass(frozen=True)
class Place:
    """Where cases run: a GPU at full size, or the CPU at a small one to try the code."""

    device: str = "cuda"
    vocab: int = VOCAB
    vocab_grid: int = VOCAB_GRID
    batch: int = BATCH
    rows: int = 128
    many_rows: int = 512
    tilts: tuple[tuple[int, int], ...] = tuple(bench_tilt.SHAPES)
    compiler: str = "inductor"  # of torch.compile

    def in_graph(self, call: Call, *, cold: bool) -> Seconds:
        return in_graph(call, cold=cold) if self.device == "cuda" else lambda: wall(call)

    def on_stream(self, call: Call, *, cold: bool) -> Seconds:
        return on_stream(call, cold=cold) if self.device == "cuda" else lambda: wall(call)

    @property
    def bytes_per_second(self) -> float:
        return gpu()["gpu_bytes_per_second"] if self.device == "cuda" else 1e10

    def logits(
        self, rows: int, vocab: int | None = None, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Gaussian logits; up to `rows` rows are the first ones of one batch."""
        whole = make("N(0,3)", max(rows, self.rows), vocab or self.vocab)
        assert whole is not None
        return whole[:rows].to(dtype).to(self.device)


DRY = Place("cpu", 500, 300, 2, 3, 5, ((3, 40),), "eager")


@dataclass(frozen=True)
class Case:
    """One row of the table; `build` gives our clock and theirs, or theirs in seconds."""

    section: str
    adaptor: str
    logits: str
    shape: tuple[int, int]
    against: str
    build: Callable[[], tuple[Seconds, Seconds | float]]

    @property
    def key(self) -> tuple[str, str, str, tuple[int, int], str]:
        return self.section, self.adaptor, self.logits, self.shape, self.against

    def __str__(self) -> str:
        words = (self.section, self.adaptor, self.logits, "x".join(map(str, self.shape)))
        return " | ".join((*words, self.against))


def sampler(logits: Tensor, chosen: ad.Adaptor) -> Call:
    """A step of a decoding loop, checked against the CPU kernel first."""
    device = logits.device
    here, state = logits[:CHECKED].cpu(), ad.SequenceState.start(len(logits), device=device)
    packed = ad.pack(chosen, len(logits), device=device)
    mine, other = ad.sample(logits, packed, positions=5), ad.sample(here, chosen, positions=5)
    for name in EXACT:
        a, b = getattr(mine, name)[:CHECKED].cpu(), getattr(other, name)
        if not torch.equal(a, b):
            raise AssertionError(f"{chosen}: {name} on CUDA {a.tolist()}, on the CPU {b.tolist()}")
    return lambda: ad.sample(logits, packed, state=state)


def absolute(
    at: Place,
    kind: str,
    tau: float,
    rows: int,
    dtype: torch.dtype = torch.float32,
    cold: bool = True,
) -> Case:
    """Seconds of one step inside a graph against a bound that is a number."""

    def build() -> tuple[Seconds, float]:
        logits = at.logits(rows, dtype=dtype)
        clock = at.in_graph(sampler(logits, adaptor(kind, tau)), cold=cold)
        return clock, ONE_ROW if rows == 1 else logits.nbytes / at.bytes_per_second

    section = "one row" if rows == 1 else "roofline, many rows" if rows > at.rows else "roofline"
    section += ", half" if section == "roofline" and dtype != torch.float32 else ""
    name = kind if tau == 1.0 else f"{kind}, temperature {tau}"
    logits = f"N(0,3){DTYPES[dtype]}, L2 {'cold' if cold else 'warm'}"
    against = "12 us" if rows == 1 else "one read"
    return Case(f"cuda, {section}", name, logits, (rows, at.vocab), against, build)


def against_eager(at: Place, kind: str, compiled: bool) -> Case:
    """Both on the stream: transformers' chain waits for the device, so no graph holds it."""

    def build() -> tuple[Seconds, Seconds]:
        from eager import EagerChain

        logits = at.logits(at.batch)
        chain = EagerChain(KINDS[kind], at.batch, at.device)
        run = chain
        if compiled:
            run = torch.compile(chain.__call__, dynamic=False, backend=at.compiler)
        ours = sampler(logits, adaptor(kind))
        return at.on_stream(ours, cold=True), at.on_stream(lambda: run(logits), cold=True)

    against = "torch.compile of eager" if compiled else "eager"
    section = f"cuda, {against.removesuffix(' of eager')}"
    return Case(section, kind, "N(0,3), L2 cold", (at.batch, at.vocab), against, build)


def against_peers(at: Place, rows: int) -> Iterator[Case]:
    """Both on the stream, since some of theirs wait for the device."""
    for name, chosen, peer in PEERS:

        def build(chosen=chosen, peer=peer) -> tuple[Seconds, Seconds]:
            logits = at.logits(rows)
            theirs = at.on_stream(peer(logits, chosen), cold=True)
            return at.on_stream(sampler(logits, chosen), cold=True), theirs

        cut = "top_k+top_p" if chosen.top_k else "top_p"
        section = f"cuda, {name.split(',')[0].split(' of ')[0]}"
        yield Case(section, cut, "N(0,3), L2 cold", (rows, at.vocab), name, build)


def grid(at: Place) -> Case:
    """Many adaptors in one read against one read each."""

    def build() -> tuple[Seconds, Seconds]:
        logits = at.logits(at.batch, at.vocab_grid)
        tokens, packed = logits.argmax(-1), ad.pack(GRID, len(GRID), device=at.device)
        each = [ad.pack(a, at.batch, device=at.device) for a in GRID]
        ours = at.in_graph(lambda: ad.score_grid(logits, tokens, packed), cold=True)
        return ours, at.in_graph(lambda: [ad.score(logits, tokens, a) for a in each], cold=True)

    name, against = f"{len(GRID)} adaptors", f"{len(GRID)} x score"
    return Case("cuda, score_grid", name, "N(0,3)", (at.batch, at.vocab_grid), against, build)


def tilts(at: Place, shape: tuple[int, int]) -> Case:
    """Both with the checks of their arguments, which wait for the device."""

    def build() -> tuple[Seconds, Seconds]:
        log_p, r, kl, iterations = bench_tilt.problem(shape, at.device)
        ours = at.on_stream(lambda: tilting.solve_beta_for_kl(log_p, r, kl), cold=True)
        return ours, at.on_stream(lambda: bench_tilt.eager(log_p, r, kl, iterations), cold=True)

    name, rows = "solve_beta_for_kl", "N(0,3), L2 cold"
    return Case(f"cuda, {name}", "the same iterations", rows, shape, "eager", build)


def cases(at: Place = Place()) -> list[Case]:
    """Every row of the table once: what decides first, what takes long last."""
    listed = [absolute(at, "top_p", 1.0, at.rows), *against_peers(at, at.rows)]
    listed += [absolute(at, "top_p", 1.0, rows) for rows in (1, at.many_rows)]
    listed += [absolute(at, kind, 1.0, at.rows) for kind in KINDS]
    listed += [against_eager(at, "top_p", False), grid(at), *map(lambda s: tilts(at, s), at.tilts)]
    for rows in (1, at.rows, at.many_rows):
        for dtype in DTYPES if rows <= at.rows else (torch.float32,):
            listed += [absolute(at, kind, 1.0, rows, dtype) for kind in KINDS]
            listed.append(absolute(at, "top_p", COLD, rows, dtype))
            listed.append(absolute(at, "top_p", 1.0, rows, dtype, cold=False))
    for rows in (1, at.batch):
        listed += against_peers(at, rows)
    listed += [against_eager(at, kind, False) for kind in KINDS]
    listed += [against_eager(at, kind, True) for kind in KINDS]  # compiling takes long
    return list({case.key: case for case in reversed(listed)}.values())[::-1]
