"""The books of a run's strings under a policy in training, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.generation import Generation, StringScores, score_strings
from aligndec.reference import beyond_temperature
from aligndec.step import Adaptor, KeptSets

__all__ = ["replay"]


def replay(
    model: Any,
    generation: Generation,
    *,
    kept: bool = True,
    batch_size: int | None = None,
    gradient: bool = True,
) -> StringScores:
    """Score the strings of a run under `model` by the law that drew them.

    Each token keeps its set and its temperature; what moves is the policy:
    log q_θ(y_t) = log p_θ,τ(y_t) − log Σ_{v ∈ C_t} p_θ,τ(v).

    Parameters
    ----------
    model : transformers.PreTrainedModel or StepLM
        The policy; may be in training mode.
    generation : Generation
        Drawn with `keep_sets=True`, which a run without cuts does not need.
    kept : bool
        False: over the full vocabulary at the run's temperature, as trainers do that do not know
        the sets. For comparison: on a truncated run its ratios and gradients are biased.
    batch_size : int, optional
        Strings read together at most; default all.
    gradient : bool
        Whether the books have gradients with respect to the model's parameters.

    Returns
    -------
    StringScores
        Fields [1, N], per token [1, N, T].

    Raises
    ------
    ValueError
        Where the run kept no sets, some are not complete, or it had penalties.
    """
    sets = _sets(generation) if kept else None
    if sets is not None and not bool(sets.complete.all()):
        width = sets.batch // len(generation)
        rows = sorted({i // width for i in (~sets.complete).nonzero()[:, 0].tolist()})
        raise ValueError(
            "replay: generation.kept must be complete, got sets larger than max_ids in strings "
            f"{rows[:8]}{'…' if len(rows) > 8 else ''} (draw with keep_sets=True or a larger "
            "number, or select the other strings)"
        )
    scales = [
        Adaptor(temperature=a.temperature, dynamic_temperature=a.dynamic_temperature)
        for a in generation.adaptors
    ]
    prompts, strings = generation.prompts(), generation.completions()
    index = torch.arange(len(generation))
    of_string = generation.prompt_index.cpu() if len(scales) > 1 else torch.zeros_like(index)
    # One pass for each temperature; strings that share it are read together.
    parts, order = [], []
    for scale in dict.fromkeys(scales):
        same = torch.tensor([scales[i] == scale for i in of_string.tolist()], dtype=torch.bool)
        here = index[same]
        if len(here) == 0:
            continue
        chosen = None if sets is None else _of_strings(sets, here, len(generation))
        order.append(here)
        parts.append(
            score_strings(
                model,
                [prompts[i] for i in here.tolist()],
                [strings[i] for i in here.tolist()],
                [scale],
                batch_size=batch_size,
                kept=chosen,
                per_token=True,
                gradient=gradient and torch.is_grad_enabled(),
            )
        )
    return parts[0] if len(parts) == 1 else _joined(parts, torch.cat(order))


def _sets(generation: Generation) -> KeptSets | None:
    if generation.penalties is not None:
        raise ValueError(
            "replay: generation must be a run without penalties, got one with them (their bias is "
            "not stored)"
        )
    if generation.kept is not None:
        return generation.kept
    for adaptor in generation.adaptors:
        for name, value in beyond_temperature(adaptor).items():
            raise ValueError(
                f"replay: generation.kept must be there where the run cut ({name}={value!r}), got "
                "None (draw with generate(keep_sets=True); kept=False scores over the full "
                "vocabulary, which is biased)"
            )
    return None


def _of_strings(sets: KeptSets, rows: Tensor, n: int) -> KeptSets:
    """Return the sets of some strings out of n."""
    width = sets.batch // n
    tokens = (rows[:, None] * width + torch.arange(width)).reshape(-1)
    return KeptSets(*sets.select(tokens.to(sets.offsets.device)))


def _joined(parts: list[StringScores], order: Tensor) -> StringScores:
    """Lay strings of several passes in their order."""
    back = torch.argsort(order)
    width = max(p.token_log_q.shape[2] for p in parts if p.token_log_q is not None)

    def whole(name: str) -> Tensor:
        fields = [getattr(p, name) for p in parts]
        if name.startswith("token_"):
            fields = [torch.nn.functional.pad(f, (0, width - f.shape[2])) for f in fields]
        return torch.cat(fields, 1)[:, back.to(fields[0].device)]

    names = ("log_p", "log_q", "log_z", "log_kept", "kl")
    sums = StringScores(*(whole(name) for name in StringScores._fields))
    return sums.with_tokens(*(whole(f"token_{name}") for name in names))
