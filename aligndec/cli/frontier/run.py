"""`aligndec frontier`: where the runs in a table of strings stand against the optimum."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor

from aligndec import best_of_n, plots, tilting
from aligndec.cli.console import CliError, console, one_of
from aligndec.cli.folders import prepare_folder
from aligndec.cli.rewards import vader
from aligndec.corpus import Run as CorpusRun
from aligndec.plots import bootstrap_mean
from aligndec.shared import write_table

__all__ = ["run_frontier"]

_LABELS = ("adaptor", "method", "scheme", "name")
_PROMPTS = ("prompt", "prompt_id", "prompt_index")
_NUMBERS = (
    *("kl", "reward", "reward_low", "reward_high"),
    *("optimal_reward", "beta", "kl_to_optimal"),
)
_GRID = 120


class Run(NamedTuple):
    """Strings of one method: KL and reward, [prompts, draws]."""

    kl: Tensor
    reward: Tensor


def run_frontier(records: list[Path], *, base: str | None, out: Path, figures: str = "png") -> None:
    """Read the records, print the table and write it and the plot under `out`."""
    prepare_folder(out)
    runs = _read(records)
    name = _base_of(runs, base)
    pool = runs.pop(name).reward
    size = pool.shape[1]
    if size < 2:
        raise CliError(f"{name!r} must have at least 2 strings per prompt, got {size}")
    console.print(f"{len(pool)} prompts, {size} strings of the model each ({name})")
    rows = [_row(pool, method, run) for method, run in runs.items()]
    _show(rows)
    console.print(f"No law on this pool has a KL above ln {size} = {math.log(size):.2f} nats.")
    grid = 2.0 ** torch.arange(size.bit_length(), dtype=torch.float64)
    curve = best_of_n.reward_curve(pool, grid.long())
    exact = best_of_n.kl(None, pool[:, None], grid).mean(0)
    for path in _write(rows, grid, curve.mean, exact, out):
        console.print(f"wrote {path}", soft_wrap=True)
    spread = float(pool.std())
    betas = torch.logspace(-2, 3.5, _GRID, dtype=torch.float64) / (spread if spread > 0 else 1.0)
    frontier = tilting.reward_kl_frontier(None, pool, beta=torch.cat([betas.new_zeros(1), betas]))
    axes = plots.reward_kl(frontier, points=runs, best_of_n=pool, n=grid)
    figure: Any = axes.figure
    figure.set_size_inches(7.5, 5)
    plots.save(figure, out / f"frontier.{figures}")
    console.print(f"wrote {out / f'frontier.{figures}'}", soft_wrap=True)


def _read(records: list[Path]) -> dict[str, Run]:
    """Group the rows of all files by method and prompt."""
    import pyarrow.parquet as pq

    groups: dict[str, dict[Any, list[tuple[float, float]]]] = {}
    for path in records:
        try:
            table = _of_run(path) if path.is_dir() else pq.read_table(path)
        except (OSError, ValueError) as error:
            raise CliError(
                f"RECORDS must be Parquet files or runs, got {path} ({error})"
            ) from error
        columns = set(table.column_names)
        prompt = next((c for c in _PROMPTS if c in columns), None)
        if prompt is None or "kl" not in columns or not columns & {"reward", "text"}:
            raise CliError(
                f"RECORDS must have the columns kl, reward (or text) and one of "
                f"{', '.join(_PROMPTS)}, got {', '.join(sorted(columns))} in {path}"
            )
        label = next((c for c in _LABELS if c in columns), None)
        names = table[label].to_pylist() if label else [path.resolve().stem] * table.num_rows
        has_reward = "reward" in columns
        reward = table["reward"].to_pylist() if has_reward else vader()(table["text"].to_pylist())
        keys = [tuple(p) if isinstance(p, list) else p for p in table[prompt].to_pylist()]
        for name, key, kl, r in zip(names, keys, table["kl"].to_pylist(), reward, strict=True):
            groups.setdefault(str(name), {}).setdefault(key, []).append((kl, r))
    return {name: _matrix(name, prompts) for name, prompts in groups.items()}


def _of_run(folder: Path) -> Any:
    """Read the strings of a run of `aligndec corpus`; its reward may have been added by `score`."""
    import pyarrow as pa

    run = CorpusRun.open(folder)
    tables = list(run.tables())
    if not tables:
        raise ValueError("none of its shards is done")
    table, added = pa.concat_tables(tables), run.added()
    if "reward" not in table.column_names and len(added) == 1:
        table = table.append_column("reward", table[added[0]])
    # One run is one method, called by its folder.
    keep = [name for name in ("prompt_id", "kl", "reward", "text") if name in table.column_names]
    return table.select(keep)


def _matrix(name: str, prompts: dict[Any, list[tuple[float, float]]]) -> Run:
    sizes = {len(strings) for strings in prompts.values()}
    if len(sizes) != 1:
        raise CliError(
            f"every prompt of {name!r} must have as many strings, got {min(sizes)} to {max(sizes)}"
        )
    # Prompts in one order for all methods.
    values = torch.tensor([prompts[key] for key in sorted(prompts, key=repr)], dtype=torch.float64)
    if not bool(values.isfinite().all()):
        raise CliError(f"kl and reward of {name!r} must be finite")
    return Run(*values.unbind(-1))


def _base_of(runs: dict[str, Run], base: str | None) -> str:
    """Name of the method that is the model itself: given, or the one whose KL is 0."""
    if base is not None:
        one_of("--base", [base], runs)
        return base
    free = [name for name, run in runs.items() if not bool(run.kl.any())]
    if len(free) != 1:
        raise CliError(
            "the records must hold one method of KL 0, draws of the model itself (or name it with "
            f"--base), got {', '.join(free) or 'none'} of {', '.join(runs)}"
        )
    return free[0]


def _row(pool: Tensor, name: str, run: Run) -> dict[str, Any]:
    if len(run.kl) != len(pool):
        raise CliError(f"{name!r} must have {len(pool)} prompts, as the model has")
    kl, reward = run.kl.mean().item(), run.reward.mean().item()
    low, high = bootstrap_mean(run.reward.mean(1))
    at = tilting.solve_beta_for_kl(None, pool, max(kl, 0.0), scope="mean")
    missed = at.reward.mean().item() - reward
    return {
        "method": name,
        "kl": kl,
        "reward": reward,
        "reward_low": low,
        "reward_high": high,
        "optimal_reward": at.reward.mean().item(),
        "beta": at.beta.item(),
        "kl_to_optimal": None if bool(at.saturated) else at.beta.item() * missed,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="Against the optimum of the same mean KL", title_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in ("KL", "reward", "95 %", "optimum", "β", "KL to optimum"):
        table.add_column(heading, justify="right")
    for row in rows:
        away = row["kl_to_optimal"]
        table.add_row(
            *(row["method"], f"{row['kl']:.3f}", f"{row['reward']:.3f}"),
            f"{row['reward_low']:.3f} … {row['reward_high']:.3f}",
            f"{row['optimal_reward']:.3f}",
            *(f"{row['beta']:.3f}", "beyond the pool" if away is None else f"{away:.3f}"),
        )
    console.print(table)


def _write(
    rows: list[dict[str, Any]], n: Tensor, reward: Tensor, kl: Tensor, out: Path
) -> list[Path]:
    import pyarrow as pa

    paths = [out / "frontier.parquet", out / "best_of_n.parquet"]
    schema = pa.schema([("method", pa.string())] + [(key, pa.float64()) for key in _NUMBERS])
    write_table(pa.Table.from_pylist(rows, schema=schema), paths[0])
    bound = best_of_n.kl_bound(n)
    columns = {"n": n, "reward": reward, "kl": kl, "kl_bound": bound}
    write_table(pa.table({key: value.numpy() for key, value in columns.items()}), paths[1])
    return paths
