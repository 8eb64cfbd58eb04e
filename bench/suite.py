"""What is measured: adaptors, sizes, targets. New adaptors are found through `ad.FIELDS`."""

from typing import NamedTuple

from aligndec.step.adaptors import FIELDS, Adaptor

__all__ = [
    "BATCH",
    "BESIDE",
    "BIASED",
    "CHAIN",
    "COLD",
    "GRID",
    "HOT",
    "KINDS",
    "LIMITS",
    "SETS",
    "THREADS",
    "VOCAB",
    "VOCAB_GRID",
    "Limit",
    "adaptor",
    "sorts",
]

VOCAB, VOCAB_GRID, BATCH, THREADS = 128256, 49152, 32, (1, 2)
COLD, HOT = 0.7, 1.3
CHAIN = "top_k+top_p+min_p"
KINDS: dict[str, dict[str, float | int]] = {
    "top_k": {"top_k": 50},
    "top_p": {"top_p": 0.9},
    "min_p": {"min_p": 0.05},
    "typical_p": {"typical_p": 0.9},
    "epsilon_cutoff": {"epsilon_cutoff": 3e-4},
    "eta_cutoff": {"eta_cutoff": 2e-3},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "p_less": {"p_less": 2.0},
    "top_h": {"top_h": 0.4},
    "top_a": {"top_a": 0.2},
    CHAIN: {"top_k": 1000, "top_p": 0.9, "min_p": 0.01},
}
# Later kinds, and the earlier one that each is to cost hardly more than.
BESIDE = {"p_less": "min_p", "top_a": "min_p", "top_h": "top_p"}
# Kept sets of up to so many ids are handed out; a bias edits so many tokens of a row.
SETS, BIASED = 2000, 200
if {field.name for field in FIELDS} != set(KINDS) - {CHAIN}:
    raise RuntimeError("bench: KINDS must name every field of aligndec.adaptors.FIELDS")


class Limit(NamedTuple):
    """`sense` "<=": our time over the baseline's; ">=": the baseline's time over ours."""

    sense: str
    target: float
    goal: float | None = None

    def ratio(self, ours: float, theirs: float) -> float:
        return ours / theirs if self.sense == "<=" else theirs / ours

    def met(self, ratio: float) -> bool:
        return ratio <= self.target if self.sense == "<=" else ratio >= self.target


LIMITS: dict[str, Limit] = {
    "sample": Limit("<=", 1.15, 1.0),
    "sample, sorted": Limit("<=", 1.35, 1.15),
    "sample, temperature": Limit("<=", 1.9, 1.5),
    "sample, half": Limit("<=", 1.0),
    "sample, beside min_p": Limit("<=", 1.15),
    "sample, beside top_p": Limit("<=", 1.1),
    "sample, sets": Limit("<=", 1.1),
    "sample, bias": Limit("<=", 1.1),
    "sample, one row": Limit("<=", 1.0),
    "eager, one row": Limit(">=", 30.0),
    "eager": Limit(">=", 40.0),
    "eager, sorted": Limit(">=", 100.0),
    "score_grid": Limit("<=", 0.2, 0.13),
    "memory": Limit("<=", 0.05),
    "generate, speed": Limit(">=", 1.3),
    "generate, outside": Limit(">=", 10.0),
    "generate, share": Limit("<=", 0.05),
    "transfer_q": Limit(">=", 6.0),
}

# 5 kinds x 5 temperatures, the shape of a sweep.
GRID: list[Adaptor] = [
    Adaptor(temperature=temperature, **KINDS[kind])
    for kind in ("top_k", "top_p", "min_p", "typical_p", "eta_cutoff")
    for temperature in (0.6, 0.8, 1.0, 1.2, 1.4)
]


def adaptor(kind: str, temperature: float = 1.0) -> Adaptor:
    return Adaptor(temperature=temperature, **KINDS[kind])


def sorts(kind: str) -> bool:
    """Whether transformers sorts the vocabulary for this kind (for the chain, a part of it)."""
    return kind in ("top_p", "typical_p", "top_h")
