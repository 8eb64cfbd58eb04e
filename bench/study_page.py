"""Tables and figures of docs/tradeoff.md from a run of `aligndec tradeoff`.

    python bench/study_page.py FOLDER

copies results.json to bench/results and the figures to docs/figures, and writes the tables into
docs/tradeoff.md between its two study markers.
"""

import json
import shutil
import sys
from pathlib import Path

from markers import replace_between

from aligndec.cli.tradeoff.report import markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "bench" / "results" / "tradeoff.json", ROOT / "docs" / "tradeoff.md"
FIGURES = ("string_level", "corpus_level", "acceptance")
BEGIN, END = "<!-- study:begin -->", "<!-- study:end -->"


def main(folder: Path) -> None:
    shutil.copyfile(folder / "results.json", RESULTS)
    for name in FIGURES:
        shutil.copyfile(folder / f"{name}.png", ROOT / "docs" / "figures" / f"tradeoff_{name}.png")
    tables = markdown(json.loads(RESULTS.read_text("utf-8")))
    PAGE.write_text(replace_between(BEGIN, END, PAGE.read_text("utf-8"), tables), "utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
