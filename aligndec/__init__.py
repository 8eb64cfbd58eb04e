"""Decoding-time alignment, exact and fast.

`sample` adapts, draws and accounts for a token per row in one fused step; everything else builds
on it. Natural logs everywhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aligndec import reference
from aligndec._version import __version__
from aligndec._xtc import xtc_coin
from aligndec.adaptors import Adaptor, PackedAdaptors, pack
from aligndec.backend import build_info, use_backend
from aligndec.errors import AligndecError, BadLogitsError, NotEnoughSamples, RewardError
from aligndec.generate import custom_generate, generate, score_strings
from aligndec.generation import Generation
from aligndec.models import FunctionLM, HFCausalLM, StepLM, as_step_lm
from aligndec.state import SequenceState
from aligndec.step import Step, kept_mask, sample, score, score_grid

if TYPE_CHECKING:
    from aligndec import asymptotics as asymptotics
    from aligndec import best_of_n as best_of_n
    from aligndec import imh, tradeoff
    from aligndec import tilting as tilting
    from aligndec.global_sampler import GlobalSampler

__all__ = [
    "Adaptor",
    "AligndecError",
    "BadLogitsError",
    "FunctionLM",
    "Generation",
    "GlobalSampler",
    "HFCausalLM",
    "NotEnoughSamples",
    "PackedAdaptors",
    "RewardError",
    "SequenceState",
    "Step",
    "StepLM",
    "__version__",
    "as_step_lm",
    "build_info",
    "custom_generate",
    "generate",
    "imh",
    "kept_mask",
    "pack",
    "reference",
    "sample",
    "score",
    "score_grid",
    "score_strings",
    "tradeoff",
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
