"""The integers behind an adapted law."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.ops import EAGER, current_ops
from aligndec.reference import with_coin
from aligndec.step import (
    Adaptor,
    LogitBias,
    PackedAdaptors,
    adaptor_params,
    given_args,
    has_xtc,
)
from aligndec.step import checks as check

__all__ = ["masses"]


def masses(
    logits: Tensor,
    adaptor: Adaptor | list[Adaptor] | PackedAdaptors = Adaptor(),
    *,
    allowed: Tensor | None = None,
    valid_vocab: int | None = None,
    bias: LogitBias | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the integers behind the adapted law, in units of 2^-43 of the most probable token.

    Parameters
    ----------
    logits, adaptor, allowed, valid_vocab, bias
        As in `aligndec.sample`; float64 logits are weighed by the reference and then rounded.

    Returns
    -------
    total, kept : Tensor
        int64 [B] (unsigned): scaled mass of all existing tokens, with a bias those of the edited
        law, and of the kept set. Greedy rows have 2^43 twice, bad rows 0; of xtc the set without
        the coin. Equal on every backend, for every batch and thread count.
    """
    double = isinstance(logits, Tensor) and logits.dtype == torch.float64
    ops = EAGER if double else current_ops()
    vocab = check.logits_of("masses", logits, ops.dtypes, True)
    shape, device = logits.shape[:1], logits.device
    params = adaptor_params("masses", adaptor, shape, device)
    if has_xtc(adaptor):
        params = with_coin(params, None)
    valid = check.valid_ids("masses", valid_vocab, vocab)
    if allowed is not None:
        allowed = check.allowed_mask("masses", allowed, vocab, shape, device)
    given = given_args("masses", bias, None, adaptor, shape, vocab, device)
    tokens = torch.zeros(shape, dtype=torch.int64, device=device)
    mass = ops.adaptor_score(logits.detach(), params, allowed, valid, tokens, None, *given)[10]
    return mass[0], mass[1]
