"""Seeds of runs: given, or fresh and kept, so that every run can be repeated."""

from __future__ import annotations

import secrets
from typing import Any

from aligndec.shared.scalars import whole

__all__ = ["fresh_seed", "run_seed"]


def fresh_seed() -> int:
    """Return 63 random bits of the operating system."""
    return secrets.randbits(63)


def run_seed(function: str, seed: Any) -> int:
    """Return the seed of a run: the given one, or a fresh one for None."""
    return fresh_seed() if seed is None else whole(function, "seed", seed)
