"""What Transfer Q* keeps of its strings and of their cost: the only place that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.models import Counted
from aligndec.rewards import Ids, RewardCalls
from aligndec.transfer_q.choice import SUMS
from aligndec.transfer_q.continuations import Paths
from aligndec.transfer_q.values import Texts

__all__ = ["Records", "costs"]


class Records:
    """Records of N strings: tokens so far, as a tensor and as lists, and `SUMS` float64 [5, N]."""

    def __init__(self, prompts: Ids, width: int, pad: int, device: torch.device) -> None:
        n = len(prompts)
        self.prompts, self.completions = prompts, [list[int]() for _ in prompts]
        self.tokens = torch.full((n, width), pad, dtype=torch.int64, device=device)
        self.length = torch.zeros(n, dtype=torch.int64, device=device)
        self.status = torch.zeros_like(self.length)
        self.finished = torch.zeros_like(self.length, dtype=torch.bool)
        self.sums = torch.zeros(len(SUMS), n, dtype=torch.float64, device=device)

    def texts(self, rows: Tensor) -> Texts:
        """Return what strings consist of so far."""
        numbers = rows.tolist()
        return Texts([self.prompts[i] for i in numbers], [self.completions[i] for i in numbers])

    def judge(self, rows: Tensor, status: Tensor) -> None:
        """Note which strings end because of unusable logits."""
        self.status[rows] = status

    def append(self, rows: Tensor, t: int, paths: Paths, index: Tensor, sums: Tensor) -> None:
        """Append paths `index` int64 [m] to the strings `rows` [m] at position t; sums [5, m]."""
        self.tokens[rows, t : t + paths.tokens.shape[1]] = paths.tokens[index]
        self.length[rows] += paths.length[index]
        for row, text in zip(rows.tolist(), paths.texts(index), strict=True):
            self.completions[row] += text
        self.sums[:, rows] += sums
        self.finished[rows] = paths.ended[index]

    def fields(self) -> dict[str, Any]:
        """Return the fields of a `TransferQGeneration` that are decided string by string."""
        sums = dict(zip(SUMS, self.sums, strict=True))
        return sums | {
            "tokens": self.tokens[:, : max(1, int(self.length.max()))].contiguous(),
            "length": self.length,
            "finished": self.finished,
            "status": self.status,
            "log_q": sums["log_alg"],
            "log_z": sums["log_kept"],
        }


def costs(models: Sequence[Counted], rewards: Sequence[RewardCalls]) -> dict[str, Any]:
    """Return the fields of a `TransferQGeneration` that say what was asked of whom."""
    return {
        "model_forwards": sum(model.forwards for model in models),
        "model_tokens": sum(model.tokens for model in models),
        "reward_calls": sum(calls.calls for calls in rewards),
        "reward_items": sum(calls.items for calls in rewards),
    }
