"""The bounds in pyproject.toml, the cells of the matrix and the pins say the same."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "versions"))
from cells import CELLS  # noqa: E402

tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BOUNDS = dict(
    re.match(r"([\w-]+)>=([\d.]+)$", line).groups()
    for line in [*PROJECT["dependencies"], *(x for e in ("hf", "cli", "stats") for x in EXTRAS[e])]
)


def pins(lines: tuple[str, ...]) -> dict[str, str]:
    return dict(line.split("==") for line in lines)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_lowest_cell_stands_on_the_lower_bound(name: str) -> None:
    cell = CELLS["torch 2.10.0" if name == "torch" else "lowest"]
    assert re.fullmatch(rf"{re.escape(BOUNDS[name])}(\.0)*", pins(cell.over)[name])


def test_every_dependency_has_a_lower_bound_and_no_upper_one() -> None:
    lines = [*PROJECT["dependencies"], *(x for extra in EXTRAS.values() for x in extra)]
    # What formats and checks the code is one version for all.
    others = [x for x in lines if not x.startswith("aligndec[") and x not in EXTRAS["lint"]]
    assert [x for x in others if not re.fullmatch(r"[\w-]+>=[\d.]+", x)] == []


def test_the_known_range_is_that_of_the_matrix() -> None:
    pytest.importorskip("transformers")
    from aligndec.models.hf import compat

    known = [pins(CELLS[name].over)["transformers"] for name in ("lowest", "newest")]
    assert known == [compat.OLDEST, compat.NEWEST]


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "requirements" / "pinned.txt").read_text().splitlines()
    pinned = {line.split("==")[0] for line in lines if not line.startswith("#")}
    assert {name.lower() for name in BOUNDS} - {"torch"} <= pinned
    assert "torch" not in pinned
