"""The adaptors of the demo, and the same settings in transformers' words."""

from __future__ import annotations

from typing import Any

from aligndec.step import Adaptor

__all__ = ["ADAPTORS", "generate_settings"]

ADAPTORS: dict[str, Adaptor] = {
    "ancestral": Adaptor(),
    "top-p": Adaptor(top_p=0.9),
    "top-k": Adaptor(top_k=50),
    "min-p": Adaptor(min_p=0.05),
    "typical": Adaptor(typical_p=0.95),
    "eta": Adaptor(eta_cutoff=2e-3),
    "cool top-p": Adaptor(temperature=0.7, top_p=0.9),
}


def generate_settings(adaptor: Adaptor) -> dict[str, Any]:
    """Keyword arguments of `model.generate` with the same meaning.

    Every field is given, also where it is off: what is missing would come from the model's own
    configuration or from the library's defaults (top_k = 50 among them).
    """
    if adaptor.top_n_sigma or adaptor.cut_on != "scaled" or adaptor.temperature == 0.0:
        raise ValueError(f"generate_settings: adaptor has no counterpart, got {adaptor}")
    return {
        "do_sample": True,
        "temperature": adaptor.temperature,
        "top_k": adaptor.top_k,
        "top_p": adaptor.top_p,
        "min_p": adaptor.min_p or None,
        "typical_p": adaptor.typical_p,
        "epsilon_cutoff": adaptor.epsilon_cutoff,
        "eta_cutoff": adaptor.eta_cutoff,
        "repetition_penalty": 1.0,
        "num_beams": 1,
    }
