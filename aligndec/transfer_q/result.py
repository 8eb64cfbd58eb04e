"""What decoding from π_ref · exp(Q/α) returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from aligndec.generation import Generation
from aligndec.shared import result

__all__ = ["TransferQGeneration"]


@result
@dataclass(kw_only=True, eq=False, repr=False)
class TransferQGeneration(Generation):
    """Strings decoded with a reward, with their books and what they cost.

    Attributes of `Generation` mean: `log_p` the baseline's log-probability of the string, `log_q`
    the law it was drawn from (`log_alg`), `log_z` = `log_kept` Σ ln of the baseline's mass of the
    candidates, `kl` Σ KL(π_alg ‖ π_ref) on the candidates.

    Attributes
    ----------
    log_ref, log_alg : float64 [N]
        Σ over the decisions of the chosen candidate's log-probability under the reference
        renormalised on the candidates, and under the law it was drawn from.
    reward : float64 [N]
        Of the final strings.
    model_forwards, model_tokens : int
        Calls of the models (the baseline, and `sft` where it is used) and tokens they read,
        padding of prompts not counted.
    reward_calls, reward_items : int
        Calls of reward functions and strings they scored, the final ones included.
    """

    log_ref: Tensor
    log_alg: Tensor
    reward: Tensor
    model_forwards: int
    model_tokens: int
    reward_calls: int
    reward_items: int
