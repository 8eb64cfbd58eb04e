"""Models whose every law can be enumerated (public as `aligndec.testing`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.generation import as_prompts
from aligndec.models import StepLM
from aligndec.shared import plain_arguments, token_ids

__all__ = ["Strings", "TableLM", "enumerate_strings"]


class TableLM:
    """A Markov language model given by its table of logits: every law of it can be enumerated.

    Parameters
    ----------
    table : [V, …, V]
        The last axis holds the next-token logits, the axes before it the last k tokens (oldest
        first), so `[V]` is memoryless and `[V, V]` a Markov chain. float32, float16 or bfloat16;
        float64 on the reference backend. `-inf` is a token that never comes.
    eos_token_id : int or sequence of int
        Tokens that end a string; none by default.

    Notes
    -----
    Prompts need at least k tokens. The logits of a row depend on its own tokens alone, bit for bit.
    """

    @plain_arguments
    def __init__(self, table: Tensor, *, eos_token_id: int | Sequence[int] = ()) -> None:
        if table.dim() == 0 or len(set(table.shape)) != 1 or not table.is_floating_point():
            raise ValueError(
                "TableLM: table must be a floating-point [V, ..., V], got "
                f"{table.dtype} {list(table.shape)}"
            )
        self.table = table.detach().reshape(-1, table.shape[-1])
        self.order = table.dim() - 1
        self.vocab_size = table.shape[-1]
        self.eos_token_id = token_ids("TableLM: eos_token_id", eos_token_id, self.vocab_size)
        self.device = table.device
        powers = [self.vocab_size**k for k in reversed(range(self.order))]
        self._powers = torch.tensor(powers, dtype=torch.int64, device=table.device)

    @classmethod
    @plain_arguments
    def random(
        cls,
        vocab_size: int,
        *,
        order: int = 1,
        eos_token_id: int | Sequence[int] = (),
        scale: float = 1.5,
        seed: int = 0,
    ) -> TableLM:
        """Draw a table of normal float32 logits with standard deviation `scale`."""
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn([vocab_size] * (order + 1), generator=generator) * scale
        return cls(table, eos_token_id=eos_token_id)

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the rows of the last k tokens; the state is [B, k]."""
        ids, mask = ids.to(self.device), mask.to(self.device)
        first = ids.shape[1] - self.order
        if first < 0 or not bool(mask[:, first:].all()):
            raise ValueError(
                f"TableLM: prompts must have >= {self.order} tokens, got a shorter one"
            )
        state = ids[:, first:].clone()
        return self._logits(state), state

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Shift the context by one token."""
        if self.order:
            state = torch.cat([state[:, 1:], tokens.to(self.device)[:, None]], 1)
        return self._logits(state), state

    def select(self, state: Tensor, index: Tensor) -> Tensor:
        """Gather contexts."""
        return state[index.to(self.device)]

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Stack contexts."""
        return torch.cat([first, second])

    def _logits(self, state: Tensor) -> Tensor:
        return self.table[(state * self._powers).sum(1)]


class Strings(NamedTuple):
    """All strings of a model: S of them, in the order of their token ids.

    `tokens` int64 [S, T] with -1 after the end, `length` int64 [S] (EOS included), `log_p`
    float64 [S], `finished` bool [S] (False: the length cap was reached first).
    """

    tokens: Tensor
    length: Tensor
    log_p: Tensor
    finished: Tensor

    def completions(self) -> list[list[int]]:
        """Return the strings as lists of ids, as `score_strings` takes them."""
        return [r[:n] for r, n in zip(self.tokens.tolist(), self.length.tolist(), strict=True)]

    def index_of(self, tokens: Tensor, length: Tensor) -> Tensor:
        """Find each given string (`tokens` [N, T'], `length` [N]) here; int64 [N]."""
        number = {tuple(string): i for i, string in enumerate(self.completions())}
        rows = zip(tokens.tolist(), length.tolist(), strict=True)
        return torch.tensor([number[tuple(row[:n])] for row, n in rows], dtype=torch.int64)


@plain_arguments
def enumerate_strings(lm: StepLM, prompt: Sequence[int], max_new_tokens: int) -> Strings:
    """Every string that the model can emit after one prompt, with its exact log-probability.

    Parameters
    ----------
    lm : StepLM
        With a small vocabulary: up to V^max_new_tokens strings are held.
    prompt : sequence of int
        Token ids.
    max_new_tokens : int
        Length cap; strings that reach it without an end token count as well (`finished` False).

    Returns
    -------
    Strings
        The probabilities sum to 1. float64 log-softmax of the logits, untouched by any adaptor.
    """
    ids, mask = as_prompts("enumerate_strings", [list(prompt)], None, lm.vocab_size, 0)
    logits, state = lm.prefill(ids, mask)
    prefix = torch.empty(1, 0, dtype=torch.int64)
    log_p = torch.zeros(1, dtype=torch.float64)
    eos = torch.tensor(lm.eos_token_id, dtype=torch.int64)
    done: list[tuple[Tensor, Tensor, bool]] = []
    for t in range(max_new_tokens):
        step_log_p = logits.detach().cpu().double().log_softmax(1)
        parent, token = torch.nonzero(step_log_p > -math.inf, as_tuple=True)
        log_p = log_p[parent] + step_log_p[parent, token]
        prefix = torch.cat([prefix[parent], token[:, None]], 1)
        ended = torch.isin(token, eos)
        done.append((prefix[ended], log_p[ended], True))
        live = (~ended).nonzero()[:, 0]
        prefix, log_p = prefix[live], log_p[live]
        if len(live) == 0:
            break
        if t + 1 < max_new_tokens:
            logits, state = lm.step(token[live], lm.select(state, parent[live]))
    done.append((prefix, log_p, False))
    width = max(p.shape[1] for p, _, _ in done)
    tokens = torch.cat(
        [torch.nn.functional.pad(p, (0, width - p.shape[1]), value=-1) for p, _, _ in done]
    )
    finished = torch.cat([torch.full((len(p),), end) for p, _, end in done])
    log_p = torch.cat([lp for _, lp, _ in done])
    order = torch.tensor(
        sorted(range(len(tokens)), key=tokens.tolist().__getitem__), dtype=torch.int64
    )
    tokens = tokens[order]
    return Strings(tokens, (tokens >= 0).sum(1), log_p[order], finished[order])
