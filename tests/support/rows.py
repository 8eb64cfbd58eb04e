"""Shapes of random rows, and the published error bounds of their numbers."""

import torch
from support.cases import rng
from support.oracle import Law, law
from torch import Tensor

import aligndec as ad

SHAPES = ((100, 24, 2.0), (112, 200, 3.0), (30, 1025, 1.0), (7, 4000, 3.0), (1, 50257, 2.0))
SMALL = ((40, 24, 2.0), (40, 150, 3.0))


def check_numbers(x: Tensor, mask: Tensor, adaptor: ad.Adaptor) -> None:
    """The floats of a random kept token within the published bounds."""
    if not len(x):
        return
    score = torch.rand(mask.shape, generator=rng(7)).masked_fill(~mask, -1)
    token = score.argmax(1)
    step = ad.score(x, token, adaptor)
    tau = adaptor.temperature
    expected = law(x.double(), mask, tau, token)
    assert torch.equal(step.n_kept, mask.sum(1))
    assert torch.equal(step.status, torch.zeros_like(step.status))
    for name in Law._fields:
        bound = 5e-7 * max(1.0, 1 / tau if name == "log_z" else tau)
        error = (getattr(step, name) - getattr(expected, name)).abs().max().item()
        assert error <= bound, f"{name}: {error} at temperature {tau}"
