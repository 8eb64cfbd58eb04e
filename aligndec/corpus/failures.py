"""Shards that were set aside, each with its reason in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aligndec.shared import replacing

__all__ = ["Failures"]


class Failures:
    """`failed/<index>.json`: what a shard failed of, and how often it was tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, index: int) -> Path:
        """File of a shard's failure, there or not."""
        return self.folder / f"{index:06d}.json"

    def set_aside(self, index: int, error: str, attempts: int) -> None:
        """Write down why a shard is not done."""
        self.folder.mkdir(exist_ok=True)
        with replacing(self.path(index)) as partial:
            told = {"shard": index, "attempts": attempts, "error": error}
            partial.write_text(json.dumps(told, indent=1), encoding="utf-8")

    def forget(self, index: int) -> None:
        """Remove what was written: the shard is tried again, or done."""
        self.path(index).unlink(missing_ok=True)

    def all(self) -> dict[int, dict[str, Any]]:
        """Every failure by the index of its shard."""
        found: dict[int, dict[str, Any]] = {}
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                found[int(told["shard"])] = told
            except (ValueError, KeyError, OSError):
                continue
        return found
