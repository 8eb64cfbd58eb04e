"""Table and figure of docs/global.md from a run of bench_whole_strings.py.

    python bench/whole_strings_page.py

reads bench/results/whole_strings-cpu.json and writes the table between the page's two markers and
docs/figures/whole_strings.png.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from markers import replace_between

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "bench" / "results" / "whole_strings-cpu.json", ROOT / "docs" / "global.md"
FIGURE = ROOT / "docs" / "figures" / "whole_strings.png"
BEGIN, END = "<!-- whole_strings:begin -->", "<!-- whole_strings:end -->"
HEAD = (
    "cap",
    "τ",
    "method",
    "effective strings",
    "seconds each",
    "model tokens each",
    "mean ln p",
    "",
)


def number(x: float) -> str:
    return f"{x:.3g}" if x < 1000 else f"{x:,.0f}".replace(",", " ") if x < 1e6 else f"{x:.1e}"


def table(results: list[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(HEAD) + " |", "|--:|--:|---|--:|--:|--:|--:|---|"]
    for row in results:
        each = [number(row[name] / row["effective"]) for name in ("seconds", "model_tokens")]
        mean = "" if row["mean_log_p"] is None else f"{row['mean_log_p']:.1f}"
        place = (str(row["cap"]), str(row["temperature"]), row["method"])
        cells = (*place, f"{row['effective']:.1f}", *each, mean, row["note"])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(record: dict[str, Any]) -> str:
    turns = record["against_generate"]
    sizes = {row["cap"]: (row["strings"], row["replicates"]) for row in record["results"][:-1]}
    budget = ", ".join(
        f"{strings} strings at cap {cap} ({replicates} replicates)"
        for cap, (strings, replicates) in sizes.items()
        if replicates
    )
    return f"""
![Model tokens for each effective string](figures/whole_strings.png)

{table(record["results"])}

SmolLM2-135M-Instruct, one prompt, top_p 0.9 and top_k 30, target "power"; {budget} for every
method; `{record["command"]}`, {record["machine"]}, {record["threads"]} threads, torch
{record["torch"]}, other processes busy meanwhile (load {record["load"]:.0f}): seconds compare
methods and nothing else. A filter of 16 particles took {turns["smc"] / turns["generate"]:.2f} × the
time of `generate` of 16 strings (48 tokens, minima of turns).
"""


def draw(results: list[dict[str, Any]]) -> None:
    places = sorted({(row["cap"], row["temperature"]) for row in results})
    methods = list(dict.fromkeys(row["method"] for row in results))
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    width = 0.8 / len(methods)
    for m, method in enumerate(methods):
        cost = {
            (row["cap"], row["temperature"]): row["model_tokens"] / row["effective"]
            for row in results
            if row["method"] == method
        }
        xs = [i + (m - (len(methods) - 1) / 2) * width for i, at in enumerate(places) if at in cost]
        axes.bar(xs, [cost[at] for at in places if at in cost], width, label=method)
    axes.set_yscale("log")
    axes.set_xticks(range(len(places)), [f"cap {cap}, τ = {tau}" for cap, tau in places])
    axes.set_ylabel("model tokens per effective string")
    axes.legend(frameon=False, fontsize=8, ncols=4)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, dpi=110)
    plt.close(figure)


def main() -> None:
    record = json.loads(RESULTS.read_text("utf-8"))
    draw(record["results"])
    PAGE.write_text(replace_between(BEGIN, END, PAGE.read_text("utf-8"), page(record)), "utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
