"""The KL-constrained optimum: the tilted law φ_β ∝ p exp(β r), its budget, its frontier.

**β multiplies the reward.** Where the literature writes exp(r/β) (RLHF, DPO, BOND), that β is
`kl_coef` here: β = 1/kl_coef. Functions that take one take the other instead, never both. Natural
logs; KL in nats; everything is computed and returned in float64.

For every ω: β E_ω r − KL(ω‖p) = Λ(β) − KL(ω‖φ_β), so φ_β has the largest reward of all laws with
KL(·‖p) <= KL(φ_β‖p). Yang, Salamatian, Sun, Suresh and Beirami, "Asymptotics of language model
alignment" (2024).
"""

from aligndec.reference import Tilt
from aligndec.tilting.frontier import Frontier, Gap, optimality_gap, reward_kl_frontier
from aligndec.tilting.law import TiltStats, tilt, tilt_stats
from aligndec.tilting.solved import (
    Solved,
    kl_max,
    solve_beta_for_kl,
    solve_beta_for_reward,
    solve_rows,
)

__all__ = [
    "Frontier",
    "Gap",
    "Solved",
    "Tilt",
    "TiltStats",
    "kl_max",
    "optimality_gap",
    "reward_kl_frontier",
    "solve_beta_for_kl",
    "solve_beta_for_reward",
    "solve_rows",
    "tilt",
    "tilt_stats",
]
