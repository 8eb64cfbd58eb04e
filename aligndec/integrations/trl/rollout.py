"""A rollout function for TRL's GRPO trainer that keeps the sets of its tokens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import Generation, generate
from aligndec.models import HiddenLM
from aligndec.shared import at_least, whole
from aligndec.step import Adaptor, KeptSets, Step, score_hidden

__all__ = ["Rollout"]


class Rollout:
    """Draws completions with an adaptor for TRL's trainer, and replays their law for it.

    Given to a trainer as `rollout_func`; `ReplayGRPOTrainer` asks it for the sets again. Strings
    are known by their ids, so the trainer may shuffle and split its batches. Equal strings of one
    prompt share the sets of the one that was drawn last: the same up to what a batch changes in
    the last bits of logits, and the tokens lie in them.

    Parameters
    ----------
    adaptor : Adaptor
        The law to draw from.
    max_new_tokens : int, optional
        Default: the trainer's `max_completion_length`.
    seed : int
        Of the first batch; each batch after it takes the next number.
    batch_size : int, optional
        Strings decoded together at most.
    memory : int
        Strings whose sets are remembered; the trainer must come back for a string before that
        many others were drawn.

    Attributes
    ----------
    generation : Generation or None
        The last batch, in the order of the trainer's prompts.
    """

    def __init__(
        self,
        adaptor: Adaptor,
        *,
        max_new_tokens: int | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        memory: int = 65_536,
    ) -> None:
        if not isinstance(adaptor, Adaptor):
            raise TypeError(f"Rollout: adaptor must be an Adaptor, got {type(adaptor).__name__}")
        if adaptor.dynamic_temperature is not None:
            raise ValueError(
                "Rollout: adaptor must be without dynamic_temperature (a replay has no gradient "
                f"through it), got {adaptor.dynamic_temperature}"
            )
        at_least("Rollout", 1, memory=memory)
        self.adaptor, self.max_new_tokens = adaptor, max_new_tokens
        self.seed, self.batch_size, self.memory = whole("Rollout", "seed", seed), batch_size, memory
        self.generation: Generation | None = None
        self._sets: OrderedDict[tuple[int, ...], KeptSets] = OrderedDict()

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Draw a completion for each prompt, a text or a chat; the trainer repeats its prompts.

        Returns
        -------
        dict
            `prompt_ids`, `completion_ids` (lists of ids), `logprobs` (log_q of each token: of the
            law that drew it, not of the full vocabulary).
        """
        model = trainer.accelerator.unwrap_model(trainer.model)
        training = model.training
        model.eval()  # dropout would draw from another law at every token
        try:
            with torch.no_grad():
                run = generate(
                    model,
                    list(prompts),
                    adaptor=self.adaptor,
                    max_new_tokens=self.max_new_tokens or trainer.args.max_completion_length,
                    seed=self.seed,
                    tokenizer=trainer.processing_class,
                    batch_size=self.batch_size,
                    keep_sets=True,
                    per_token=True,
                )
        finally:
            model.train(training)
        self.seed += 1
        self.generation = run
        self._remember(run)
        log_q = run.token_log_q
        assert log_q is not None
        rows = zip(log_q.tolist(), run.length.tolist(), strict=True)
        return {
            "prompt_ids": run.prompts(),
            "completion_ids": run.completions(),
            "logprobs": [row[:length] for row, length in rows],
        }

    def _remember(self, run: Generation) -> None:
        assert run.kept is not None
        kept, width = run.kept.to("cpu"), run.tokens.shape[1]
        strings = zip(run.prompts(), run.completions(), strict=True)
        for i, (prompt, completion) in enumerate(strings):
            key = _key(prompt, completion)
            first, last = i * width, i * width + len(completion)
            self._sets[key] = KeptSets(*kept.select(torch.arange(first, last)))
            self._sets.move_to_end(key)
        while len(self._sets) > self.memory:
            self._sets.popitem(last=False)

    def sets(self, prompt: Sequence[int], completion: Sequence[int]) -> KeptSets:
        """Return the sets of a string's tokens, one row for each."""
        try:
            return self._sets[_key(prompt, completion)]
        except KeyError:
            raise KeyError(
                "Rollout.sets: completion must be one that this rollout drew and remembers, got "
                f"one of {len(completion)} tokens (a larger memory, or the trainer's own tokens "
                "were changed: tools and env_mask cannot be replayed)"
            ) from None

    def score(self, model: Any, ids: Tensor, mask: Tensor, width: int) -> Step:
        """Return the books of the last `width` columns, replayed, with gradients: fields [B, T].

        Parameters
        ----------
        model : transformers.PreTrainedModel
        ids, mask : int64 [B, T_prompt + T]
            Left padded prompts and right padded completions; the mask is 0 at padding.
        width : int
            T, columns of the completions.
        """
        first = ids.shape[1] - width
        real = mask.bool()
        lm = HiddenLM(model)
        states = lm.hidden(ids, real)[:, first - 1 : -1]
        tokens = ids[:, first:].masked_fill(~real[:, first:], -1)
        given = []
        for row, seen in zip(ids.tolist(), real.tolist(), strict=True):
            prompt = [t for t, s in zip(row[:first], seen[:first], strict=True) if s]
            completion = [t for t, s in zip(row[first:], seen[first:], strict=True) if s]
            given.append(self.sets(prompt, completion) if completion else KeptSets.from_lists([]))
        at = (tokens >= 0).reshape(-1).nonzero()[:, 0]
        step = score_hidden(
            states.reshape(-1, states.shape[-1])[at],
            lm.weight,
            tokens.reshape(-1)[at],
            Adaptor(temperature=self.adaptor.temperature),
            bias=lm.bias,
            kept=KeptSets.cat(given).to(ids.device),
            valid_vocab=None,
        )
        zeros = (field.new_zeros(tokens.numel()) for field in step)
        spread = (z.index_put((at,), field) for z, field in zip(zeros, step, strict=True))
        return Step(*(field.view_as(tokens) for field in spread))


def _key(prompt: Sequence[int], completion: Sequence[int]) -> tuple[int, ...]:
    return (*prompt, -1, *completion)
