"""Figure and README table from the committed results.

    python bench/figure.py

draws docs/figures/adaptor_step.png, prints the Markdown table and writes it into README.md
between its two bench markers, if the file has them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from markers import replace_between
from suite import BATCH, KINDS, THREADS, VOCAB, VOCAB_GRID

ROOT = Path(__file__).resolve().parent.parent
RESULTS, FIGURE = ROOT / "bench" / "results", ROOT / "docs" / "figures" / "adaptor_step.png"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
COLOURS = {1: "#9ecae1", 2: "#08519c"}

Entry = dict[str, Any]


class Results:
    """The rows of one JSON file."""

    def __init__(self, path: Path) -> None:
        self.record: Entry = json.loads(path.read_text())

    def find(self, threads: int, against: str, section: str = "", **fields: Any) -> Entry | None:
        """The row with these fields; the section by its beginning."""
        wanted = {"threads": threads, "against": against, **fields}
        for row in self.record["rows"]:
            same = all(row[name] == value for name, value in wanted.items())
            if same and row["section"].startswith(section):
                return row
        return None

    def limit(self, row: Entry) -> Entry:
        return self.record["limits"][row["section"]]

    def machine(self) -> str:
        machine, torch = self.record["machine"], self.record["versions"]["torch"]
        isa = self.record["versions"]["aligndec"]["instruction_set"]
        words = (
            machine.get("model", "CPU"),
            f"{machine['cores']} cores",
            str(isa),
            f"torch {torch}",
        )
        return ", ".join(words)


def draw(results: Results) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patheffects import withStroke

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), sharey=True, layout="constrained")
    shape = [BATCH, VOCAB]
    panels = (
        ("torch.log_softmax", "time, in units of torch.log_softmax of the same logits"),
        ("eager", "times faster than transformers' eager chain"),
    )
    for axis, (against, label) in zip(axes, panels, strict=True):
        for i, kind in enumerate(KINDS):
            fields = {"adaptor": kind, "logits": "N(0,3)", "shape": shape}
            for j, threads in enumerate(THREADS):
                row = results.find(threads, against, **fields)
                if row is None:
                    continue
                y = i + (j - 0.5) * 0.36
                text = f"{threads} thread{'s' * (threads > 1)}" if i == 0 else None
                axis.barh(y, row["ratio"], 0.34, color=COLOURS[threads], label=text, zorder=2)
                shown = f"{row['ratio']:.2f}" if against != "eager" else f"{row['ratio']:.0f}"
                value = axis.text(row["ratio"], y, f" {shown}", va="center", fontsize=7, zorder=4)
                value.set_path_effects([withStroke(linewidth=2, foreground="white")])
                target = results.limit(row)["target"]
            mark = "target" if i == 0 else None
            axis.plot(
                *([target, target], [i - 0.42, i + 0.42]),
                **{"color": "#d94801", "lw": 1.6, "zorder": 3, "label": mark},
            )
        axis.set_xlabel(label)
        axis.grid(axis="x", color="#dddddd", lw=0.6, zorder=0)
        axis.tick_params(axis="y", length=0)
        axis.margins(x=0.12)
        axis.set_xlim(left=0)
    axes[0].set_yticks(range(len(KINDS)), KINDS)
    axes[0].invert_yaxis()
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False
    )
    title = f"sample with all sums, float32, {BATCH} rows of {VOCAB} logits"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    figure.text(0.01, -0.03, results.machine(), fontsize=7, color="#555555")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=160, bbox_inches="tight")


def table(results: Results, generate: Results | None, transfer_q: Results | None) -> str:
    """Markdown: one line per adaptor, then the single figures."""
    batch, real, one = [BATCH, VOCAB], [BATCH, VOCAB_GRID], [1, VOCAB]
    columns = (
        ("× `log_softmax`", "torch.log_softmax", "N(0,3)", batch, "", "{:.2f}"),
        ("the same, real logits", "torch.log_softmax", "SmolLM2", real, "", "{:.2f}"),
        ("faster than eager", "eager", "N(0,3)", batch, "", "{:.0f} ×"),
        ("one row, × `log_softmax`", "torch.log_softmax", "N(0,3)", one, "", "{:.2f}"),
        ("one row, faster than eager", "eager", "N(0,3)", one, "", "{:.0f} ×"),
    )
    lines = ["| adaptor | " + " | ".join(c[0] for c in columns) + " |"]
    lines.append("|---|" + "--:|" * len(columns))
    for kind in KINDS:
        cells = []
        for _, against, logits, shape, section, form in columns:
            fields = {"adaptor": kind, "logits": logits, "shape": shape}
            found = [results.find(t, against, section, **fields) for t in THREADS]
            cells.append(" / ".join(form.format(row["ratio"]) if row else "–" for row in found))
        lines.append(f"| {kind.replace('+', ' → ')} | " + " | ".join(cells) + " |")
    lines += ["", *_sentences(results), ""]
    if generate:
        lines += [*decoding(generate), ""]
    if transfer_q:
        lines += [transfer(transfer_q), ""]
    source = f"{results.machine()}; {results.record['date'][:10]}; 1 / 2 threads."
    lines.append(f"{source} Command: `{results.record['command']}`.")
    return "\n".join(lines)


def decoding(generate: Results) -> list[str]:
    """Tokens per second of whole strings, ours and transformers', on the same model."""
    rows = [r for r in generate.record["rows"] if r["section"] == "generate, speed"]
    batch, length = rows[0]["shape"]
    lines = [
        f"| SmolLM2-135M, {batch} prompts, top_p 0.9, tokens/s | `generate` | `model.generate` | |",
        "|---|--:|--:|--:|",
    ]
    for name, packed in (("the model as it comes", False), ("`prepack(model)`", True)):
        found = [
            row
            for row in rows
            if row["adaptor"].endswith("prepacked")
            == row["against"].endswith("prepacked")
            == packed
        ]
        cells = [
            " / ".join(f"{batch * length / row[side]:.0f}" for row in found)
            for side in ("ours", "theirs")
        ]
        ratio = " / ".join(f"{row['ratio']:.2f}" for row in found)
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio} × |")
    shares = [r["ratio"] for r in generate.record["rows"] if r["section"] == "generate, share"]
    span = f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"
    return [*lines, "", f"Outside of the model's forward `generate` spends {span} of the time."]


def transfer(results: Results) -> str:
    """Transfer Q* against the public algorithm."""
    rows = results.record["rows"]
    plain, mixed, packed = (row["ratio"] for row in rows)
    prompts, k, ahead, length = rows[0]["shape"]
    return (
        f"`TransferQ` against the public code of its paper, {prompts} prompts of 100 tokens, "
        f"k = {k}, {ahead} tokens ahead, {length} decisions, {rows[0]['threads']} threads: "
        f"{plain:.1f} × on the model as it comes, {packed:.1f} × on the prepacked one "
        f"({mixed:.1f} × between the two)."
    )


def _sentences(results: Results) -> list[str]:
    lines = []
    grids = [results.find(t, "25 x score", logits="SmolLM2") for t in THREADS]
    if all(grids):
        shown = " / ".join(f"{row['ratio']:.2f}" for row in grids if row)
        lines.append(f"- `score_grid` with 25 adaptors: {shown} of the time of 25 `score` calls.")
    halves = [r["ratio"] for r in results.record["rows"] if r["section"] == "sample, half"]
    if halves:
        span = f"{min(halves):.2f} to {max(halves):.2f}"
        lines.append(f"- bfloat16 and float16 logits: {span} of the float32 time.")
    memory = [r for r in results.record["rows"] if r["section"] == "memory"]
    if memory:
        most = max(memory, key=lambda row: row["ours"])
        of = f"{most['theirs'] / 2**20:.0f} MiB of logits"
        lines.append(
            f"- Memory added by one call: at most {most['ours'] / 2**20:.1f} MiB for {of}."
        )
    return lines


def main() -> int:
    path = RESULTS / "adaptor_step-cpu.json"
    if not path.is_file():
        print(f"figure: {path} is missing; bench/README.md says how it is made", file=sys.stderr)
        return 1
    results = Results(path)
    draw(results)
    others = [RESULTS / f"{name}-cpu.json" for name in ("generate", "transfer_q")]
    text = table(results, *(Results(other) if other.is_file() else None for other in others))
    print(text)
    readme = ROOT / "README.md"
    page = readme.read_text() if readme.is_file() else ""
    if BEGIN in page and END in page:
        readme.write_text(replace_between(BEGIN, END, page, f"{text}\n"))
        print(f"wrote {readme}", file=sys.stderr)
    print(f"wrote {FIGURE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
