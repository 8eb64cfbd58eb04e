"""Transfer Q*: decoding from π_ref · exp(Q/α), with Q estimated by rollouts of a baseline."""

from __future__ import annotations

from aligndec._tq_combine import combine_logits, sample_combined
from aligndec._tq_steps import Candidates, Choice, Steps, Value
from aligndec.backend import current_ops

__all__ = [
    "Candidates",
    "Choice",
    "Value",
    "candidates",
    "combine_logits",
    "rescore",
    "sample_combined",
    "value",
]

_steps = Steps(current_ops)
candidates = _steps.candidates
value = _steps.value
rescore = _steps.rescore
