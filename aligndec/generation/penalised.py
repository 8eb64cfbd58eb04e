"""Penalties of a run: where its histories start, and how its file names them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from aligndec.generation.prepare import Prepared
from aligndec.step import LogitBias, Penalties, RunningPenalties

__all__ = ["as_json", "from_json", "running"]


def running(penalties: Any, given: Prepared) -> RunningPenalties | None:
    """Check `generate(penalties=)` and return it with the prompts as histories, one row each."""
    if penalties is None:
        return None
    if not isinstance(penalties, Penalties):
        raise TypeError(f"generate: penalties must be a Penalties, got {penalties!r:.80}")
    if torch.device(given.lm.device).type == "cuda":
        raise ValueError(
            "generate: penalties must be None for a model on CUDA, where the step has no kernel "
            "for a bias yet, got a Penalties"
        )
    skipped = penalties.ignore_prompt
    if isinstance(skipped, Tensor) and skipped.shape != given.names.shape:
        raise ValueError(
            f"generate: penalties.ignore_prompt must be an int or int64 [P] = "
            f"[{len(given.names)}], got {list(skipped.shape)}"
        )
    within = torch.minimum(given.mask.sum(1), torch.as_tensor(skipped))
    tokens = torch.where(given.mask.bool(), given.ids, -1)
    what = replace(penalties, ignore_prompt=within)
    return RunningPenalties.start(what, tokens, given.lm.vocab_size, given.eos)


def as_json(penalties: Penalties | None) -> dict[str, Any] | None:
    """Return the fields as JSON takes them."""
    if penalties is None:
        return None
    fields = {f.name: getattr(penalties, f.name) for f in dataclasses.fields(penalties)}
    bias, skipped = fields["logit_bias"], fields["ignore_prompt"]
    if isinstance(bias, LogitBias):
        fields["logit_bias"] = {name: x.tolist() for name, x in bias._asdict().items()}
    elif bias is not None:
        fields["logit_bias"] = [[_ids(key), float(value)] for key, value in bias.items()]
    if isinstance(skipped, Tensor):
        fields["ignore_prompt"] = skipped.tolist()
    if fields["dry"] is not None:
        fields["dry"] = [*fields["dry"][:3], [int(i) for i in fields["dry"][3]]]
    return fields


def from_json(fields: dict[str, Any] | None) -> Penalties | None:
    """Return what `as_json` wrote."""
    if fields is None:
        return None
    bias, skipped, dry = (fields[name] for name in ("logit_bias", "ignore_prompt", "dry"))
    if isinstance(bias, Mapping):
        ids, values = torch.tensor(bias["ids"]).int(), torch.tensor(bias["values"]).float()
        bias = LogitBias(ids, torch.tensor(bias["offsets"]), values)
    elif bias is not None:
        bias = {key[0] if len(key) == 1 else tuple(key): value for key, value in bias}
    skipped = torch.tensor(skipped) if isinstance(skipped, list) else skipped
    dry = None if dry is None else (*dry[:3], tuple(dry[3]))
    return Penalties(**{**fields, "logit_bias": bias, "ignore_prompt": skipped, "dry": dry})


def _ids(key: Any) -> list[int]:
    return [int(i) for i in key] if isinstance(key, tuple) else [int(key)]
