"""Everything of TRL that it does not promise: where its GRPO trainer takes log-probabilities.

TRL 1.16 asks `_get_per_token_logps_and_entropies` for the policy, the old policy and the reference
alike. It is looked for by its signature, not by a version number.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

from aligndec.integrations.trl.rollout import Rollout

__all__ = ["ReplayGRPOTrainer"]

KNOWN = "1.16.0"
_NEEDED = ("model", "input_ids", "attention_mask", "logits_to_keep", "compute_entropy")


class ReplayGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's `GRPOTrainer` with log-probabilities of the law that drew the tokens.

    log q_θ(y_t) = log p_θ,τ(y_t) − log Σ_{v ∈ C_t} p_θ,τ(v) on the sets C_t that the rollout kept,
    for the policy, the old policy and the reference. All else is TRL's: losses, advantages, logs.

    Parameters
    ----------
    *args, **kwargs
        As `GRPOTrainer`, with `rollout_func` an `aligndec.integrations.trl.Rollout`.
    replay : bool
        False leaves TRL's own log-probabilities, over the full vocabulary: for comparison.

    Notes
    -----
    One process; a model that is wrapped (DDP, FSDP, DeepSpeed) is refused, since its head is
    called on hidden states. Text only. TRL's entropies are then those of the base law.
    """

    def __init__(self, *args: Any, replay: bool = True, **kwargs: Any) -> None:
        rollout = kwargs.get("rollout_func")
        if not isinstance(rollout, Rollout):
            raise TypeError(
                "ReplayGRPOTrainer: rollout_func must be a Rollout (aligndec.integrations.trl), "
                f"got {type(rollout).__name__}"
            )
        accepts = inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters
        if missing := [name for name in _NEEDED if name not in accepts]:
            raise TypeError(
                f"ReplayGRPOTrainer: TRL {version('trl')} takes log-probabilities in no known way "
                f"(no {', '.join(missing)}); {KNOWN} works: pip install 'trl=={KNOWN}', or a newer "
                "aligndec"
            )
        self.replay, self.rollout = replay, rollout
        super().__init__(*args, **kwargs)
        if replay and self.temperature != rollout.adaptor.temperature:
            raise ValueError(
                "ReplayGRPOTrainer: args.temperature must be the adaptor's, "
                f"{rollout.adaptor.temperature}, got {self.temperature}"
            )

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **more: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        asked = (model, input_ids, attention_mask, logits_to_keep)
        if not self.replay:
            options = {"compute_entropy": compute_entropy, "compute_aux_loss": compute_aux_loss}
            out: tuple[Tensor, Tensor | None, Tensor | None] = (
                super()._get_per_token_logps_and_entropies(*asked, batch_size, **options, **more)
            )
            return out
        inner = self.accelerator.unwrap_model(model)
        given = [name for name, value in more.items() if value is not None]
        if inner is not model or compute_aux_loss or given:
            what = "wrapped" if inner is not model else ", ".join(given) or "an auxiliary loss"
            raise TypeError(
                f"ReplayGRPOTrainer: model must be a plain text model in one process, got {what}"
            )
        steps = [
            self.rollout.score(model, *pair, logits_to_keep)
            for pair in zip(
                torch.split(input_ids, batch_size or len(input_ids)),
                torch.split(attention_mask, batch_size or len(input_ids)),
                strict=True,
            )
        ]
        logps = torch.cat([step.log_q for step in steps]).float()
        entropies = torch.cat([step.entropy for step in steps]).float()
        return logps, entropies if compute_entropy else None, None
