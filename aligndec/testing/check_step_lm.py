"""A check of the promises that a step model makes (public as `aligndec.testing`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import as_prompts

__all__ = ["check_step_lm"]

_LENGTHS = (5, 2, 7, 3, 15, 31, 63)
_LONGEST = max(_LENGTHS)


def check_step_lm(
    lm: Any, prompts: Sequence[Sequence[int]] | None = None, *, steps: int = 3, atol: float = 1e-4
) -> dict[str, float]:
    """Check that a model keeps the promises of `StepLM`.

    Parameters
    ----------
    lm : StepLM
        The model.
    prompts : list of lists of int, optional
        At least two, of different lengths. By default seven fixed ones; some of them step across
        16, 32 and 64 tokens beside shorter ones, since the law of a string must not depend on the
        longest of the batch. A model that changes with length at another place, such as long RoPE
        at 4096, shows it with prompts around it.
    steps : int
        Tokens decoded after each prompt.
    atol : float
        Largest difference of log-probabilities; 0 for models that are exact.

    Returns
    -------
    dict
        Largest difference seen per check: "cache" (step = prefill of the longer prefix),
        "padding" (left-padded = alone), "select" (gathered = whole), "reuse" (`select` leaves its
        argument usable), "extend" (several tokens at once = one by one), "join" (rows of two
        states of different lengths = apart); 0 for the members that the model lacks.

    Raises
    ------
    AssertionError
        Naming the first broken promise.
    """
    vocab = lm.vocab_size
    _need(all(0 <= t < vocab for t in lm.eos_token_id), "eos_token_id must be in [0, V)")
    if prompts is None:
        room = getattr(lm, "max_positions", None) or _LONGEST + steps
        sizes = [n for n in _LENGTHS if n <= 7 or n + steps <= room]
        prompts = [[(7 * i + 3 * j) % vocab for j in range(n)] for i, n in enumerate(sizes)]
    tokens = torch.tensor(
        [[(5 * i + t) % vocab for i in range(len(prompts))] for t in range(steps)]
    )

    def run(rows: list[int], index: Tensor | None = None) -> list[Tensor]:
        """Log-probabilities [B, V] after the prompt and after each step; `index` gathers first."""
        ids, mask = as_prompts("check_step_lm", [prompts[r] for r in rows], None, vocab, 0)
        logits, state = lm.prefill(ids, mask)
        _need(logits.shape == (len(rows), vocab), "prefill must return logits [B, V]")
        _need(logits.is_floating_point(), "logits must be floating point")
        out = [logits]
        if index is not None:
            lm.step(tokens[0, rows], lm.select(state, torch.arange(len(rows))))
            state, rows = lm.select(state, index), [rows[i] for i in index.tolist()]
            out = [logits[index.to(logits.device)]]
        for t in range(steps):
            logits, state = lm.step(tokens[t, rows], state)
            _need(logits.shape == (len(rows), vocab), "step must return logits [B, V]")
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
        apart = joined = [torch.cat([base[-1], base[1 if steps else 0]])]
        if hasattr(lm, "join") and steps > 0:
            ids, mask = as_prompts("check_step_lm", prompts, None, vocab, 0)
            old, new = lm.prefill(ids, mask)[1], lm.prefill(ids, mask)[1]
            for t in range(steps - 1):
                old = lm.step(tokens[t], old)[1]
            both = torch.cat([tokens[steps - 1], tokens[0]])
            joined = [lm.step(both, lm.join(old, new))[0].double().log_softmax(1)]
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
        "join": difference(joined, apart),
    }
    for name, value in seen.items():
        _need(value <= atol, f"{name} must differ by <= {atol}, got {value}")
    return seen


def _need(good: Any, what: str) -> None:
    """Raise what `assert` raises, under `python -O` too."""
    if not good:
        raise AssertionError(f"check_step_lm: {what}")
