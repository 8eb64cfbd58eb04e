"""Equality of results, asserted before anything is timed."""

import functools
from collections.abc import Callable

import torch
from suite import KINDS, adaptor
from torch import Tensor

import aligndec as ad

__all__ = ["check_chain", "check_half", "check_step"]

ROWS = 2
"""Rows on which kept sets are compared with the processors: rows do not know of each other."""
MASS, TIED_MASS = 1e-6, 2.0**-7
"""Mass by which the sets may differ; in bfloat16 values the tokens tied at the cut, all kept."""
FLOAT32, CUMULATED = 1e-4, 5e-3
"""Errors of log_softmax and of float32 cumulative sums over 10^5 tokens (the eager chain's)."""


def _equal(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    note = functools.partial("{}: {}".format, what)
    expected = expected.to(actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance, msg=note)


@functools.cache  # tensors hash by identity: both thread counts share the slow oracle
def _kept_law(logits: Tensor, kind: str, tau: float) -> Tensor:
    """log q of transformers' processors for the first rows, -inf outside of the kept set.

    In float64: in float32 their cumulative sums lose a thousandth of the mass.
    """
    from eager import processors

    scores = logits[:ROWS].double()
    for processor in processors(KINDS[kind], tau):
        scores = processor(None, scores)
    return torch.log_softmax(scores, -1)


def check_step(logits: Tensor, kind: str, tau: float, *, tied: bool = False) -> None:
    """`sample` against log_softmax on all rows and transformers' processors on the first ones."""
    chosen, tolerance = adaptor(kind, tau), TIED_MASS if tied else MASS
    step = ad.sample(logits, chosen, positions=0)
    at = step.token[:, None]
    log_p = torch.log_softmax(logits, -1).gather(1, at)[:, 0]
    _equal(step.log_p, log_p, FLOAT32, f"{chosen}: log_p")
    law, mask = _kept_law(logits, kind, tau), ad.kept_mask(logits[:ROWS], chosen)
    # A token that one side alone keeps has mass under the law of that side.
    own = (logits[:ROWS].double() / tau).masked_fill(~mask, -torch.inf).softmax(-1)
    differ = (law.exp() + own).where(mask != law.isfinite(), 0.0).sum(1)
    if bool((differ > tolerance).any()):
        raise AssertionError(f"{chosen}: kept sets differ by {differ.tolist()} of the mass")
    log_q = law.gather(1, at[:ROWS])[:, 0]
    agreed = log_q.isfinite()
    _equal(step.log_q[:ROWS][agreed], log_q[agreed], 2 * tolerance, f"{chosen}: log_q")


def check_half(low: Tensor, full: Tensor, kind: str) -> None:
    """Half logits have the results of their float32 values, bit for bit."""
    steps = [ad.sample(x, adaptor(kind), positions=0) for x in (low, full)]
    for name, actual, expected in zip(ad.Step._fields, *steps, strict=True):
        _equal(actual, expected, 0.0, f"{kind}: {name}")


def check_chain(logits: Tensor, kind: str, chain: Callable) -> None:
    """The numbers of the eager chain for its own tokens are those that `score` gives them."""
    token, log_p, log_q = chain(logits)
    step = ad.score(logits, token, adaptor(kind))
    inside = step.status == 0  # status 3: outside of our set
    if int((~inside).sum()) > 2:
        raise AssertionError(f"{kind}: {int((~inside).sum())} eager tokens are outside of our set")
    _equal(step.log_p, log_p, FLOAT32, f"{kind}: log_p")
    _equal(step.log_q[inside], log_q[inside], CUMULATED, f"{kind}: log_q")
