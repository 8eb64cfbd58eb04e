"""Rewards of the study: VADER's sentiment, or any sequence classifier."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from aligndec.cli import model_store
from aligndec.cli.console import CliError
from aligndec.cli.records import tensor_digest
from aligndec.rewards import Ids, Reward, RewardCalls, SequenceClassifierReward, TextReward

__all__ = ["Judge", "load_reward", "vader"]


class Judge(NamedTuple):
    """A reward: its name, what its values depend on, and the function itself."""

    name: str
    settings: dict[str, Any]
    reward: Reward

    def score(self, prompts: Ids, completions: Ids) -> Tensor:
        """Return the rewards float64 [n], all finite; RewardError otherwise."""
        return RewardCalls(self.name, "reward", self.reward)(prompts, completions)


def load_reward(name: str, tokenizer: Any) -> Judge:
    """Prepare a reward of the strings of a language model with this tokenizer.

    `vader` is VADER's compound sentiment of the completion. Anything else is the folder or Hugging
    Face id of a sequence classifier of prompt and completion: its output if there is one, else the
    log-odds of the last label, the positive one by custom.
    """
    if name != "vader":
        return _classifier(name, tokenizer)
    compound = vader()
    settings = {"vader": importlib.metadata.version("vaderSentiment")}
    return Judge("VADER compound sentiment", settings, TextReward(compound, tokenizer))


def vader() -> Callable[[list[str]], list[float]]:
    """Return VADER's compound sentiment of texts."""
    if importlib.util.find_spec("vaderSentiment") is None:
        raise CliError("the reward VADER needs vaderSentiment: pip install 'aligndec[cli]'")
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return lambda texts: [analyzer.polarity_scores(text)["compound"] for text in texts]


def _classifier(source: str, tokenizer: Any) -> Judge:
    model, own_tokenizer = model_store.load_classifier(source)
    size = model.config.num_labels
    of = "output" if size == 1 else f"log-odds of {model.config.id2label[size - 1]}"
    reward = SequenceClassifierReward(model, own_tokenizer, lm_tokenizer=tokenizer)
    settings = {"classifier": tensor_digest(model.state_dict())}
    return Judge(f"{Path(source).name}, {of}", settings, reward)
