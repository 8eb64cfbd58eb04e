"""Large strings: rates, Rényi quantities, memoryless best-of-n, Markov chains.

Formulas after Yang, Salamatian, Sun, Suresh and Beirami, "Asymptotics of language model alignment"
(2024). `beta` multiplies the reward; KL in nats; everything in float64.
"""

from aligndec.asymptotics.markov import MarkovTilt, markov_tilt
from aligndec.asymptotics.memoryless import (
    MemorylessBestOfN,
    Tail,
    memoryless_best_of_n,
    memoryless_tail,
)
from aligndec.asymptotics.rates import cgf, rate_function, renyi_cross_entropy, renyi_divergence

__all__ = [
    "MarkovTilt",
    "MemorylessBestOfN",
    "Tail",
    "cgf",
    "markov_tilt",
    "memoryless_best_of_n",
    "memoryless_tail",
    "rate_function",
    "renyi_cross_entropy",
    "renyi_divergence",
]
