"""The adaptors of the demo, and the same settings in transformers' words."""

from __future__ import annotations

from typing import Any

from aligndec.step import FIELDS, Adaptor

__all__ = ["ADAPTORS", "generate_settings", "has_counterpart"]

ADAPTORS: dict[str, Adaptor] = {
    "ancestral": Adaptor(),
    "top-p": Adaptor(top_p=0.9),
    "top-k": Adaptor(top_k=50),
    "min-p": Adaptor(min_p=0.05),
    "typical": Adaptor(typical_p=0.95),
    "eta": Adaptor(eta_cutoff=2e-3),
    "p-less": Adaptor(p_less=2.0),
    "top-h": Adaptor(top_h=0.4),
    "top-a": Adaptor(top_a=0.2),
    "xtc": Adaptor(xtc=(0.1, 0.5)),
    "dynamic": Adaptor(dynamic_temperature=(0.5, 1.5, 1.0)),
    "cool top-p": Adaptor(temperature=0.7, top_p=0.9),
}


def has_counterpart(adaptor: Adaptor) -> bool:
    """Whether transformers' `generate` can draw from the same law."""
    cuts = {"top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"}
    on = {field.name for field in FIELDS if getattr(adaptor, field.name) != field.off}
    known = on <= cuts or on == {"top_h"}
    plain = adaptor.dynamic_temperature is None and adaptor.xtc is None and not adaptor.mirostat_tau
    return known and plain and adaptor.cut_on == "scaled" and adaptor.temperature > 0.0


def generate_settings(adaptor: Adaptor) -> dict[str, Any]:
    """Keyword arguments of `model.generate` with the same meaning.

    Every field is given, also where it is off: what is missing would come from the model's own
    configuration or from the library's defaults (top_k = 50 among them).
    """
    if not has_counterpart(adaptor):
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
        "top_h": adaptor.top_h or None,
        "repetition_penalty": 1.0,
        "num_beams": 1,
    }
