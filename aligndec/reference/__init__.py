"""The specification: every op in eager PyTorch.

For float32, float16 and bfloat16 logits the integers that decide (sets, draws, masses) are those
of the compiled kernels, bit for bit. float64 logits are taken too, with float64 weights: the
oracle of exact enumerations, differentiable to machine precision. Not meant to be fast.

The public functions over these ops (`sample`, `score`, …) are made by `aligndec.step` and
`aligndec.transfer_q`, which stand above, and are only looked up here.
"""

from aligndec.reference import adaptor, exact, gradient, sets, transfer_q
from aligndec.reference.adaptor import (
    adaptor_grid,
    adaptor_mask,
    adaptor_score,
    adaptor_step,
)
from aligndec.reference.attention import Branches, attend, branched_attention
from aligndec.reference.columns import COLUMNS, beyond_temperature, check, count, ln, number
from aligndec.reference.divergence import excess, kl_divergence, log1mexp, log_div
from aligndec.reference.dynamic import has_slope
from aligndec.reference.fields import FIELDS, TUPLES, Field, columns, several
from aligndec.reference.gradient import adaptor_score_backward, differentiable_score
from aligndec.reference.imh import imh_chain, imh_resample
from aligndec.reference.sets import adaptor_sets, adaptor_step_sets
from aligndec.reference.smc import SCHEMES, smc_resample
from aligndec.reference.tilt import KL_MAX, KL_MIN, REWARD, tilt_solve, tilt_stats
from aligndec.reference.tilt_law import Tilt, tilted, uniform_like
from aligndec.reference.transfer_q import MODES, combine_logits
from aligndec.reference.xtc import COIN, coin_bits, with_coin
from aligndec.shared import lazily

_STEP = ("sample", "score", "score_grid", "kept_mask", "kept_sets", "sample_with_sets")
_LATER = {
    **dict.fromkeys(_STEP, "aligndec.step.eager"),
    **dict.fromkeys(("candidates", "value", "rescore"), "aligndec.transfer_q.eager"),
}

__all__ = [
    "COIN",
    "COLUMNS",
    "FIELDS",
    "KL_MAX",
    "KL_MIN",
    "MODES",
    "REWARD",
    "SCHEMES",
    "TUPLES",
    "Branches",
    "Field",
    "Tilt",
    "adaptor",
    "adaptor_grid",
    "adaptor_mask",
    "adaptor_score",
    "adaptor_score_backward",
    "adaptor_sets",
    "adaptor_step",
    "adaptor_step_sets",
    "attend",
    "beyond_temperature",
    "branched_attention",
    "candidates",
    "check",
    "coin_bits",
    "columns",
    "combine_logits",
    "count",
    "differentiable_score",
    "exact",
    "excess",
    "gradient",
    "has_slope",
    "imh_chain",
    "imh_resample",
    "kept_mask",
    "kept_sets",
    "kl_divergence",
    "ln",
    "log1mexp",
    "log_div",
    "number",
    "rescore",
    "sample",
    "sample_with_sets",
    "score",
    "score_grid",
    "sets",
    "several",
    "smc_resample",
    "tilt_solve",
    "tilt_stats",
    "tilted",
    "transfer_q",
    "uniform_like",
    "value",
    "with_coin",
]

__getattr__, __dir__ = lazily(__name__, _LATER, __all__)
