"""What the demo shows at its end: the table, one text per adaptor, the files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from aligndec import imh
from aligndec.cli.console import console
from aligndec.cli.demo.measure import Speed
from aligndec.cli.demo.plots import plot_chains, plot_log_p_against_kl
from aligndec.cli.demo.result import Result
from aligndec.shared import write_table

__all__ = ["show", "write"]


def show(results: list[Result], prompts: list[str], timing_tokens: int) -> None:
    """Print the books, the speed and a sample text per adaptor."""
    strings = len(results[0].generation)
    console.print(_books(results, f"{strings} strings per adaptor, means in nats"))
    console.print(_global(results, "The same strings as proposals for the globally normalised law"))
    timed = [(result.name, result.speed) for result in results if result.speed is not None]
    if timed:
        console.print(_speeds(timed, f"{strings} strings of {timing_tokens} tokens each"))
        console.print(
            "Without an end token, in turns, the faster of two runs. aligndec keeps all the books "
            "meanwhile, model.generate none.\n",
            style="dim",
        )
    console.print(f"“{prompts[0]}”", style="bold", markup=False)
    for result in results:
        text = " ".join(result.texts[0].split()) or "(empty)"
        console.print(Text.assemble((f"{result.name}: ", "cyan"), text))
    console.print()


def _books(results: list[Result], title: str) -> Table:
    per_string = ("log p\nper string", "log Z\nper string", "KL\nper string")
    table = _table(title, (*per_string, "log p\nper token", "kept mass\nper token", "eos/cap/err"))
    for result in results:
        g = result.generation
        ends = Counter(g.finish_reason)
        table.add_row(
            result.name,
            f"{float(g.log_p.mean()):.1f}",
            f"{float(g.log_z.mean()):+.2f}",
            f"{float(g.kl.mean()):.2f}",
            f"{result.per_token(g.log_p):.3f}",
            f"{result.kept:.4f}",
            "/".join(str(ends[reason]) for reason in ("eos", "length", "error")),
        )
    return table


def _global(results: list[Result], title: str) -> Table:
    """Independence Metropolis–Hastings on the power target: the log-weight is the sum of log Z."""
    draws = results[0].log_weight.shape[1]
    table = _table(
        f"{title}: {draws} per chain",
        (
            "accepted",
            "expected",
            "ESS",
            "distinct",
            "log Z\nper string",
            "log p\nlocal",
            "log p\nglobal",
        ),
    )
    for result in results:
        g, weight = result.generation, result.log_weight
        judged = imh.diagnostics(weight, result.chain)
        states = g.log_p.view(weight.shape).gather(1, result.chain.index)
        table.add_row(
            result.name,
            f"{float(judged.acceptance_rate.mean()):.2f}",
            f"{float(judged.expected_acceptance.mean()):.2f}",
            f"{float(judged.ess.mean()):.1f}",
            f"{float(judged.n_unique.double().mean()):.1f}",
            f"{float(judged.log_z.mean()):+.2f}",
            f"{float(g.log_p.mean()):.1f}",
            f"{float(states.mean()):.1f}",
        )
    return table


def _speeds(timed: list[tuple[str, Speed]], title: str) -> Table:
    table = _table(title, ("aligndec\ntokens/s", "model.generate\ntokens/s", "ratio"))
    for name, speed in timed:
        ratio = speed.aligndec / speed.transformers
        cells = (f"{speed.aligndec:.0f}", f"{speed.transformers:.0f}", f"{ratio:.2f}x")
        table.add_row(name, *cells)
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("adaptor", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def write(results: list[Result], prompts: list[str], out: Path) -> list[Path]:
    """Write the records of each adaptor, all strings with their text, and the plot."""
    import pyarrow as pa

    paths = []
    for result in results:
        path = out / f"{result.name.replace(' ', '-')}.parquet"
        result.generation.save(path)
        paths.append(path)
    path = out / "samples.parquet"
    schema = pa.schema(
        [("adaptor", pa.string()), ("prompt", pa.string()), ("text", pa.string())]
        + [("draw", pa.int64()), ("length", pa.int64()), ("finish_reason", pa.string())]
        + [(name, pa.float64()) for name in ("log_p", "log_q", "log_z", "log_kept", "kl")]
    )
    write_table(pa.Table.from_pylist(_rows(results, prompts), schema=schema), path)
    plots = [out / "log_p_against_kl.png", out / "log_weight.png"]
    plot_log_p_against_kl(results, plots[0])
    plot_chains(results, plots[1])
    return [*paths, path, *plots]


def _rows(results: list[Result], prompts: list[str]) -> list[dict[str, Any]]:
    rows = []
    for result in results:
        g = result.generation
        numbers = {
            name: getattr(g, name).tolist()
            for name in ("draw", "length", "log_p", "log_q", "log_z", "log_kept", "kl")
        }
        reasons, index = g.finish_reason, g.prompt_index.tolist()
        for i, text in enumerate(result.texts):
            row = {name: values[i] for name, values in numbers.items()}
            row |= {"adaptor": result.name, "prompt": prompts[index[i]], "text": text}
            rows.append(row | {"finish_reason": reasons[i]})
    return rows
