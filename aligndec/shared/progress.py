"""Progress bars of the loops over a model."""

from __future__ import annotations

from typing import Any

__all__ = ["token_bar"]


def token_bar(what: str, total: int, unit: str = "tok") -> Any:
    """Return a tqdm bar over tokens (or another unit), or None without tqdm."""
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return None
    return tqdm(total=total, unit=unit, desc=what)
