"""One case per ratio: it makes the tensors, asserts equal results, then gives two callables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from checks import check_chain, check_half, check_step
from inputs import REAL, make
from suite import (
    BATCH,
    BESIDE,
    BIASED,
    COLD,
    GRID,
    HOT,
    KINDS,
    SETS,
    THREADS,
    VOCAB,
    VOCAB_GRID,
    adaptor,
    sorts,
)
from torch import Tensor

import aligndec as ad

__all__ = ["Case", "cases"]

Call = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """Ours against a baseline; `build` returns None when its logits are not available."""

    section: str
    adaptor: str
    logits: str
    shape: tuple[int, int]
    threads: int
    against: str
    build: Callable[[], tuple[Call, Call] | None]

    def __str__(self) -> str:
        words = (self.section, self.adaptor, self.logits, "x".join(map(str, self.shape)))
        return " | ".join((*words, f"{self.threads} threads", self.against))


def _sampler(logits: Tensor, chosen: ad.Adaptor) -> Call:
    """A step of a decoding loop: the sums of the strings are kept."""
    state = ad.SequenceState.start(len(logits))
    return lambda: ad.sample(logits, chosen, state=state)


def _log_softmax(kind: str, tau: float, logits: str, shape: tuple[int, int], **layout: object):
    def build() -> tuple[Call, Call] | None:
        x = make(logits, *shape, **layout)
        if x is None:
            return None
        check_step(x, kind, tau, tied="values" in layout)
        return _sampler(x, adaptor(kind, tau)), lambda: torch.log_softmax(x, -1)

    return build


def _beside(chosen: ad.Adaptor, other: ad.Adaptor, logits: str, shape: tuple[int, int]):
    def build() -> tuple[Call, Call] | None:
        x = make(logits, *shape)
        if x is None:
            return None
        for one in (chosen, other):  # both report the model's own law of their token
            step = ad.sample(x, one, positions=0)
            torch.testing.assert_close(step.log_p, ad.score(x, step.token).log_p)
        return _sampler(x, chosen), _sampler(x, other)

    return build


def _with_sets(chosen: ad.Adaptor, logits: str, shape: tuple[int, int]):
    def build() -> tuple[Call, Call] | None:
        x = make(logits, *shape)
        if x is None:
            return None
        step, sets = ad.sample_with_sets(x, chosen, positions=0, max_ids=SETS)
        plain, mask = ad.sample(x, chosen, positions=0), ad.kept_mask(x, chosen)
        if not torch.equal(step.token, plain.token) or int(plain.n_kept.max()) > SETS:
            raise AssertionError(f"{chosen}: tokens differ, or sets are larger than {SETS}")
        if not torch.equal(sets.mask(shape[1]), mask):
            raise AssertionError(f"{chosen}: sets differ from kept_mask")
        state = ad.SequenceState.start(len(x))
        return (
            lambda: ad.sample_with_sets(x, chosen, state=state, max_ids=SETS),
            _sampler(x, chosen),
        )

    return build


def _with_bias(chosen: ad.Adaptor, logits: str, shape: tuple[int, int]):
    def build() -> tuple[Call, Call] | None:
        x = make(logits, *shape)
        if x is None:
            return None
        g, rows = torch.Generator().manual_seed(1), shape[0]
        ids = torch.stack([torch.randperm(shape[1], generator=g)[:BIASED] for _ in range(rows)])
        ids, values = ids.sort(1).values, torch.randn(rows, BIASED, generator=g)
        z = x.clone().scatter_add_(1, ids, values)
        starts = torch.arange(rows + 1) * BIASED
        bias = ad.LogitBias(ids.int().reshape(-1), starts, values.reshape(-1))
        edited, plain = (
            ad.sample(x, chosen, positions=0, bias=bias),
            ad.sample(z, chosen, positions=0),
        )
        if not torch.equal(edited.token, plain.token):
            raise AssertionError(f"{chosen}: tokens differ from those of edited logits")
        state = ad.SequenceState.start(rows)
        return lambda: ad.sample(x, chosen, state=state, bias=bias), _sampler(x, chosen)

    return build


def _half(kind: str, dtype: torch.dtype, shape: tuple[int, int]):
    def build() -> tuple[Call, Call]:
        low, full = (make("N(0,3)", *shape, t, values=dtype) for t in (dtype, torch.float32))
        check_half(low, full, kind)
        return _sampler(low, adaptor(kind)), _sampler(full, adaptor(kind))

    return build


def _eager(kind: str, logits: str, shape: tuple[int, int], compiled: bool = False):
    def build() -> tuple[Call, Call] | None:
        from eager import EagerChain

        x = make(logits, *shape)
        if x is None:
            return None
        chain = EagerChain(KINDS[kind], shape[0])
        check_chain(x, kind, chain)
        run = torch.compile(chain.__call__, dynamic=False) if compiled else chain
        if compiled:
            torch.compiler.reset()
            check_chain(x, kind, run)
        return _sampler(x, adaptor(kind)), lambda: run(x)

    return build


def _grid(logits: str, shape: tuple[int, int]):
    def build() -> tuple[Call, Call] | None:
        x = make(logits, *shape)
        if x is None:
            return None
        tokens = x.argmax(-1)
        one, many = ad.score_grid(x, tokens, GRID), [ad.score(x, tokens, a) for a in GRID]
        for name, field in one._asdict().items():
            torch.testing.assert_close(
                *(field, torch.stack([getattr(step, name) for step in many])),
                **{"rtol": 0.0, "atol": 0.0, "equal_nan": True},
            )
        return (
            lambda: ad.score_grid(x, tokens, GRID),
            lambda: [ad.score(x, tokens, a) for a in GRID],
        )

    return build


def cases(*, compiled: bool = False) -> Iterator[Case]:
    """Every ratio of the CPU, thread count by thread count; `compiled` adds torch.compile."""
    batch, one, real = (BATCH, VOCAB), (1, VOCAB), (BATCH, VOCAB_GRID)
    rounded = {"values": torch.bfloat16}
    sources = [("N(0,3)", batch, {}), ("N(0,1)", batch, {}), ("N(0,3)", batch, rounded)]
    sources.append((REAL, real, {}))
    softmax = "torch.log_softmax"
    for threads in THREADS:
        for logits, shape, layout in sources:
            label = f"{logits} in bf16 values" if layout else logits
            for kind in KINDS:
                near = (kind, label, shape, threads, softmax)
                section = "sample, sorted" if sorts(kind) or "+" in kind else "sample"
                yield Case(section, *near, _log_softmax(kind, 1.0, logits, shape, **layout))
            for kind in KINDS if not layout else ():
                for tau in (COLD, HOT):
                    near = (f"{kind}, temperature {tau}", label, shape, threads, softmax)
                    call = _log_softmax(kind, tau, logits, shape, **layout)
                    yield Case("sample, temperature", *near, call)
        for logits in ("N(0,3)", "N(0,1)"):
            for kind, other in BESIDE.items():
                for tau in (1.0, HOT):
                    name = kind if tau == 1.0 else f"{kind}, temperature {tau}"
                    call = _beside(adaptor(kind, tau), adaptor(other, tau), logits, batch)
                    section = f"sample, beside {other}"
                    yield Case(section, name, logits, batch, threads, other, call)
            given = ad.Adaptor(temperature=HOT, **KINDS["min_p"])
            found = ad.Adaptor(dynamic_temperature=(HOT, HOT, 1.0), **KINDS["min_p"])
            near = ("dynamic temperature, min_p", logits, batch, threads, f"temperature {HOT}")
            yield Case("sample, beside min_p", *near, _beside(found, given, logits, batch))
        for name, value in (("top_k", 1500), ("top_p", 0.7), ("min_p", 0.05)):
            near = (f"{name} {value}", "N(0,3)", batch, threads)
            call = _with_sets(ad.Adaptor(**{name: value}), "N(0,3)", batch)
            yield Case("sample, sets", *near, "sample", call)
        for kind in ("top_k", "top_p", "min_p"):
            for logits in ("N(0,3)", "N(0,1)"):
                call = _with_bias(adaptor(kind), logits, batch)
                yield Case("sample, bias", kind, logits, batch, threads, "without", call)
        for kind in KINDS:
            for dtype in (torch.bfloat16, torch.float16):
                name = str(dtype).removeprefix("torch.")
                near = (kind, f"N(0,3) {name}", batch, threads, "float32")
                yield Case("sample, half", *near, _half(kind, dtype, batch))
        for kind in KINDS:
            near = (kind, "N(0,3)", one, threads)
            call = _log_softmax(kind, 1.0, "N(0,3)", one)
            yield Case("sample, one row", *near, softmax, call)
            yield Case("eager, one row", *near, "eager", _eager(kind, "N(0,3)", one))
        for logits, shape in (("N(0,3)", real), (REAL, real)):
            near = (f"{len(GRID)} adaptors", logits, shape, threads)
            yield Case("score_grid", *near, f"{len(GRID)} x score", _grid(logits, shape))
        for kind in KINDS:
            section = "eager, sorted" if sorts(kind) else "eager"
            near = (section, kind, "N(0,3)", batch, threads)
            yield Case(*near, "eager", _eager(kind, "N(0,3)", batch))
            if compiled:
                call = _eager(kind, "N(0,3)", batch, compiled=True)
                yield Case(*near, "torch.compile of eager", call)
