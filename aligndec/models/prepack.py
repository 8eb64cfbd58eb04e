"""Linear layers that keep their weights the way oneDNN's matrix products read them."""

from __future__ import annotations

import copy
from itertools import chain
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from aligndec.models.recorded import recorded
from aligndec.ops import compat

__all__ = ["prepack"]

_Module = TypeVar("_Module", bound=nn.Module)


def prepack(model: _Module) -> _Module:
    """Return a copy of a module whose linear layers hold their weights ready for the CPU.

    At decoding time a matrix product has a few rows, and most of its time goes into bringing the
    weight into the blocks that the inner loops read. The copy keeps those blocks, so a product of
    eight rows takes a half to a quarter of the time and one of eighty rows about a half. Numbers
    differ from the given module's in their last bits, as they do between batch sizes.

    Parameters and buffers are shared with `model`; the blocks come on top (as large as the weights
    of the linear layers). A weight that was changed by `load_state_dict`, `to`, an assignment or an
    operation in place is packed again when it is next used. What torch keeps no record of (the step
    of a fused optimizer, a write through `.data` as when a LoRA is merged) shows in eight of the
    weight's elements, spread over it: a change that leaves these alone is not noticed. Where
    derivatives are wanted, under autocast, in `torch.compile`, in transforms of `torch.func`, and
    after a move to another device or dtype a layer computes as it did before.

    Parameters
    ----------
    model : torch.nn.Module
        Any model, of transformers or not, with its weights on the CPU in float32, or in bfloat16
        or float16 where the processor has instructions for them. Only layers whose class is
        `torch.nn.Linear` itself are packed: quantised ones and GPT-2's `Conv1D` stay as they are.

    Returns
    -------
    torch.nn.Module
        Of the same class; `generate`, `TransferQ` and the model's own methods take it.

    Raises
    ------
    TypeError
        `model` is no `torch.nn.Module`.
    ValueError
        It has no layer that can be packed.
    RuntimeError
        torch was built without oneDNN.

    Notes
    -----
    The blocked layouts are those of oneDNN's inner-product primitive, which torch's inductor uses
    for frozen models.

    Examples
    --------
    >>> lm = torch.nn.Sequential(torch.nn.Embedding(9, 32), torch.nn.Linear(32, 9))
    >>> prepack(lm)
    Sequential(
      (0): Embedding(9, 32)
      (1): PrepackedLinear(in_features=32, out_features=9, bias=True)
    )
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        raise RuntimeError("prepack: torch must be built with oneDNN, and this one is not")
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"prepack: model must be a torch.nn.Module, got {type(model).__name__}"
            + ("; pack its module before wrapping it" if hasattr(model, "prefill") else "")
        )
    tensors = chain(model.parameters(), model.buffers())
    out = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    linear: list[nn.Linear] = [
        m
        for m in out.modules()
        if isinstance(m, nn.Linear) and type(m) in _KINDS and "forward" not in vars(m)
    ]
    packable = [layer for layer in linear if _fits(layer.weight)]
    if not packable:
        found = {f"{layer.weight.dtype} on {layer.weight.device}" for layer in linear}
        raise ValueError(
            "prepack: model must have torch.nn.Linear layers in float32 (or in bfloat16 or float16 "
            f"where the processor multiplies them) on the CPU, got {type(model).__name__} with "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    for layer in packable:
        layer.__class__ = PrepackedLinear
        with torch.inference_mode(False), torch.no_grad():
            layer.blocks()  # type: ignore[operator]
    return out


class _Packed(NamedTuple):
    """Blocks, and what they were made of: the alias keeps that memory from being used again."""

    weight: Tensor
    version: int
    some: Tensor
    before: Tensor
    blocks: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> _Packed:
        alias, version = weight.detach(), compat.content_version(weight)
        rows, columns = (-(-size // _SOME) for size in alias.shape)
        some = alias[::rows, ::columns].diagonal()
        before = some.clone()  # read first: a write during the packing is not missed
        blocks = compat.weight_blocks(alias.contiguous())
        return cls(alias, version, some, before, blocks)

    def is_of(self, weight: Tensor) -> bool:
        if self.version != compat.content_version(weight) or not self.weight.is_set_to(weight):
            return False
        return torch.equal(self.some, self.before)


class PrepackedLinear(nn.Linear):
    """`torch.nn.Linear` with its weight in blocks beside it."""

    _packed: _Packed | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x · weightᵀ + bias."""
        if not self._serves(x):
            return super().forward(x)
        return compat.linear_of_blocks(x, self.blocks(), self.bias)

    def blocks(self) -> Tensor:
        """Return the blocks of the weight, packed again if it was changed."""
        if self._packed is None or not self._packed.is_of(self.weight):
            self._packed = _Packed.of(self.weight)
        return self._packed.blocks

    def _serves(self, x: Tensor) -> bool:
        if type(x) is not Tensor or torch.is_autocast_enabled("cpu"):
            return False
        if recorded(x, self.weight, self.bias):
            return False
        alike = x.dtype == self.weight.dtype and x.device.type == "cpu"
        fits = x.dim() > 1 and x.numel() > 0 and x.shape[-1] == self.weight.shape[1]
        return alike and fits and _fits(self.weight)

    def __getstate__(self) -> dict[str, object]:
        """Leave the blocks out: they have no portable form, and are soon made."""
        state: dict[str, object] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name != "_packed"}


_KINDS = (nn.Linear, PrepackedLinear)

_SOME = 8
"""Elements of a weight that are compared: one for each cache line that the comparison waits for."""


def _fits(weight: Tensor) -> bool:
    """Whether oneDNN can hold a weight in blocks here."""
    plain = type(weight) in (Tensor, nn.Parameter) and weight.layout == torch.strided
    if not plain or weight.device.type != "cpu" or weight.numel() == 0:
        return False
    return bool(torch.backends.mkldnn.enabled) and compat.multiplies(weight.dtype)
