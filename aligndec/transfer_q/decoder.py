"""`generate` with a reward: what Transfer Q* and its family have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.generation import (
    Prepared,
    Prompts,
    check_lengths,
    groups,
    prepare,
    read_prompts,
    sequence_id,
    trim,
)
from aligndec.models import Counted, as_step_lm, narrowed
from aligndec.rewards import Reward, RewardCalls
from aligndec.shared import at_least, at_least_if_given, plain_arguments, run_seed, token_bar
from aligndec.transfer_q.cursor import Cursor
from aligndec.transfer_q.live import Live
from aligndec.transfer_q.loop import Run, decode
from aligndec.transfer_q.options import BASE, Options
from aligndec.transfer_q.records import Records, costs
from aligndec.transfer_q.result import TransferQGeneration
from aligndec.transfer_q.values import Rewards

__all__ = ["Request", "RewardDecoder"]


class Request(NamedTuple):
    """The arguments of one `generate`."""

    input_ids: Prompts
    attention_mask: Tensor | None
    max_new_tokens: int
    seed: int
    eos_token_id: int | Sequence[int] | None
    progress: bool
    num_return_sequences: int
    prompt_ids: Tensor | Sequence[int] | None
    pad_token_id: int | None
    batch_size: int | None


class RewardDecoder:
    """A model, a reward and how the one is decoded with the other.

    `model` and `sft` are StepLMs or transformers models over the same token ids.
    """

    @plain_arguments
    def __init__(
        self,
        model: Any,
        reward: Reward,
        options: Options,
        *,
        baseline_reward: Reward | None = None,
        sft: Any = None,
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        name = self._name
        self.model = narrowed(name, as_step_lm(model), valid_vocab, tokenizer)
        self.tokenizer = tokenizer
        self.options = options.check(
            name, has_baseline_reward=baseline_reward is not None, has_sft=sft is not None
        )
        self.reward, self.baseline_reward = reward, baseline_reward
        RewardCalls(name, "reward", reward)
        if baseline_reward is not None:
            RewardCalls(name, "baseline_reward", baseline_reward)
        # A model that no choice looks at is not run.
        used = self.options.secret or self.options.reference == "sft"
        other = None if sft is None or not used else as_step_lm(sft)
        if other is not None and other.vocab_size < self.model.vocab_size:
            raise ValueError(
                f"{name}: sft must have vocab_size >= {self.model.vocab_size}, got "
                f"{other.vocab_size}"
            )
        self.sft = None if other is None else narrowed(name, other, valid_vocab, tokenizer)

    @property
    def _name(self) -> str:
        return type(self).__name__

    @plain_arguments
    @torch.no_grad()
    def generate(
        self,
        input_ids: Prompts,
        attention_mask: Tensor | None = None,
        *,
        max_new_tokens: int,
        seed: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        progress: bool = False,
        num_return_sequences: int = 1,
        prompt_ids: Tensor | Sequence[int] | None = None,
        pad_token_id: int | None = None,
        batch_size: int | None = None,
    ) -> TransferQGeneration:
        """Decode every prompt.

        Parameters
        ----------
        input_ids, attention_mask
            Prompts, as in `aligndec.generate`: left padded or ragged; texts where the decoder was
            given a tokenizer.
        max_new_tokens : int
            Length cap of a string, >= 1; rollouts look beyond it.
        seed : int, optional
            Seed of the run. A string is a pure function of it, its sequence id and the logits.
            None: fresh entropy, kept in the result.
        eos_token_id : int or sequence of int, optional
            Tokens that end a string and count. None: the model's own; (): none.
        progress : bool
            Show a bar, if tqdm is installed.
        num_return_sequences : int
            Strings per prompt; each prompt is read once.
        prompt_ids : int [P], optional
            Names of the prompts in the random-number scheme; default 0 … P − 1.
        pad_token_id : int, optional
            Stored after the end.
        batch_size : int, optional
            Strings decoded together at most, each with all its candidates and their rollouts
            (`BestOfN`: its n draws); default all. It bounds the memory and changes no string.

        Returns
        -------
        TransferQGeneration
            A string whose logits, or those of its rollouts, are unusable ends with
            `finish_reason` "error".

        Raises
        ------
        RewardError
            The reward raised or gave something that is no number; the message names the items.
        """
        at_least(
            self._name, 1, max_new_tokens=max_new_tokens, num_return_sequences=num_return_sequences
        )
        at_least_if_given(self._name, 1, batch_size=batch_size)
        text = read_prompts(self._name, self.tokenizer, input_ids, attention_mask)
        out = self._run(
            Request(
                text.input_ids,
                text.attention_mask,
                max_new_tokens,
                run_seed(self._name, seed),
                eos_token_id,
                progress,
                num_return_sequences,
                prompt_ids,
                pad_token_id,
                batch_size,
            )
        )
        return text.tell(out)

    def _run(self, asked: Request) -> TransferQGeneration:
        name, draws = self._name, asked.num_return_sequences
        given = prepare(
            *(name, self.model, asked.input_ids, asked.attention_mask),
            adaptor=BASE,
            prompt_ids=asked.prompt_ids,
            eos_token_id=asked.eos_token_id,
            pad_token_id=asked.pad_token_id,
        )
        ids, mask = given.ids, given.mask
        for lm in (given.lm, self.sft):
            ahead = self.options.look_ahead
            what = "max_new_tokens + rollout_tokens" if ahead else "max_new_tokens"
            check_lengths(name, lm, mask, asked.max_new_tokens + ahead, what)
        prompt_index = torch.arange(len(ids)).repeat_interleave(draws)
        draw = torch.arange(draws).repeat(len(ids))
        sequence_ids = sequence_id(given.names[prompt_index], draw)

        models = [Counted(lm) for lm in (given.lm, self.sft) if lm is not None]
        bar = token_bar(name, len(draw) * asked.max_new_tokens) if asked.progress else None
        run = None
        for prompts, batches in groups(len(ids), draws, asked.batch_size):
            part = trim(ids[prompts], mask[prompts])
            read = [Cursor.read(lm, *part) for lm in models]
            device = read[0].logits.device
            if run is None:  # the first logits say where the records live
                run = self._open(device, asked, given, bar)
            for rows in batches:
                own = (prompt_index[rows] - prompts.start).to(device)
                cursors = read if draws == 1 else [cursor.select(own) for cursor in read]
                decode(run, Live(rows.to(device), sequence_ids[rows].to(device), *cursors))
        if bar is not None:
            bar.close()
        assert run is not None
        records, rewards = run.records, run.rewards
        reward = rewards.target(records.prompts, records.completions).to(device)
        inputs = {
            "input_ids": ids,
            "attention_mask": mask,
            "prompt_ids": given.names,
            "prompt_index": prompt_index,
            "draw": draw,
        }
        fields: dict[str, Any] = {key: tensor.to(device) for key, tensor in inputs.items()}
        return TransferQGeneration(
            **fields,
            **records.fields(),
            **costs(models, [calls for calls in rewards if calls is not None]),
            reward=reward,
            seed=asked.seed,
            max_new_tokens=asked.max_new_tokens,
            pad_token_id=given.pad,
            eos_token_id=given.eos,
            adaptors=given.adaptors,
        )

    def _open(self, device: torch.device, asked: Request, given: Prepared, bar: Any) -> Run:
        """Open the records of all strings."""
        name, baseline = self._name, self.baseline_reward
        listed = [row[m].tolist() for row, m in zip(given.ids, given.mask, strict=True)]
        prompts = [prompt for prompt in listed for _ in range(asked.num_return_sequences)]
        ends = torch.tensor(given.eos, dtype=torch.int64, device=device)
        return Run(
            options=self.options,
            rewards=Rewards(
                RewardCalls(name, "reward", self.reward),
                None if baseline is None else RewardCalls(name, "baseline_reward", baseline),
            ),
            records=Records(prompts, asked.max_new_tokens, given.pad, device),
            max_new_tokens=asked.max_new_tokens,
            seed=asked.seed,
            # The public code never ends a string; its rollouts end.
            ends=ends[:0] if self.options.compat == "official" else ends,
            rollout_ends=ends,
            pad=given.pad,
            bar=bar,
        )
