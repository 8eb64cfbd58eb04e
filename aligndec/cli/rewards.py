"""Rewards of the study: VADER's sentiment, or any sequence classifier, applied to texts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from aligndec.cli import model_store
from aligndec.cli.console import CliError
from aligndec.cli.records import tensor_digest

__all__ = ["Reward", "load_reward"]

_BATCH = 32


class Reward(NamedTuple):
    """A reward of texts: its name, what its values depend on, and the function itself."""

    name: str
    settings: dict[str, Any]
    score: Callable[[Sequence[str]], list[float]]


def load_reward(name: str) -> Reward:
    """`vader`, or the folder or Hugging Face id of a sequence classifier.

    A classifier with one output is taken as it is (a reward model); with several outputs the reward
    is the log-odds of the last label, the positive one by custom.
    """
    return _vader() if name == "vader" else _classifier(name)


def _vader() -> Reward:
    if importlib.util.find_spec("vaderSentiment") is None:
        raise CliError("--reward vader needs vaderSentiment: pip install 'aligndec[cli]'")
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()

    def score(texts: Sequence[str]) -> list[float]:
        return [analyzer.polarity_scores(text)["compound"] for text in texts]

    version = importlib.metadata.version("vaderSentiment")
    return Reward("VADER compound sentiment", {"vader": version}, score)


def _classifier(source: str) -> Reward:
    model, tokenizer = model_store.load_classifier(source)
    size = model.config.num_labels
    label = model.config.id2label.get(size - 1, str(size - 1))

    @torch.no_grad()
    def score(texts: Sequence[str]) -> list[float]:
        out: list[float] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            inputs = tokenizer(batch, return_tensors="pt", padding=True, truncation=True)
            logits = model(**inputs).logits.double()
            last = logits[:, -1]
            out += (last if size == 1 else last - logits[:, :-1].logsumexp(1)).tolist()
        return out

    name = Path(source).name
    shown = f"{name} output" if size == 1 else f"{name} log-odds of {label}"
    return Reward(shown, {"classifier": tensor_digest(model.state_dict())}, score)
