"""Decoding-time alignment, exact and fast.

`sample` adapts, draws and accounts for a token per row in one fused step; everything else builds
on it. Natural logs everywhere.
"""

from typing import TYPE_CHECKING

from aligndec import reference
from aligndec._version import __version__ as __version__
from aligndec.errors import AligndecError as AligndecError
from aligndec.errors import NotEnoughSamples, RewardError
from aligndec.ops import build_info, use_backend
from aligndec.shared import lazily
from aligndec.step import (
    Adaptor,
    BadLogitsError,
    KeptSets,
    LogitBias,
    Penalties,
    SequenceState,
    Step,
    kept_mask,
    kept_sets,
    pack,
    penalties,
    sample,
    sample_with_sets,
    score,
    score_grid,
)
from aligndec.step import PackedAdaptors as PackedAdaptors
from aligndec.step import xtc_coin as xtc_coin

if TYPE_CHECKING:
    from aligndec import asymptotics as asymptotics
    from aligndec import best_of_n as best_of_n
    from aligndec import imh as imh
    from aligndec import plots as plots
    from aligndec import rewards as rewards
    from aligndec import rl as rl
    from aligndec import tilting as tilting
    from aligndec import tradeoff as tradeoff
    from aligndec import transfer_q as transfer_q

    # mypy takes the functions that have their module's name for second ones.
    from aligndec.generation import (  # type: ignore[no-redef]
        Generation,
        custom_generate,
        generate,
        score_strings,
    )
    from aligndec.global_law import GlobalSampler
    from aligndec.models import FunctionLM, StepLM, as_step_lm, load  # type: ignore[no-redef]
    from aligndec.models import HFCausalLM as HFCausalLM

__all__ = [
    "Adaptor",
    "BadLogitsError",
    "FunctionLM",
    "Generation",
    "GlobalSampler",
    "KeptSets",
    "LogitBias",
    "NotEnoughSamples",
    "Penalties",
    "RewardError",
    "SequenceState",
    "Step",
    "StepLM",
    "as_step_lm",
    "build_info",
    "custom_generate",
    "generate",
    "kept_mask",
    "kept_sets",
    "load",
    "pack",
    "penalties",
    "reference",
    "sample",
    "sample_with_sets",
    "score",
    "score_grid",
    "score_strings",
    "use_backend",
]

# Rooms that are opened when somebody asks for them, or for one of their names.
_ROOMS = (
    "asymptotics",
    "best_of_n",
    "generation",
    "global_law",
    "imh",
    "models",
    "plots",
    "rewards",
    "rl",
    "testing",
    "tilting",
    "tradeoff",
    "transfer_q",
)
_NAMES = {
    "generation": ("Generation", "custom_generate", "generate", "score_strings"),
    "global_law": ("GlobalSampler",),
    "models": ("FunctionLM", "HFCausalLM", "StepLM", "as_step_lm", "load"),
}
_LATER = {
    **{room: f"{__name__}.{room}" for room in _ROOMS},
    **{name: f"{__name__}.{room}" for room, names in _NAMES.items() for name in names},
}

__getattr__, __dir__ = lazily(__name__, _LATER, (*__all__, *_ROOMS))
