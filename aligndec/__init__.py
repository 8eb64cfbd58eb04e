"""Decoding-time alignment, exact and fast.

`sample` adapts, draws and accounts for a token per row in one fused step; everything else builds
on it. Natural logs everywhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aligndec import reference
from aligndec._penalties import Penalties, penalties
from aligndec._version import __version__ as __version__
from aligndec._xtc import xtc_coin
from aligndec.adaptors import Adaptor, PackedAdaptors, pack
from aligndec.backend import build_info, use_backend
from aligndec.errors import AligndecError as AligndecError
from aligndec.errors import BadLogitsError, NotEnoughSamples, RewardError
from aligndec.generate import custom_generate, generate, score_strings
from aligndec.generation import Generation
from aligndec.models import FunctionLM, StepLM, as_step_lm
from aligndec.models import HFCausalLM as HFCausalLM
from aligndec.state import SequenceState
from aligndec.step import (
    KeptSets,
    LogitBias,
    Step,
    kept_mask,
    kept_sets,
    sample,
    sample_with_sets,
    score,
    score_grid,
)

if TYPE_CHECKING:
    from aligndec import asymptotics as asymptotics
    from aligndec import best_of_n as best_of_n
    from aligndec import imh as imh
    from aligndec import tilting as tilting
    from aligndec import tradeoff as tradeoff
    from aligndec.global_sampler import GlobalSampler

__all__ = [
    "Adaptor",
    "BadLogitsError",
    "FunctionLM",
    "Generation",
    "GlobalSampler",
    "KeptSets",
    "LogitBias",
    "NotEnoughSamples",
    "PackedAdaptors",
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
    "pack",
    "penalties",
    "reference",
    "sample",
    "sample_with_sets",
    "score",
    "score_grid",
    "score_strings",
    "use_backend",
    "xtc_coin",
]


_LATER = {
    "GlobalSampler": "global_sampler",
    "asymptotics": None,
    "best_of_n": None,
    "imh": None,
    "plots": None,
    "rewards": None,
    "tilting": None,
    "tradeoff": None,
    "transfer_q": None,
}
"""Imported when first asked for: a submodule (None), or a name of one."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"aligndec.{_LATER[name] or name}")
    return getattr(module, name) if _LATER[name] else module
