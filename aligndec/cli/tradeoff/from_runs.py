"""`aligndec tradeoff --from`: the study on runs of `aligndec corpus`, a scheme for each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from aligndec import __version__
from aligndec.cli.console import CliError, console
from aligndec.cli.folders import prepare_folder
from aligndec.cli.tradeoff import report as study_report
from aligndec.cli.tradeoff.corpora import LAWS, Pool, corpora
from aligndec.cli.tradeoff.results import StudiedScheme, summarise
from aligndec.cli.tradeoff.schemes import Scheme
from aligndec.corpus import Run

__all__ = ["study_runs"]

_FIELDS = ("log_p", "log_z", "length", "status")


def study_runs(
    folders: list[Path],
    *,
    beta: float,
    n_corpora: int,
    corpus_size: int,
    seed: int,
    out: Path,
    figures: str = "png",
) -> None:
    """Read the runs and write the tables and figures of the study under `out`."""
    start = time.perf_counter()
    prepare_folder(out)
    try:
        runs = [Run.open(folder) for folder in folders]
    except ValueError as error:
        raise CliError(str(error)) from error
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise CliError(f"--from must be folders of different names, got {', '.join(names)}")
    found, prompts = [], 0
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        pool, reward = _pool(run)
        prompts = max(prompts, len(pool.log_p))
        if corpus_size < len(pool.log_p):
            raise CliError(
                f"--corpus-size must be >= {len(pool.log_p)}, the number of prompts, got "
                f"{corpus_size}"
            )
        adaptor = run.settings.adaptor
        scheme = Scheme(name, adaptor.temperature, adaptor)
        drawn = {
            law: corpora(
                *(pool, law),
                temperature=adaptor.temperature,
                beta=beta,
                n_corpora=n_corpora,
                corpus_size=corpus_size,
                seed=seed + len(LAWS) * number + place,
            )
            for place, law in enumerate(LAWS)
        }
        found.append(StudiedScheme(scheme, pool, drawn))
    results = summarise(found, beta, seed)
    results["settings"] = {
        "beta": beta,
        "n_corpora": n_corpora,
        "corpus_size": corpus_size,
        "seed": seed,
        "model": ", ".join(dict.fromkeys(run.settings.model for run in runs)),
        "prompts": list(range(prompts)),
        "max_new_tokens": max(run.settings.max_new_tokens for run in runs),
        "reward": reward,
        "runs": {name: run.digest for name, run in zip(names, runs, strict=True)},
        "version": __version__,
    }
    written = study_report.write(found, results, out, figures)
    study_report.show(results)
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s")


def _pool(run: Run) -> tuple[Pool, str]:
    """Read the strings of a run, float64 [P, R], and the name of their reward."""
    settings, status = run.settings, run.status()
    if settings.method != "local" or settings.draws < 2:
        raise CliError(
            "--from must be runs of method local with >= 2 draws, got "
            f"{settings.method} with {settings.draws} in {run.folder}"
        )
    if not status.complete:
        raise CliError(
            f"--from must be runs that are done, got {status.done} of {status.total} shards in "
            f"{run.folder}: run it again, it goes on"
        )
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in (*_FIELDS, "reward")}
    rewards: list[str] = []
    for table in run.tables():
        own = ["reward"] if "reward" in table.column_names else []
        rewards = own or run.added()
        if len(rewards) != 1:
            raise CliError(
                "--from must be runs with one reward, got "
                f"{', '.join(rewards) or 'none'} in {run.folder}: aligndec corpus score adds one"
            )
        for name in _FIELDS:
            parts[name].append(_tensor(table[name]))
        parts["reward"].append(_tensor(table[rewards[0]]))
    columns = {name: torch.cat(part).view(-1, settings.draws) for name, part in parts.items()}
    if bool(columns.pop("status").any()):
        raise CliError(f"--from must be runs without unusable logits, got some in {run.folder}")
    if not bool(columns["reward"].isfinite().all()):
        raise CliError(
            f"--from must be runs that are scored, got strings without {rewards[0]} in "
            f"{run.folder}: aligndec corpus score goes on"
        )
    return Pool(**columns), settings.reward or rewards[0]


def _tensor(column: Any) -> torch.Tensor:
    return torch.from_numpy(column.to_numpy(zero_copy_only=False).copy())
