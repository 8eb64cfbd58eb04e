"""Rows that exercise a tilting kernel, and its comparison with the reference."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from aligndec import reference

INF = math.inf
Op = Callable[..., object]


def batch(n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows that are flat, peaked, deep, tied, constant, offset, scaled, and with holes."""
    log_p, r = torch.randn(11, n), torch.randn(11, n)
    log_p[1] *= 8
    log_p[2] *= 400
    r[3] = r[3].round()
    r[4] = 2.5
    r[5] += 1e4
    r[6] *= 1e-3
    r[7] *= 1e3
    log_p[8, 1::2] = -INF
    r[8, 1::4] = INF
    r[9, 1::3] = -INF
    r[10] = -INF
    return log_p.to(dtype), r.to(dtype)


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    same = (ours == theirs) | ((ours - theirs).abs() <= tolerance * (1 + theirs.abs()))
    assert same.all(), (ours[~same], theirs[~same], same.logical_not().nonzero()[:5])


def check_stats(stats: Op, n: int, dtype: torch.dtype) -> None:
    log_p, r = batch(n, dtype)
    beta = torch.tensor([0.0, 1e-9, 0.3, 7.0, 1e4, INF], dtype=torch.float64)
    for law, rewards, sign in (
        (log_p[:10], r[:10], 1),
        (log_p[:10], -r[:10], -1),
        (None, r[:8], 1),
    ):
        grid = (sign * beta).expand(len(rewards), -1).contiguous()
        ours = stats(law, rewards, grid)
        theirs = reference.tilt_stats(law, rewards, grid)
        span = torch.where(rewards.isfinite(), rewards, 0.0).abs().amax(-1, keepdim=True).double()
        close(ours[0], theirs[0], 1e-10)
        close(ours[1] / (1 + span), theirs[1] / (1 + span), 1e-12)
        close(ours[2] / (1 + span**2), theirs[2] / (1 + span**2), 1e-11)
        close(ours[3:], theirs[3:], 1e-10)
    assert not ours.isnan().any()


def check_solve(solve: Op, n: int, dtype: torch.dtype) -> None:
    log_p, r = batch(n, dtype)
    shares = torch.tensor([0.0, 1e-9, 1e-3, 0.3, 0.7, 1 - 1e-6, 1.0, 2.0], dtype=torch.float64)
    for kind, rewards in ((0, r), (1, -r)):
        for law in (log_p, None):
            rows = rewards if law is not None else rewards[:8]
            ends = torch.full((len(rows), 1), INF, dtype=torch.float64)
            most = reference.tilt_solve(law, rows, ends, kind, False)[0][2]
            compare(solve, law, rows, (most * shares).contiguous(), kind)
    finite = torch.where(r.isfinite(), r, 0.5)
    low, high = finite.amin(-1, keepdim=True), finite.amax(-1, keepdim=True)
    steps = torch.tensor([-0.1, 0.05, 0.4, 0.6, 0.99, 1.1], dtype=torch.float64)
    target = (low + (high - low) * steps).double()[:8].contiguous()
    compare(solve, log_p[:8], finite[:8], target, 2)


def compare(solve: Op, law: Tensor | None, r: Tensor, target: Tensor, kind: int) -> None:
    ours, flags = solve(law, r, target, kind, False)
    theirs, expected = reference.tilt_solve(law, r, target, kind, False)
    assert not ours.isnan().any()
    # A target rounded onto an end may fall on either side of it.
    inner = ours[0].isfinite() & theirs[0].isfinite() & (theirs[0] != 0) & (ours[0] != 0)
    agree = (flags[:3] == expected[:3]).all(0)
    edge = (target - theirs[2]).abs() <= 1e-12 * (1 + theirs[2])
    assert (agree | edge | (kind == 2)).all(), (flags[:3, ~agree], expected[:3, ~agree])
    assert (flags[3] <= 30).all(), flags[3].max()
    # The same law: β is ill-conditioned on plateaus and at the ends, its numbers are not.
    span = torch.where(r.isfinite(), r, 0.0).abs().amax(-1, keepdim=True).double() + 1
    close(ours[1][inner], theirs[1][inner], 1e-9)
    close((ours[3] / span)[inner], (theirs[3] / span)[inner], 1e-9)
    close(ours[2], theirs[2], 1e-12)


def check_shared(solve: Op, n: int, kind: int, share: float) -> None:
    log_p, r = torch.randn(9, n), torch.randn(9, n)
    r[3], r[4] = 1.0, r[4] * 50
    one = torch.full((1, 1), INF, dtype=torch.float64)
    most = reference.tilt_solve(log_p, r, one, kind, True)[0][2].mean()
    ours = solve(log_p, r, most.reshape(1, 1) * share, kind, True)
    theirs = reference.tilt_solve(log_p, r, most.reshape(1, 1) * share, kind, True)
    for a, b in zip(ours[0], theirs[0], strict=True):
        close(a, b, 1e-9)
    assert torch.equal(ours[1][:3], theirs[1][:3])
