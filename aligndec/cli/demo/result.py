"""What the demo knows of one adaptor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from aligndec import imh
from aligndec.cli.demo.measure import Speed
from aligndec.generation import Generation

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """One adaptor: its strings, their texts, and the speed when it was measured."""

    name: str
    generation: Generation
    texts: list[str]
    speed: Speed | None

    def per_token(self, sums: torch.Tensor) -> float:
        """Mean over all generated tokens of a field that is summed per string."""
        return float(sums.sum() / self.generation.length.sum().clamp(min=1))

    @property
    def log_weight(self) -> torch.Tensor:
        """Of each string for the globally normalised law, [P, draws]."""
        return self.generation.log_z.view(len(self.generation.prompt_ids), -1)

    @cached_property
    def chain(self) -> imh.Chain:
        """Independence Metropolis–Hastings over the strings, one chain per prompt."""
        return imh.chain(self.log_weight, seed=self.generation.seed or 0)

    @property
    def kept(self) -> float:
        """Mean mass of the kept set per token, under the scaled law."""
        columns = self.generation.token_log_kept
        if columns is None:
            raise ValueError("kept: generation must hold the per-token fields, got none")
        inside = torch.arange(columns.shape[1]) < self.generation.length[:, None]
        return float(columns[inside].exp().mean())
