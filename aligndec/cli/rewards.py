"""Rewards of the commands; what is wrong with a name is said in the words of an option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aligndec import rewards
from aligndec.cli.console import CliError
from aligndec.rewards import Judge

__all__ = ["Judge", "load_reward", "vader"]


def load_reward(name: str, tokenizer: Any) -> Judge:
    """Prepare the reward that `--reward` names; see `aligndec.rewards.load_reward`."""
    try:
        return rewards.load_reward(name, tokenizer, sentiment=vader)
    except (ImportError, ValueError) as error:
        raise CliError(str(error)) from error


def vader() -> Callable[[list[str]], list[float]]:
    """Return VADER's compound sentiment of texts."""
    try:
        return rewards.vader()
    except ImportError as error:
        raise CliError(str(error)) from error
