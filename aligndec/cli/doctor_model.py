"""`aligndec doctor --model X`: whether a model's rows are right with its cache, and fast."""

from __future__ import annotations

from rich.table import Table

from aligndec.cli import model_store
from aligndec.cli.console import console

__all__ = ["examine_model"]

_ATOL = 1e-3
"""Nats: what float32 leaves between a batch and its rows, with room; a fault is far larger."""

_CHECKS = {
    "cache": "a step on the cache = the longer prompt read at once",
    "padding": "a padded row = the same row alone",
    "select": "rows gathered = rows that stayed",
    "reuse": "a state that was gathered from goes on",
    "extend": "several tokens at once = one by one",
    "join": "rows of two states = the states apart",
}


def examine_model(name: str) -> bool:
    """Print what decoding with a model's cache gives; True when it can be trusted."""
    loaded = model_store.load(name)
    from aligndec.models import HFCausalLM, why_not_shared
    from aligndec.testing import check_step_lm

    table = Table(show_header=False, box=None, pad_edge=False, title_justify="left")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    problem = None
    try:
        lm = HFCausalLM(loaded.model)
        for check, value in check_step_lm(lm, atol=_ATOL).items():
            table.add_row(check, f"{_CHECKS[check]}: differs by {value:.1e} nats")
        for rows, reason in why_not_shared(lm).items():
            table.add_row(f"{rows} rows", _sharing(reason))
    except (AssertionError, TypeError, ValueError) as error:
        problem = str(error)
    console.print(f"model {name} ({type(loaded.model).__name__})", markup=False)
    console.print(table)
    if problem:
        console.print(f"! {problem}", style="yellow", markup=False)
    else:
        console.print("It can be decoded with its cache.", style="green")
    return problem is None


def _sharing(reason: str | None) -> str:
    if reason is None:
        return "continuations share their prompt"
    return f"every continuation copies its prompt: {reason}"
