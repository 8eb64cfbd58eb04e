"""Best-of-n: its exact law with ties, what it costs in KL, what it gains, and its relatives.

Where a function takes a `beta`, it multiplies the reward. KL in nats; everything in float64.
"""

from aligndec.best_of_n.bounds import kl_bound, kl_estimate, n_for_kl
from aligndec.best_of_n.curve import Curve, reward_curve
from aligndec.best_of_n.law import kl, levels_of, pmf, win_rate
from aligndec.best_of_n.select import poisson_select, rejection_select, select, soft_select

__all__ = [
    "Curve",
    "kl",
    "kl_bound",
    "kl_estimate",
    "levels_of",
    "n_for_kl",
    "pmf",
    "poisson_select",
    "rejection_select",
    "reward_curve",
    "select",
    "soft_select",
    "win_rate",
]
