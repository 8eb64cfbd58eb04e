"""Transfer Q*: decoding from π_ref · exp(Q/α), with Q estimated by rollouts of a baseline.

The way of a decision: `candidates` → `branches` → `rollouts` → `values` → `choice` → `commit`; the
stages know earlier ones only, `loop` knows them all and writes `records`. `decoder` stands around
it, `method` and `family` name what it is used for.
"""

from aligndec.transfer_q.combine import combine_logits, sample_combined
from aligndec.transfer_q.family import Args, BestOfN, BlockwiseBestOfN, ControlledDecoding
from aligndec.transfer_q.fused import candidates, rescore, value
from aligndec.transfer_q.method import TransferQ
from aligndec.transfer_q.result import TransferQGeneration
from aligndec.transfer_q.steps import Candidates, Choice, Value

__all__ = [
    "Args",
    "BestOfN",
    "BlockwiseBestOfN",
    "Candidates",
    "Choice",
    "ControlledDecoding",
    "TransferQ",
    "TransferQGeneration",
    "Value",
    "candidates",
    "combine_logits",
    "rescore",
    "sample_combined",
    "value",
]
