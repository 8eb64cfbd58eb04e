"""Replicates a few at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["at_a_time"]

# Numbers that are formed at once: 2 MiB of float64 stay in a core's cache.
_ENTRIES = 1 << 18


def at_a_time(count: int, size: int) -> Iterator[int]:
    """Yield how many of `count` replicates, of `size` numbers each, to form next.

    A generator's numbers come in one order, so the replicates do not depend on how they are split.
    """
    most = max(1, _ENTRIES // max(1, size))
    for first in range(0, count, most):
        yield min(most, count - first)
