"""Rewards by name: VADER, a function that can be imported, the folder of a classifier."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.models import need_transformers, quiet
from aligndec.rewards.calls import Ids, Reward, RewardCalls
from aligndec.rewards.functions import SequenceClassifierReward, TextReward
from aligndec.shared import tensor_digest

__all__ = ["Judge", "imported", "load_classifier", "load_reward", "vader"]

VADER = "vader"
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Judge(NamedTuple):
    """A reward: its name, what its values depend on, and the function itself."""

    name: str
    settings: dict[str, Any]
    reward: Reward

    def score(self, prompts: Ids, completions: Ids) -> Tensor:
        """Return the rewards float64 [n], all finite; RewardError otherwise."""
        return RewardCalls(self.name, "reward", self.reward)(prompts, completions)


def load_reward(
    name: str,
    tokenizer: Any,
    *,
    argument: str = "--reward",
    sentiment: Callable[[], Callable[[list[str]], list[float]]] | None = None,
) -> Judge:
    """Prepare a reward of the strings of a language model with this tokenizer.

    Parameters
    ----------
    name : str
        "vader": VADER's compound sentiment of the completion. "package.module:function": a function
        of texts, `fn(completions)` or `fn(prompts, completions)`, as `TextReward` takes it.
        Anything else: the folder or Hugging Face id of a sequence classifier of prompt and
        completion: its output if there is one, else the log-odds of the last label, the positive
        one by custom.
    tokenizer : object
        Of the language model, with `batch_decode`.
    argument : str
        What errors call the name.
    sentiment : callable, optional
        Gives the function of texts behind "vader"; default `vader`.

    Raises
    ------
    ImportError
        Something is not installed, or the function's module is not there.
    ValueError
        The name names nothing that can be read.
    """
    if name == VADER:
        settings = {VADER: importlib.metadata.version("vaderSentiment") if _has_vader() else ""}
        return Judge(
            "VADER compound sentiment", settings, TextReward((sentiment or vader)(), tokenizer)
        )
    if _FUNCTION.fullmatch(name) and not Path(name).exists():
        function = imported(argument, name)
        return Judge(name, {"function": name}, TextReward(function, tokenizer))
    return _classifier(argument, name, tokenizer)


def imported(argument: str, name: str) -> Any:
    """Return what "package.module:name" names."""
    module, _, inner = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in inner.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"{argument} must be package.module:function that can be imported, got {name!r} "
            f"({error}); put its folder on PYTHONPATH"
        ) from error
    return found


def _has_vader() -> bool:
    return importlib.util.find_spec("vaderSentiment") is not None


def vader() -> Callable[[list[str]], list[float]]:
    """Return VADER's compound sentiment of texts."""
    if not _has_vader():
        raise ImportError("the reward VADER needs vaderSentiment: pip install 'aligndec[cli]'")
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return lambda texts: [analyzer.polarity_scores(text)["compound"] for text in texts]


def load_classifier(argument: str, source: str) -> tuple[Any, Any]:
    """Load a sequence classifier in float32 and its tokenizer from a folder or a hub id."""
    need_transformers()
    import transformers

    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(source)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                source, dtype=torch.float32
            )
    except (OSError, ValueError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{argument} must be vader, or a folder or id of a sequence classifier that can be "
            f"read, or package.module:function, got {source!r} ({lines[0][:200]})"
        ) from error
    return model.eval(), tokenizer


def _classifier(argument: str, source: str, tokenizer: Any) -> Judge:
    model, own_tokenizer = load_classifier(argument, source)
    size = model.config.num_labels
    of = "output" if size == 1 else f"log-odds of {model.config.id2label[size - 1]}"
    reward = SequenceClassifierReward(model, own_tokenizer, lm_tokenizer=tokenizer)
    settings = {"classifier": tensor_digest(model.state_dict())}
    return Judge(f"{Path(source).name}, {of}", settings, reward)
