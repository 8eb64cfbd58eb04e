"""The functions of one decision on the eager reference; `aligndec.reference` hands them on."""

from __future__ import annotations

from aligndec.ops import EAGER
from aligndec.transfer_q.steps import Steps

__all__ = ["candidates", "rescore", "value"]

_steps = Steps(lambda: EAGER)
candidates = _steps.candidates
value = _steps.value
rescore = _steps.rescore
