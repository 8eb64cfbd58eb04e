"""The functions of one decision on the kernels in use: candidates, their values, the choice."""

from __future__ import annotations

from aligndec.ops import current_ops
from aligndec.transfer_q.steps import Steps

__all__ = ["candidates", "rescore", "value"]

_steps = Steps(current_ops)
candidates = _steps.candidates
value = _steps.value
rescore = _steps.rescore
