"""`check_sampler`: which tests are made of a sampler's draws, and at which level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from aligndec.shared import at_least, real, run_seed, whole
from aligndec.step import Adaptor
from aligndec.testing.referee import statistics
from aligndec.testing.referee.collect import Caller, Draw, Draws, Seeding, collect, repeated
from aligndec.testing.referee.law import Law, law_of
from aligndec.testing.referee.report import SamplerReport, SamplerTest

__all__ = ["check_sampler"]

# Batches that are drawn again, in other ways.
_AGAIN = 4


def check_sampler(
    draw: Draw,
    logits: Tensor,
    adaptor: Adaptor | Sequence[Adaptor] = Adaptor(),
    *,
    draws: int = 20_000,
    alpha: float = 1e-3,
    batch_size: int = 256,
    seeding: Seeding = "row",
    by_row: bool = False,
    seed: int | None = None,
) -> SamplerReport:
    """Test whether a sampler draws from the law that an adaptor describes, row by row and jointly.

    For each row of logits: tokens outside of the support (none may be); Pearson's chi-square
    against the exact law, rare tokens pooled, its p simulated where cells are few; the mean
    surprise, which sees a wrong temperature soonest. For all rows: draws of one batch, and of
    successive calls, are uncorrelated in their places in the law; equal seeds give equal tokens;
    with a seed per row also in another order, in half of the batch and alone.

    Parameters
    ----------
    draw : callable
        `draw(logits [B, V], seeds) -> int64 [B]`, one token per row. It is called with batches that
        mix the rows of `logits`.
    logits : Tensor
        float [R, V] or [V], as the sampler sees them. Tests have power where several tokens have
        mass, and for ties where the cut of the law has some.
    adaptor : Adaptor or sequence of R
        The law that is claimed. Not mirostat, which has a history.
    draws : int
        Draws per row, at least.
    alpha : float
        Family-wise error in (0, 1): how often a right sampler fails, at most.
    batch_size : int
        B >= 2, in calls.
    seeding : {"row", "call", "none"}
        What `draw` receives as seeds: int64 [B], all different; one int; None, and then nothing
        about seeds is tested.
    by_row : bool
        `draw` receives row numbers int64 [B] in place of logits: for engines that make their own,
        of which `logits` is then the record.
    seed : int, optional
        Of the whole check, in [0, 2^31). None: fresh entropy, kept in the report.

    Returns
    -------
    SamplerReport
        `passed`, `tests`, `table()`, `to_json()`, `raise_if_failed()`.

    Examples
    --------
    >>> law = Adaptor(temperature=0.8, top_p=0.9)
    >>> def draw(logits, seeds):
    ...     return sample(logits, law, seed=seeds, positions=0).token
    >>> check_sampler(draw, logits, law).passed  # doctest: +SKIP
    True
    """
    rows, laws, named = _laws(logits, adaptor)
    at_least("check_sampler", 1, draws=draws)
    at_least("check_sampler", 2, batch_size=batch_size)
    if not 0 < real("check_sampler", "alpha", alpha) < 1:
        raise ValueError(f"check_sampler: alpha must be in (0, 1), got {alpha}")
    if seeding not in ("row", "call", "none"):
        raise ValueError(f"check_sampler: seeding must be row, call or none, got {seeding!r}")
    if not callable(draw):
        raise TypeError(f"check_sampler: draw must be callable, got {draw!r}")
    seed = run_seed("check_sampler", seed) % 2**31 if seed is None else _seed(seed)
    caller = Caller(draw, rows, by_row, seeding)
    drawn = collect(caller, len(rows), draws, batch_size, seed)
    tests = [*_of_rows(drawn, laws, seed), *_of_pairs(drawn, laws, seed)]
    if seeding != "none":
        tests += _of_seeds(caller, drawn, seeding)
    random = [test for test in tests if test.p is not None and test.name in _RANDOM]
    level = alpha / max(len(random), 1)
    judged = [
        replace(test, passed=test.passed if test.p is None else test.p > level) for test in tests
    ]
    return SamplerReport(tuple(judged), drawn.token.numel(), alpha, len(random), seed, named)


_SUPPORT, _LAW, _SURPRISE = "support", "law", "mean surprise"
_PAIRS = ("rows of a batch", "successive calls")
_RANDOM = frozenset({_LAW, _SURPRISE, *_PAIRS})
_LUMPY = "not made: the law is too concentrated for so few draws"


def _seed(seed: int) -> int:
    if not 0 <= whole("check_sampler", "seed", seed) < 2**31:
        raise ValueError(f"check_sampler: seed must be in [0, 2^31), got {seed}")
    return seed


def _laws(
    logits: Tensor, adaptor: Adaptor | Sequence[Adaptor]
) -> tuple[Tensor, list[Law], tuple[str, ...]]:
    """Check both and return logits [R, V], the laws and what they are called."""
    if not isinstance(logits, Tensor) or logits.dim() not in (1, 2) or 0 in logits.shape:
        got = list(logits.shape) if isinstance(logits, Tensor) else repr(logits)[:80]
        raise ValueError(f"check_sampler: logits must be [R, V] or [V], not empty, got {got}")
    rows = logits.detach()[None] if logits.dim() == 1 else logits.detach()
    listed = [adaptor] * len(rows) if isinstance(adaptor, Adaptor) else list(adaptor)
    if len(listed) != len(rows) or not all(isinstance(a, Adaptor) for a in listed):
        raise ValueError(
            f"check_sampler: adaptor must be an Adaptor or R = {len(rows)} of them, got {adaptor!r}"
        )
    if any(a.stateful for a in listed):
        raise ValueError(
            "check_sampler: adaptor must have no state (one step has one law), got mirostat"
        )
    laws = [law_of(row.cpu(), a) for row, a in zip(rows, listed, strict=True)]
    return rows, laws, tuple(map(repr, listed))


def _of_rows(drawn: Draws, laws: list[Law], seed: int) -> list[SamplerTest]:
    tests = []
    for row, law in enumerate(laws):
        token = drawn.token[drawn.row == row]
        counts = torch.bincount(token, minlength=len(law.probability)).double()
        outside = counts * (law.probability == 0)
        n, n_outside = len(token), int(outside.sum())
        note = f"token {int(outside.argmax())} and others" if n_outside else ""
        absent = float(n_outside == 0)
        tests.append(SamplerTest(_SUPPORT, row, n, n_outside, None, absent, True, note))
        statistic, df, p, source = statistics.chi_square(counts, law, seed)
        tests.append(SamplerTest(_LAW, row, n, statistic, df, p, True, source))
        inside = token[law.probability[token] > 0]
        z = statistics.mean_z(law.surprise[inside], law.surprise_kurtosis)
        tests.append(_of_z(_SURPRISE, row, n, z))
    return tests


def _of_pairs(drawn: Draws, laws: list[Law], seed: int) -> list[SamplerTest]:
    tests = []
    for name, both in statistics.pairs(drawn.row, drawn.token, seed).items():
        products, kurtosis = both.correlation(laws)
        tests.append(_of_z(name, None, len(products), statistics.mean_z(products, kurtosis)))
    return tests


def _of_z(name: str, row: int | None, n: int, z: float | None) -> SamplerTest:
    if z is None:
        return SamplerTest(name, row, n, 0.0, None, None, True, _LUMPY)
    return SamplerTest(name, row, n, z, None, statistics.two_sided(z), True, "normal")


def _of_seeds(caller: Caller, drawn: Draws, seeding: Seeding) -> list[SamplerTest]:
    names = {"seeds": "seeds honoured", "mates": "free of batch mates"}
    differ = repeated(caller, drawn, seeding, _AGAIN)
    n = min(_AGAIN, len(drawn.row)) * drawn.row.shape[1]
    return [
        SamplerTest(names[what], None, n, count, None, float(count == 0), True)
        for what, count in differ.items()
    ]
