"""`generate` and `score_strings` on a model that runs in vLLM."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import Generation, Prompts, StringScores, prepare, read_prompts
from aligndec.integrations.vllm import compat
from aligndec.integrations.vllm.head import Head
from aligndec.integrations.vllm.params import vllm_params
from aligndec.integrations.vllm.strings import Strings, strings_of
from aligndec.shared import at_least, in_vocabulary, integers, run_seed
from aligndec.step import SUMS, Adaptor

__all__ = ["VLLMCausalLM"]

_PLACE = "aligndec.integrations.vllm"


class VLLMCausalLM:
    """A model in vLLM whose tokens our step draws.

    Parameters
    ----------
    llm : vllm.LLM
        Made with `logits_processors=["aligndec.integrations.vllm:AligndecSampler"]` and
        `worker_extension_cls="aligndec.integrations.vllm.AligndecWorker"`, as `load` does. Its own
        requests (`llm.generate`) may run beside ours.
    """

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self.vocab_size, self.eos_token_id = compat.config_of(llm)

    @classmethod
    def load(cls, model: str, **engine: Any) -> VLLMCausalLM:
        """Load a model; `engine` are arguments of `vllm.LLM`."""
        processors = [*engine.pop("logits_processors", []), f"{_PLACE}:AligndecSampler"]
        extension = f"{_PLACE}.AligndecWorker"
        return cls(
            compat.LLM(
                model, logits_processors=processors, worker_extension_cls=extension, **engine
            )
        )

    def generate(
        self,
        prompts: Prompts,
        adaptor: Adaptor | Sequence[Adaptor] = Adaptor(),
        *,
        max_new_tokens: int,
        seed: int | None = None,
        num_return_sequences: int = 1,
        prompt_ids: Tensor | Sequence[int] | None = None,
        first_draw: int = 0,
        eos_token_id: int | Sequence[int] | None = None,
        pad_token_id: int | None = None,
        per_token: bool = False,
        keep_sets: int | None = None,
        tokenizer: Any = None,
    ) -> Generation:
        """Draw strings as `aligndec.generate` does: the same ones, given equal logits.

        Parameters
        ----------
        prompts : int64 [P, T], list of P lists of int, or with `tokenizer` text
            Prompts.
        adaptor, max_new_tokens, seed, num_return_sequences, prompt_ids, first_draw, eos_token_id,
        pad_token_id, per_token, tokenizer
            As in `aligndec.generate`.
        keep_sets : int, optional
            Keep sets of at most so many ids; on the CPU.

        Returns
        -------
        Generation
            On the CPU. A string that met unusable logits ends there with status 1 or 2.
        """
        name = "VLLMCausalLM.generate"
        draws = num_return_sequences
        at_least(name, 1, max_new_tokens=max_new_tokens, num_return_sequences=draws)
        at_least(name, 0, first_draw=first_draw)
        text = read_prompts(name, tokenizer, prompts, None)
        _, ids, mask, names, adaptors, eos, pad = prepare(
            *(name, Head(self.vocab_size, self.eos_token_id)),
            *(text.input_ids, text.attention_mask),
            adaptor=adaptor,
            prompt_ids=prompt_ids,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
        )
        seed, run = run_seed(name, seed), uuid.uuid4().hex
        given, params, sequences = [], [], []
        for p, (row, real) in enumerate(zip(ids, mask, strict=True)):
            prompt = row[real].tolist()
            for draw in range(first_draw, first_draw + draws):
                sequences.append(int(names[p]) * 2**32 + draw)
                given.append(prompt)
                params.append(
                    vllm_params(
                        adaptors[p if len(adaptors) > 1 else 0],
                        prompt_id=int(names[p]),
                        draw=draw,
                        seed=seed,
                        keep_sets=keep_sets,
                        run=run,
                        max_tokens=max_new_tokens,
                        ignore_eos=True,
                        stop_token_ids=list(eos),
                        detokenize=False,
                    )
                )
        out = self._strings(given, params, sequences, run, pad)
        last = out.tokens.gather(1, (out.length - 1).clamp(min=0)[:, None])[:, 0]
        ends = torch.tensor(eos, dtype=torch.int64)
        fields: dict[str, Any] = dict(zip(SUMS, out.books.sum(2), strict=True))
        if per_token:
            fields |= {f"token_{k}": v for k, v in zip(SUMS, out.books, strict=True)}
        generation = Generation(
            tokens=out.tokens,
            input_ids=ids,
            attention_mask=mask,
            prompt_ids=names,
            prompt_index=torch.arange(len(ids)).repeat_interleave(draws),
            draw=first_draw + torch.arange(draws).repeat(len(ids)),
            length=out.length,
            finished=torch.isin(last, ends) & (out.length > 0) & (out.status == 0),
            status=out.status,
            seed=seed,
            max_new_tokens=max_new_tokens,
            pad_token_id=pad,
            eos_token_id=eos,
            adaptors=adaptors,
            kept=out.kept,
            **fields,
        )
        return text.tell(generation)

    def score_strings(
        self,
        prompts: Prompts,
        completions: Sequence[Sequence[int]],
        adaptors: Sequence[Adaptor] = (Adaptor(),),
        *,
        per_token: bool = False,
        tokenizer: Any = None,
    ) -> StringScores:
        """Score given strings as `aligndec.score_strings` does, by forced tokens.

        Parameters
        ----------
        prompts : int64 [N, T], list of N lists of int, or with `tokenizer` text
            One per completion.
        completions : list of N lists of int
            May be empty.
        adaptors : sequence of A Adaptor
            Laws to score under; each is a request per string.
        per_token, tokenizer
            As there.

        Returns
        -------
        StringScores
            Fields [A, N].
        """
        name = "VLLMCausalLM.score_strings"
        laws = list(adaptors)
        text = read_prompts(name, tokenizer, prompts, None)
        head = Head(self.vocab_size, self.eos_token_id)
        prepared = prepare(
            *(name, head, text.input_ids, text.attention_mask),
            adaptor=Adaptor(),
            prompt_ids=None,
            eos_token_id=None,
            pad_token_id=0,
        )
        if len(completions) != len(prepared.ids):
            raise ValueError(
                f"{name}: completions must be N = {len(prepared.ids)} lists, got {len(completions)}"
            )
        strings = []
        for i, completion in enumerate(completions):
            where = f"{name}: completions[{i}]"
            strings.append(in_vocabulary(where, integers(where, completion), self.vocab_size))
        run, given, params, sequences = uuid.uuid4().hex, [], [], []
        for a, law in enumerate(laws):
            for i, string in enumerate(strings):
                if not string:
                    continue
                sequences.append(a * len(strings) + i)
                given.append(prepared.ids[i][prepared.mask[i]].tolist())
                params.append(
                    vllm_params(
                        law,
                        draw=sequences[-1],
                        force=string,
                        run=run,
                        max_tokens=len(string),
                        ignore_eos=True,
                        detokenize=False,
                    )
                )
        out = self._strings(given, params, sequences, run, 0, forced=True)
        size, width = len(laws) * len(strings), max([1, *map(len, strings)])
        books = torch.zeros(len(SUMS), size, width, dtype=torch.float64)
        status = torch.zeros(size, dtype=torch.int64)
        place = torch.tensor(sequences, dtype=torch.int64)
        books[:, place, : out.books.shape[2]] = out.books
        status[place] = out.status
        bad = (status == 1) | (status == 2)
        shape = (len(laws), len(strings))
        sums = books.sum(2).masked_fill(bad, torch.nan).reshape(-1, *shape)
        length = torch.tensor([len(s) for s in strings], dtype=torch.int64)
        counted = length.expand(len(laws), -1).contiguous()
        log_p, log_q, log_z, log_kept, kl = sums
        places = status.reshape(shape)
        scores = StringScores(log_p, log_q, log_z, log_kept, kl, counted, places)
        scores.text, scores.prompt_text = text.tell_rows(prepared.ids, prepared.mask, strings)
        if not per_token:
            return scores
        return scores.with_tokens(*books.reshape(-1, *shape, width))

    def _strings(
        self,
        prompts: list[list[int]],
        params: list[Any],
        sequences: list[int],
        run: str,
        pad: int,
        *,
        forced: bool = False,
    ) -> Strings:
        """Run requests and join their tokens with their books."""
        requests = [{"prompt_token_ids": prompt} for prompt in prompts]
        try:
            outputs = self.llm.generate(requests, params, use_tqdm=False) if requests else []
        finally:
            taken = self.llm.collective_rpc("aligndec_take", args=(run,))
        books: dict[str, dict[str, Any]] = {}
        for part in taken:
            books |= part
        drawn = [list(output.outputs[0].token_ids) for output in outputs]
        return strings_of(drawn, [books.get(str(s), {}) for s in sequences], pad, forced=forced)
