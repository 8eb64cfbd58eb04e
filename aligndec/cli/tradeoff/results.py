"""The numbers of a study: one row per scheme and law, and the correlations at every level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from aligndec import imh
from aligndec.cli.tradeoff.corpora import LAWS, VALUES, Pool
from aligndec.cli.tradeoff.schemes import Scheme
from aligndec.shared import at_a_time
from aligndec.step import Adaptor
from aligndec.tradeoff import (
    Correlation,
    Correlations,
    correlation_intervals,
    correlations,
    fisher_interval,
    typical_mask,
)

__all__ = ["ADJUSTMENTS", "StudiedScheme", "summarise"]

ADJUSTMENTS: tuple[Literal["none", "per_token", "length"], ...] = ("none", "per_token", "length")


_REPLICATES = 400
_LEVEL = 0.95
_SHARES = (0.02, 0.2, 0.6, 1.0)
_FEWEST = 20


@dataclass(frozen=True)
class StudiedScheme:
    """A scheme, its strings, and per law the means over its corpora, arrays [n_corpora]."""

    scheme: Scheme
    pool: Pool
    drawn: dict[str, dict[str, Any]]
    particles: Pool | None = None  # what the laws of whole strings are drawn from instead

    def of(self, law: str) -> Pool:
        """Return the strings that a law is drawn from."""
        return self.pool if law == "local" or self.particles is None else self.particles


def summarise(found: list[StudiedScheme], beta: float, seed: int) -> dict[str, Any]:
    """Everything that tables and pages quote, as JSON can hold it (NaN becomes None)."""
    results = {
        "schemes": [row for studied in found for row in _rows(studied, beta)],
        "strings": _of_strings(found, seed),
        "laws": {law: _of_law(found, law, beta, seed) for law in LAWS},
        "typical": next((_typical(s, beta) for s in found if s.scheme.adaptor == Adaptor()), None),
    }
    plain: dict[str, Any] = _plain(results)
    return plain


def weighted_means(log_weight: Tensor, values: Tensor) -> Tensor:
    """Exact means under the self-normalised weights of each prompt, prompts equally: [..., S].

    `log_weight` is [..., P, R], `values` [..., P, R, S].
    """
    return (log_weight.softmax(-1)[..., None] * values).sum(-2).mean(-2)


def _rows(studied: StudiedScheme, beta: float) -> list[dict[str, Any]]:
    scheme = studied.scheme
    rows = []
    for law in LAWS:
        pool = studied.of(law)
        weight = pool.log_weight(law, scheme.temperature, beta)
        judged = imh.diagnostics(weight)
        within = weight - weight.mean(-1, keepdim=True)
        rows.append(
            {
                "scheme": scheme.name,
                "family": scheme.family,
                "temperature": scheme.temperature,
                "law": law,
                "strings": weight.numel(),
                **dict(zip(VALUES, weighted_means(weight, pool.values()).tolist(), strict=True)),
                "log_weight_sd": float(within.square().mean().sqrt()),
                "acceptance": float(np.mean(studied.drawn[law]["acceptance"])),
                "expected_acceptance": float(judged.expected_acceptance.mean()),
                "ess": float(judged.ess.mean()),
                "draws": weight.shape[1],
                "max_weight_share": float(judged.max_weight_share.mean()),
                "log_z": float(judged.log_z.mean()),
                "degenerate_prompts": int(judged.flags["degenerate"].sum()),
            }
        )
    return rows


def _of_strings(found: list[StudiedScheme], seed: int) -> dict[str, Any]:
    """Correlate the strings as they were drawn."""
    flat = [studied.pool.values().flatten(0, 1) for studied in found]
    label = torch.arange(len(found)).repeat_interleave(torch.tensor([len(x) for x in flat]))
    log_prior, reward, length = torch.cat(flat).unbind(1)
    out: dict[str, Any] = {}
    for adjust in ADJUSTMENTS:
        options: dict[str, Any] = {"length": length, "adjust": adjust}
        seen = correlations(log_prior, reward, label, **options)
        options |= {"n_bootstrap": _REPLICATES, "level": _LEVEL, "seed": seed}
        ends = correlation_intervals(log_prior, reward, label, **options)
        out[adjust] = {
            level: _with_interval(getattr(seen, level), getattr(ends, level))
            for level in ("string", "between", "pooled")
        } | {"within": _median(seen)}
    return out


def _of_law(found: list[StudiedScheme], law: str, beta: float, seed: int) -> dict[str, Any]:
    """Correlate the corpora of a law, and its centres with an interval from redrawn strings."""
    drawn = [studied.drawn[law] for studied in found]
    log_prior, reward, length = (
        torch.from_numpy(np.concatenate([d[name] for d in drawn])) for name in VALUES
    )
    label = torch.arange(len(drawn)).repeat_interleave(len(drawn[0]["reward"]))
    out: dict[str, Any] = {}
    for adjust in ADJUSTMENTS:
        seen = correlations(log_prior, reward, label, length=length, adjust=adjust)
        out[adjust] = {
            "corpus": seen.string._asdict(),
            "between": seen.between._asdict(),
            "pooled": seen.pooled._asdict(),
            "within": _median(seen),
        }
    centres = _redrawn_centres(found, law, beta, seed)
    # One label per replicate: the coefficients of its centres are those within it.
    replicate = torch.arange(len(centres)).repeat_interleave(len(found))
    x, y, _ = centres.flatten(0, 1).unbind(1)
    redrawn = correlations(x, y, replicate).within
    between = Correlation(*out["none"]["between"].values())
    ends = fisher_interval(torch.tensor(between).double(), torch.tensor(redrawn).double(), _LEVEL)
    out["none"]["between"] = _with_interval(between, ends)
    return out


def _redrawn_centres(found: list[StudiedScheme], law: str, beta: float, seed: int) -> Tensor:
    """Centres of the schemes when strings are redrawn within scheme and prompt: [B, schemes, S]."""
    generator = torch.Generator().manual_seed(seed)
    out = []
    for studied in found:
        weight = studied.of(law).log_weight(law, studied.scheme.temperature, beta)
        values = studied.of(law).values()
        parts = []
        for some in at_a_time(_REPLICATES, values.numel()):
            index = torch.randint(weight.shape[1], (some, *weight.shape), generator=generator)
            again = weight.expand(index.shape).gather(-1, index)
            wide = index[..., None].expand(*index.shape, values.shape[-1])
            parts.append(weighted_means(again, values.expand(wide.shape).gather(-2, wide)))
        out.append(torch.cat(parts))
    return torch.stack(out, 1)


def _typical(studied: StudiedScheme, beta: float) -> dict[str, Any]:
    """Condition corpora of the aligned law itself on sets of different typicality.

    The scheme is the identity, so log p₊ = log p + r/β − log Z is known for every string.
    """
    pool, drawn = studied.pool, studied.drawn["aligned"]
    weight = pool.log_weight("aligned", 1.0, beta)
    log_z = imh.diagnostics(weight).log_z
    mean_log_z = float(log_z.mean())
    entropy = mean_log_z - float(weighted_means(weight, (pool.log_p + weight)[..., None]))
    log_prior, reward = (torch.from_numpy(drawn[name]) for name in ("log_prior", "reward"))
    log_p_plus = log_prior + reward / beta - mean_log_z
    rows = []
    for share in _SHARES:
        if share * len(reward) < _FEWEST:
            continue
        epsilon = float((-log_p_plus - entropy).abs().quantile(share))
        chosen = typical_mask(log_p_plus, entropy, epsilon * (1 + 1e-9))
        pair = correlations(log_prior[chosen], reward[chosen]).string
        rows.append({"share": share, "epsilon": epsilon, **pair._asdict()})
    return {"log_z": mean_log_z, "entropy": entropy, "sets": rows}


def _with_interval(pair: Correlation, ends: Tensor) -> dict[str, Any]:
    return {**pair._asdict(), "interval": ends.tolist()}


def _median(seen: Correlations) -> dict[str, float]:
    """Median coefficient inside a scheme."""
    return {
        name: float(np.nanmedian([getattr(pair, name) for pair in seen.within]))
        for name in Correlation._fields
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
