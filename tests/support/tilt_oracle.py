"""Tilting in 60 decimal digits, and rows to try it on."""

from collections.abc import Sequence

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from torch import Tensor

QUICK = settings(
    deadline=None,
    max_examples=25,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
mp.dps = 60


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Exact:
    """One row in exact arithmetic: what the float64 inputs mean."""

    def __init__(self, log_p: Sequence[float], r: Sequence[float]) -> None:
        pairs = [(mpf(a), mpf(b)) for a, b in zip(log_p, r, strict=True) if a > -float("inf")]
        top = max(a for a, _ in pairs)
        weights = [mp.exp(a - top) for a, _ in pairs]
        total = mp.fsum(weights)
        self.p, self.r = [w / total for w in weights], [b for _, b in pairs]

    @property
    def log_live(self) -> mpf:
        """ln p{r > −inf}."""
        return mp.log(mp.fsum(a for a, b in zip(self.p, self.r, strict=True) if b > -mp.inf))

    def law(self, beta: mpf) -> list[mpf]:
        live = [b for b in self.r if b > -mp.inf]
        best = max(live)
        w = [
            a * mp.exp(beta * (b - best)) if b > -mp.inf else mpf(0)
            for a, b in zip(self.p, self.r, strict=True)
        ]
        total = mp.fsum(w)
        return [x / total for x in w]

    def kl(self, beta: mpf) -> mpf:
        q = self.law(beta)
        return mp.fsum(x * mp.log(x / a) for x, a in zip(q, self.p, strict=True) if x > 0)

    def reverse_kl(self, beta: mpf) -> mpf:
        q = self.law(beta)
        return mp.fsum(a * mp.log(a / x) for x, a in zip(q, self.p, strict=True))

    def reward(self, beta: mpf) -> mpf:
        return mp.fsum(x * b for x, b in zip(self.law(beta), self.r, strict=True) if x > 0)

    @property
    def kl_max(self) -> mpf:
        best = max(self.r)
        return -mp.log(mp.fsum(a for a, b in zip(self.p, self.r, strict=True) if b == best))

    def beta(self, kl: float, near: float) -> mpf:
        """The root of kl(beta) = kl next to `near`."""
        start = mpf(near)
        ends = start * (1 - mpf(10) ** -7), start * (1 + mpf(10) ** -7)
        return mp.findroot(lambda b: self.kl(b) - mpf(kl), ends, solver="secant", tol=1e-90)


@st.composite
def rows(draw: st.DrawFn, most: int = 9) -> tuple[Tensor, Tensor]:
    """ln p and r of one row with at least two different rewards; ties are frequent."""
    n = draw(st.integers(2, most))
    log_p = draw(st.lists(st.floats(-12, 0), min_size=n, max_size=n))
    pool = draw(st.lists(st.integers(-20, 20), min_size=2, max_size=n, unique=True))
    index = draw(st.lists(st.integers(0, len(pool) - 1), min_size=n - 2, max_size=n - 2))
    scale = draw(st.sampled_from([1.0, 0.1, 0.37]))
    r = doubles(*(pool[i] * scale for i in (0, 1, *index)))
    return doubles(*log_p).log_softmax(0), r
