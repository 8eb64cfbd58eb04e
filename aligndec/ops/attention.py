"""Declaration of the attention of rows that continue a few prefixes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from aligndec.ops.types import Op
from aligndec.reference import branched_attention

__all__ = ["OPS"]


def _fake(query: Tensor, prefix_keys: Tensor, prefix_values: Tensor, *rest: Any) -> Tensor:
    return query.new_empty((*query.shape[:3], prefix_values.shape[3]))


OPS = {
    "branched_attention": Op(
        "(Tensor query, Tensor prefix_keys, Tensor prefix_values, Tensor keys, Tensor values, "
        "Tensor order, Tensor start, Tensor? mask, float scale) -> Tensor",
        branched_attention,
        _fake,
    ),
}
