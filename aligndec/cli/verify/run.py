"""`aligndec verify`: an engine, the laws, a report for each."""

from __future__ import annotations

import json
from pathlib import Path

from aligndec.cli.console import CliError, console, one_of
from aligndec.cli.verify.engines import ENGINES, Given
from aligndec.corpus.settings import parsed_adaptor
from aligndec.shared import replacing
from aligndec.step import Adaptor
from aligndec.testing import check_sampler

__all__ = ["LAWS", "run_verify"]

LAWS = (
    "temperature=1.0",
    "temperature=0.7",
    "top_k=20",
    "top_p=0.9",
    "temperature=0.8,top_p=0.9",
    "min_p=0.05",
)
"""What is claimed by default: laws that every engine has."""


def run_verify(
    *,
    engine: str,
    model: str | None,
    prompts_file: Path | None,
    laws: list[str] | None,
    function: str | None,
    draws: int,
    batch_size: int,
    alpha: float,
    seed: int,
    out: Path | None,
) -> bool:
    """Print a table for each law and write the reports; True when all passed."""
    one_of("--engine", [engine], ENGINES)
    if not 0.0 < alpha < 1.0:
        raise CliError(f"--alpha must be in (0, 1), got {alpha:g}")
    if seed >= 2**31:
        raise CliError(f"--seed must be in [0, 2^31), got {seed}")
    if (function is None) is (engine == "callable"):
        raise CliError(
            f"--function must be module:name with --engine callable and only then, got {function}"
        )
    claimed = {text: _adaptor(text) for text in laws or LAWS}
    with console.status("Loading the engine"):
        engine_of = ENGINES[engine](Given(model, prompts_file, function))
        logits = engine_of.logits()
    reports = {}
    for text, law in claimed.items():
        with console.status(f"Drawing {draws} tokens per prompt from {text}"):
            report = check_sampler(
                *(engine_of.draw(law), logits, law),
                draws=draws,
                alpha=alpha,
                batch_size=batch_size,
                seeding=engine_of.seeding,
                by_row=engine_of.by_row,
                seed=seed,
            )
        reports[text] = report
        console.print(f"{engine}, {text}:\n{report}\n", markup=False, soft_wrap=True)
    passed = all(report.passed for report in reports.values())
    if out is not None:
        content = {
            "engine": engine,
            "versions": engine_of.versions(),
            "passed": passed,
            "laws": {text: report.to_dict() for text, report in reports.items()},
        }
        with replacing(out) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n")
    return passed


def _adaptor(text: str) -> Adaptor:
    try:
        adaptor = parsed_adaptor(text)
    except (ValueError, TypeError) as error:
        raise CliError(f"--adaptor {text}: {error}") from error
    if adaptor.stateful:
        raise CliError(f"--adaptor must have no state (one step has one law), got {text}")
    return adaptor
