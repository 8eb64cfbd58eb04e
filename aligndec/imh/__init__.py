"""Independence Metropolis–Hastings over given log-weights: local draws become global ones.

`ln w = ln target − ln proposal law` of every string decides the chain; see
`aligndec.GlobalSampler` for the whole way from a model to samples of a globally normalised law.
"""

from aligndec.imh.association import cramers_v
from aligndec.imh.chain import Chain, chain
from aligndec.imh.diagnostics import Diagnostics, diagnostics, of_rejection, of_restarts, spectrum
from aligndec.imh.pool import Resampled, resample, sir
from aligndec.imh.resampling import Resampling, Scheme, check_scheme, check_threshold, smc_resample
from aligndec.imh.series import of_series
from aligndec.shared import lazily

__all__ = [
    "Chain",
    "Diagnostics",
    "Resampled",
    "Resampling",
    "Scheme",
    "chain",
    "check_scheme",
    "check_threshold",
    "cramers_v",
    "diagnostics",
    "of_rejection",
    "of_restarts",
    "of_series",
    "resample",
    "sir",
    "smc_resample",
    "spectrum",
]

_MOVED = dict.fromkeys(("GlobalSampler", "GlobalSamples", "log_weight"), "aligndec.global_law")

__getattr__, __dir__ = lazily(__name__, {}, __all__, moved=_MOVED)
