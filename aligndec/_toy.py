"""Enumerable toy models and a conformance check for step models (public as `aligndec.testing`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec._prompts import as_prompts, token_ids
from aligndec.models import StepLM

__all__ = ["Strings", "TableLM", "check_step_lm", "enumerate_strings"]


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


def check_step_lm(
    lm: Any, prompts: Sequence[Sequence[int]] | None = None, *, steps: int = 3, atol: float = 1e-4
) -> dict[str, float]:
    """Check that a model keeps the promises of `StepLM`.

    Parameters
    ----------
    lm : StepLM
        The model.
    prompts : list of lists of int, optional
        At least two, of different lengths; four fixed ones by default.
    steps : int
        Tokens decoded after each prompt.
    atol : float
        Largest difference of log-probabilities; 0 for models that are exact.

    Returns
    -------
    dict
        Largest difference seen per check: "cache" (step = prefill of the longer prefix),
        "padding" (left-padded = alone), "select" (gathered = whole), "reuse" (`select` leaves its
        argument usable), "extend" (several tokens at once = one by one; 0 without that member).

    Raises
    ------
    AssertionError
        Naming the first broken promise.
    """
    vocab = lm.vocab_size
    assert all(0 <= t < vocab for t in lm.eos_token_id), "eos_token_id must be in [0, V)"
    if prompts is None:
        prompts = [[(7 * i + 3 * j) % vocab for j in range(n)] for i, n in enumerate((5, 2, 7, 3))]
    tokens = torch.tensor(
        [[(5 * i + t) % vocab for i in range(len(prompts))] for t in range(steps)]
    )

    def run(rows: list[int], index: Tensor | None = None) -> list[Tensor]:
        """Log-probabilities [B, V] after the prompt and after each step; `index` gathers first."""
        ids, mask = as_prompts("check_step_lm", [prompts[r] for r in rows], None, vocab, 0)
        logits, state = lm.prefill(ids, mask)
        assert logits.shape == (len(rows), vocab), "prefill must return logits [B, V]"
        assert logits.is_floating_point(), "logits must be floating point"
        out = [logits]
        if index is not None:
            lm.step(tokens[0, rows], lm.select(state, torch.arange(len(rows))))
            state, rows = lm.select(state, index), [rows[i] for i in index.tolist()]
            out = [logits[index.to(logits.device)]]
        for t in range(steps):
            logits, state = lm.step(tokens[t, rows], state)
            assert logits.shape == (len(rows), vocab), "step must return logits [B, V]"
            out.append(logits)
        return [o.detach().double().log_softmax(1) for o in out]

    def difference(a: list[Tensor], b: list[Tensor]) -> float:
        # Equal infinities are no difference; a NaN anywhere is an infinite one.
        pairs = [(x - y).abs().masked_fill(x == y, 0.0) for x, y in zip(a, b, strict=True)]
        return float(torch.stack([p.nan_to_num(math.inf).max() for p in pairs]).max())

    with torch.no_grad():
        whole = list(range(len(prompts)))
        base = run(whole)
        alone = [run([r]) for r in whole]
        stacked = [torch.cat([a[t] for a in alone]) for t in range(steps + 1)]
        fresh = [base[0]]
        for t in range(steps):
            longer = [[*p, *tokens[: t + 1, r].tolist()] for r, p in enumerate(prompts)]
            ids, mask = as_prompts("check_step_lm", longer, None, vocab, 0)
            fresh.append(lm.prefill(ids, mask)[0].double().log_softmax(1))
        index = torch.tensor([1, 1, 0, *reversed(whole)])
        chosen = run(whole, index)
        narrow = run(whole, torch.tensor([1]))
        at_once = base[1:]
        if hasattr(lm, "extend"):
            ids, mask = as_prompts("check_step_lm", prompts, None, vocab, 0)
            logits, _ = lm.extend(tokens.t(), lm.prefill(ids, mask)[1])
            at_once = list(logits.double().log_softmax(2).unbind(1))
    seen = {
        "cache": difference(base, fresh),
        "padding": difference(base, stacked),
        "select": difference(chosen, [b[index.to(b.device)] for b in base]),
        "reuse": difference(narrow, [b[1:2] for b in base]),
        "extend": difference(at_once, base[1:]),
    }
    for name, value in seen.items():
        assert value <= atol, f"check_step_lm: {name} must differ by <= {atol}, got {value}"
    return seen
