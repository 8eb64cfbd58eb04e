"""Reward functions over token ids, from functions of texts, classifiers and pairs of models.

Each is a callable `(prompt_ids, completion_ids) -> list of float`, as `TransferQ` and its family
call it: once per decision, for all candidates and rollouts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec import generation
from aligndec.models import as_step_lm
from aligndec.rewards.calls import Ids
from aligndec.rewards.signature import caller

__all__ = ["LogRatioReward", "SequenceClassifierReward", "TextReward"]

_REMEMBERED = 1 << 16
"""Decoded texts that are kept; beyond that the oldest go."""


class _Decoder:
    """Token ids to texts; equal ids are decoded once."""

    def __init__(self, tokenizer: Any, skip_special_tokens: bool) -> None:
        self._tokenizer, self._skip = tokenizer, skip_special_tokens
        self._known: dict[tuple[int, ...], str] = {}

    def __call__(self, rows: Ids) -> list[str]:
        keys = [tuple(row) for row in rows]
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if new:
            texts = self._tokenizer.batch_decode(
                [list(key) for key in new], skip_special_tokens=self._skip
            )
            self._known |= dict(zip(new, texts, strict=True))
        out = [self._known[key] for key in keys]
        for key in list(self._known)[: max(0, len(self._known) - _REMEMBERED)]:
            del self._known[key]
        return out


class TextReward:
    """A function of texts as a reward.

    Parameters
    ----------
    fn : callable
        `fn(completions: list[str]) -> floats`, or with two parameters `fn(prompts, completions)`;
        one call per batch. Equal texts are passed as often as they occur. Parameters of these
        names are found in any order, and so are `prompt_ids` and `completion_ids`; with `**kwargs`,
        as TRL's functions have it, all four are passed.
    tokenizer : object
        With `batch_decode(rows, skip_special_tokens=...)`, as transformers' tokenizers have it.
    skip_special_tokens : bool
        Leave end tokens and the like out of the texts.
    """

    def __init__(
        self,
        fn: Callable[..., Sequence[float]],
        tokenizer: Any,
        *,
        skip_special_tokens: bool = True,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"TextReward: fn must be callable, got {type(fn).__name__}")
        if not hasattr(tokenizer, "batch_decode"):
            raise TypeError(
                f"TextReward: tokenizer must have batch_decode, got {type(tokenizer).__name__}"
            )
        self._call = caller("TextReward: fn", fn, texts=True)
        self._decode = _Decoder(tokenizer, skip_special_tokens)

    def __call__(self, prompt_ids: Ids, completion_ids: Ids) -> Sequence[float]:
        """Decode and reward."""
        ids = {"prompts": prompt_ids, "completions": completion_ids}
        ids |= {"prompt_ids": prompt_ids, "completion_ids": completion_ids}
        # Prompts are decoded only for who asks for them.
        answer: Sequence[float] = self._call(
            lambda kind: ids[kind] if kind.endswith("_ids") else self._decode(ids[kind])
        )
        return answer


class SequenceClassifierReward:
    """A transformers sequence classifier, such as a reward model, as a reward.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With a classification head, in eval mode. One output is the reward itself; with several it
        is the log-odds of `label`.
    tokenizer : object
        The classifier's tokenizer.
    lm_tokenizer : object, optional
        The language model's tokenizer, where it is another one: ids are then decoded and encoded
        again. Without it they are passed on as they are.
    label : int, optional
        Output of interest; default the last one.
    batch_size : int
        Items per forward. Items of equal length go together, so that nothing is padded.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        lm_tokenizer: Any = None,
        label: int | None = None,
        batch_size: int = 64,
    ) -> None:
        self._labels = int(model.config.num_labels)
        if model.training:
            raise ValueError(
                "SequenceClassifierReward: model must be in eval mode, got training mode; call "
                "model.eval()"
            )
        if batch_size < 1:
            raise ValueError(f"SequenceClassifierReward: batch_size must be >= 1, got {batch_size}")
        if label is not None and not 0 <= label < self._labels:
            raise ValueError(
                f"SequenceClassifierReward: label must be in [0, {self._labels}), got {label}"
            )
        self._model, self._tokenizer = model, tokenizer
        self._decode = None if lm_tokenizer is None else _Decoder(lm_tokenizer, True)
        self._label = self._labels - 1 if label is None else label
        # The heads of decoders look for the last token that is no padding: no batch without one.
        self._batch = batch_size if model.config.pad_token_id is not None else 1

    @torch.no_grad()
    def __call__(self, prompt_ids: Ids, completion_ids: Ids) -> list[float]:
        """Classify prompt and completion together."""
        pairs = zip(prompt_ids, completion_ids, strict=True)
        rows = [prompt + completion for prompt, completion in pairs]
        if self._decode is not None:
            rows = self._tokenizer(self._decode(rows))["input_ids"]
        out = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        start = 0
        while start < len(order):
            width = len(rows[order[start]])
            stop = start + 1
            while stop < min(len(order), start + self._batch) and len(rows[order[stop]]) == width:
                stop += 1
            batch = order[start:stop]
            for i, value in zip(batch, self._score([rows[i] for i in batch]), strict=True):
                out[i] = value
            start = stop
        return out

    def _score(self, rows: Ids) -> list[float]:
        ids = torch.tensor(rows, dtype=torch.int64, device=self._model.device)
        logits: Tensor = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        log_p = logits.double()
        if self._labels == 1:
            return log_p[:, 0].tolist()
        chosen = log_p[:, self._label]
        others = torch.cat([log_p[:, : self._label], log_p[:, self._label + 1 :]], 1)
        return (chosen - others.logsumexp(1)).tolist()


class LogRatioReward:
    """The reward that an aligned model was trained for, up to a constant of the prompt.

    r(x, y) = β (ln p_aligned(y|x) − ln p_prior(y|x)): the secret reward of Tan et al. 2024, Eq. 4.

    Parameters
    ----------
    aligned, prior : StepLM or transformers.PreTrainedModel
        Over the same token ids.
    beta : float
        KL weight of the alignment, > 0.
    batch_size : int, optional
        Strings read together at most.
    """

    def __init__(
        self, aligned: Any, prior: Any, beta: float = 1.0, *, batch_size: int | None = None
    ) -> None:
        if not 0 < beta < float("inf"):
            raise ValueError(f"LogRatioReward: beta must be > 0 and finite, got {beta}")
        self._models = as_step_lm(aligned), as_step_lm(prior)
        self._beta, self._batch_size = beta, batch_size

    def __call__(self, prompt_ids: Ids, completion_ids: Ids) -> list[float]:
        """Score the completions under both models."""
        aligned, prior = (
            generation.score_strings(
                model, prompt_ids, completion_ids, batch_size=self._batch_size
            ).log_p[0]
            for model in self._models
        )
        return (self._beta * (aligned - prior.to(aligned.device))).tolist()
