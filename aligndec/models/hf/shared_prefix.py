"""Rows that continue the same prefix keep one copy of it, and attend to it together.

Gathering a cache repeats what its rows have in common: the prompt's columns, once for every
continuation. Here a layer of many continuations holds the prefixes once, [b, heads, P, D], and the
columns of each row's own. What `update` hands to the model behaves as the joined keys or values,
but torch's fused attention, which is what reads them in most models, never forms them: all queries
of a prefix are multiplied with it at once. Any other operation gets the joined tensor, and the
layer goes on as if it had been gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.models.hf.compat import begin
from aligndec.models.hf.growing_layer import GrowingLayer, copy_layer
from aligndec.models.recorded import recorded
from aligndec.ops import NATIVE, compat, current_ops
from aligndec.reference import Branches, attend

__all__ = ["gather_layers", "whole_layer"]

SHARED_FROM = 32
"""Columns that a prefix must have: sharing costs some small operations for each layer."""

SHARED_BY = 2
"""Rows that a prefix must have on average."""

# By the branches that a layer had: the prefixes that stay in use, and who continues them then.
_Plans = dict[int, tuple[Tensor, Branches | None]]


class _SharedLayer(GrowingLayer):
    """`keys` and `values` are the rows' own columns; None as `branches`: they are whole.

    `reader` names what made them so.
    """

    def __init__(self, prefix: dict[str, Tensor]) -> None:
        super().__init__()
        self.reader = ""
        self.prefix = prefix
        self.branches: Branches | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append columns; return all keys and values, joined when they are read."""
        if recorded(key_states, value_states):  # a joined tensor breaks the graph
            self.reader = "a recorded graph"
            self.join()
        super().update(key_states, value_states, *args, **kwargs)
        if self.branches is None:
            return self.keys, self.values
        return _Joined.of(self, "keys"), _Joined.of(self, "values")

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Gather rows of what is the rows' own."""
        if self.is_initialized:
            super().reorder_cache(beam_idx)

    def get_seq_length(self) -> int:
        """Columns of one row."""
        own: int = super().get_seq_length()
        return own + (0 if self.branches is None else self.prefix["keys"].shape[-2])

    def join(self) -> None:
        """Stop sharing: give every row its own copy of the prefix."""
        if self.branches is None:
            return
        owner = self.branches.owner
        if not self.is_initialized:
            begin(self, self.prefix["keys"][:0], self.prefix["values"][:0])
        for name, prefix in self.prefix.items():
            own, length = getattr(self, name), prefix.shape[-2]
            more = own.shape[-2] if own.numel() else 0
            # Contiguous, as the joined tensor that was handed out said of itself.
            shape = (len(owner), prefix.shape[1], length + more, prefix.shape[-1])
            room = prefix.new_empty(shape)
            room[..., :length, :] = prefix[owner.to(prefix.device)]
            if more:
                room[..., length:, :] = own
            setattr(self, name, room)
        self.branches, self.prefix = None, {}

    def attend(self, query: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
        """Attention of `query` over all columns, in one kernel on a CPU."""
        assert self.branches is not None
        prefix, own = (self.prefix["keys"], self.prefix["values"]), (self.keys, self.values)
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        if not _in_one_kernel(mask, query, *prefix, *own):
            return attend(self.branches, prefix, own, query, mask, scale)
        branches = self.branches.order, self.branches.start
        return current_ops().branched_attention(query, *prefix, *own, *branches, mask, scale)


def _in_one_kernel(mask: Tensor | None, *tensors: Tensor) -> bool:
    """Whether the kernel of the CPU takes these tensors."""
    if not NATIVE or recorded(mask, *tensors):
        return False
    if mask is not None:
        columns = tensors[1].shape[-2] + tensors[3].shape[-2]
        kind = mask.dim() == 4 and mask.dtype in (torch.bool, torch.float32)
        if not (kind and mask.shape[-1] == columns and mask.stride(-1) == 1):
            return False
    return all(
        x.device.type == "cpu" and x.dtype == torch.float32 and x.stride(-1) == 1 for x in tensors
    )


class _Joined(torch.Tensor):
    """The keys or values of a shared layer as one tensor [rows, heads, columns, D]."""

    layer: _SharedLayer
    part: str

    @classmethod
    def of(cls, layer: _SharedLayer, name: str) -> _Joined:
        own: Tensor = getattr(layer, name)
        shape = (*own.shape[:2], layer.get_seq_length(), own.shape[3])
        out = compat.stand_in(cls, shape, own)
        out.layer, out.part = layer, name
        return out

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with compat.without_torch_function():
            if func is torch.nn.functional.scaled_dot_product_attention:
                return _attention(*args, **kwargs)
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return func(*_formed(args, func), **_formed(kwargs or {}, func))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> Tensor:
    pair = isinstance(key, _Joined) and isinstance(value, _Joined) and key.layer is value.layer
    if pair and not is_causal and not dropout_p and not isinstance(query, _Joined):
        layer: _SharedLayer = key.layer  # type: ignore[attr-defined]
        return layer.attend(query, attn_mask, kwargs.get("scale"))
    query, key, value = _formed((query, key, value), "attention with its own causal mask")
    out: Tensor = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, **kwargs
    )
    return out


def _formed(tree: Any, reader: Any) -> Any:
    """Replace joined tensors by plain ones, which `reader` wants."""

    def form(x: _Joined) -> Tensor:
        x.layer.reader = str(reader)
        x.layer.join()
        columns: Tensor = getattr(x.layer, x.part)[:, :, : x.shape[2]]
        return columns

    return compat.map_tensors(_Joined, form, tree)


def gather_layers(layers: Sequence[Any], index: Tensor) -> list[Any]:
    """Gather the rows of a cache's layers; the given ones keep their own tensors.

    Parameters
    ----------
    layers : sequence of transformers' cache layers
    index : Tensor
        int64 [rows]; may repeat rows and leave some out.
    """
    plans: _Plans = {}  # layers that branch alike share one
    return [_gather(layer, index, plans) for layer in layers]


def _gather(layer: Any, index: Tensor, plans: _Plans) -> Any:
    branches: Branches | None = getattr(layer, "branches", None)
    if branches is None and not _may_share(layer):
        return _reordered(layer, index)
    if id(branches) not in plans:
        owner = index if branches is None else branches.owner[index]
        used, owner = torch.unique(owner, return_inverse=True)
        share = branches is not None or _many(owner, used)
        plans[id(branches)] = used, Branches.of(owner, len(used)) if share else None
    used, after = plans[id(branches)]
    if after is None:
        return _reordered(layer, index)
    if branches is None:
        new = _SharedLayer({"keys": layer.keys, "values": layer.values})
    else:
        new = _reordered(layer, index)
    if len(used) < len(new.prefix["keys"]):
        new.prefix = {name: x[used.to(x.device)] for name, x in new.prefix.items()}
    new.branches = after
    if not _many(index, used):
        new.join()
    return new


def _many(rows: Tensor, used: Tensor) -> bool:
    """Whether the rows are so many for the prefixes they use that sharing pays."""
    return len(rows) >= max(1, SHARED_BY * len(used))


def _may_share(layer: Any) -> bool:
    """Whether the rows of a layer may become prefixes."""
    if not (isinstance(layer, GrowingLayer) and layer.is_initialized):
        return False
    saved = layer.keys.requires_grad or layer.values.requires_grad
    return layer.get_seq_length() >= SHARED_FROM and not saved


def _reordered(layer: Any, index: Tensor) -> Any:
    new = copy_layer(layer)
    new.reorder_cache(index)
    return new


def whole_layer(layer: Any) -> Any:
    """Return a layer whose rows all have their own columns."""
    if getattr(layer, "branches", None) is None:
        return layer
    new = copy_layer(layer)
    new.join()
    return new
