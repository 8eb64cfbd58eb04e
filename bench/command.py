"""What the bench scripts share as commands: their options, and how they end."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from report import Load, Row, save, show

__all__ = ["conclude", "parser", "run"]


def parser(doc: str, repeats: int, unit: str = "turns per ratio") -> argparse.ArgumentParser:
    """Options of every script; the first line of its documentation is the description."""
    out = argparse.ArgumentParser(description=doc.splitlines()[0])
    out.add_argument("--json", type=Path, help="write the results here")
    out.add_argument("--repeats", type=int, default=repeats, help=unit)
    return out


def conclude(rows: Sequence[Row], load: Load, json: Path | None) -> int:
    """Show the rows and store them; 0 whatever was measured: a target is no test."""
    print("\n" + show(rows))
    print(f"others used {load.others()} cores meanwhile")
    if json:
        save(json, rows, load)
        print(f"wrote {json}")
    return 0


def run(doc: str, repeats: int, measured: Callable[[int], Sequence[Row]]) -> int:
    """Run a script without options of its own: `measured(repeats)` returns its rows."""
    options = parser(doc, repeats).parse_args()
    load = Load()
    return conclude(measured(options.repeats), load, options.json)
