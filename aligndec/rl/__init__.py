"""Policy gradients on truncated samples: the books of the sampler, replayed by the trainer.

A token drawn from a truncated law q(y) = p_τ(y) / S, S the mass of its kept set C, has importance
ratio q_new(y) / q_old(y) with both masses taken on the same C. `importance_ratio` compares books,
`policy_gradient_loss` trains on them, `score_hidden` is their head without [rows, V].
"""

from aligndec.rl.loss import policy_gradient_loss
from aligndec.rl.ratio import ImportanceRatio, importance_ratio
from aligndec.rl.replay import replay
from aligndec.step import score_hidden

__all__ = [
    "ImportanceRatio",
    "importance_ratio",
    "policy_gradient_loss",
    "replay",
    "score_hidden",
]
