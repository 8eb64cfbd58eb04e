"""What comes with the logits as sparse rows: a bias and given kept sets, as the ops take them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.reference import beyond_temperature, has_slope
from aligndec.step.adaptors import Adaptor
from aligndec.step.bias import given_bias
from aligndec.step.packed import PackedAdaptors, as_list
from aligndec.step.sets import given_sets

__all__ = ["Given", "given_args", "refuse_slope", "rows_of_given"]

Given = tuple[Tensor | None, ...]
"""Empty; or bias ids, offsets and values; or these and kept ids, offsets and complete."""


def given_args(
    function: str,
    bias: Any,
    kept: Any,
    adaptor: Any,
    lead: Sequence[int],
    vocab: int,
    device: torch.device,
) -> Given:
    """Check `bias` and `kept` of results of shape `lead`; return the last arguments of an op."""
    if bias is None and kept is None:
        return ()
    for name, value in (("bias", bias), ("kept", kept)):
        if value is not None and device.type == "cuda":
            raise ValueError(
                f"{function}: {name} must be None for logits on CUDA, where there is no kernel for "
                f"it yet, got {type(value).__name__} (move the logits to the CPU)"
            )
    batch = math.prod(lead)
    out: Given = (None, None, None)
    if bias is not None:
        bias = given_bias(function, bias, batch, vocab, device)
        out = (bias.ids.contiguous(), bias.offsets.contiguous(), bias.values.contiguous())
    if kept is not None:
        _refuse_stages(function, adaptor)
        kept = given_sets(function, kept, lead, batch, vocab, device)
        out += (kept.ids.contiguous(), kept.offsets.contiguous(), kept.complete.contiguous())
    return out


def rows_of_given(given: Given, here: slice) -> Given:
    """Return the sparse rows of some results; ids and values are shared, offsets are not moved.

    Of the three tensors of each, the second has an entry more than there are rows, and the last
    one of kept sets has one for each row.
    """
    if not given:
        return given
    _, starts, _, *kept = given
    cut = [*given]
    if starts is not None:
        cut[1] = starts[here.start : here.stop + 1]
    if kept and kept[1] is not None and kept[2] is not None:
        cut[4], cut[5] = kept[1][here.start : here.stop + 1], kept[2][here]
    return tuple(cut)


def refuse_slope(function: str, logits: Tensor, params: Tensor, given: Given) -> None:
    """Refuse a gradient through a temperature that follows from the entropy of edited logits."""
    if given and logits.requires_grad and torch.is_grad_enabled() and has_slope(params):
        raise ValueError(
            f"{function}: adaptor must be without dynamic_temperature where logits require grad "
            "and bias or kept is given, got one with it (give the temperature)"
        )


def _refuse_stages(function: str, adaptor: Any) -> None:
    """Refuse adaptors that cut: a given set takes the place of all stages."""
    what = f"{function}: adaptor must be of a temperature alone where kept is given, got "
    if isinstance(adaptor, PackedAdaptors):
        if adaptor.cuts:
            raise ValueError(what + "packed adaptors that cut")
        return
    for one in [adaptor] if isinstance(adaptor, Adaptor) else as_list(function, adaptor):
        for name, value in beyond_temperature(one).items():
            raise ValueError(f"{what}{name}={value!r}")
