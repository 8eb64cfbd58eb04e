"""Teacher-forced scoring of given strings; nothing of size [B, T, V] is formed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.generation.prompts import Prompts, as_prompts, trim
from aligndec.generation.scores import StringScores
from aligndec.generation.text import completion_ids, read_prompts
from aligndec.models import StepLM, as_step_lm, narrowed
from aligndec.shared import at_least_if_given, in_vocabulary, integers, listed
from aligndec.step import Adaptor, SequenceState, Step, has_xtc, score, score_grid

__all__ = ["feed_known", "score_strings"]

# Known tokens are fed in blocks where the model can: the logits of a block stay below this size.
BLOCK_BYTES, MAX_BLOCK = 1 << 25, 32


@torch.no_grad()
def score_strings(
    model: Any,
    input_ids: Prompts,
    completions: Sequence[Sequence[int] | str],
    adaptors: Sequence[Adaptor] = (Adaptor(),),
    *,
    attention_mask: Tensor | None = None,
    batch_size: int | None = None,
    tokenizer: Any = None,
    valid_vocab: int | None = None,
) -> StringScores:
    """Sum the fields of the step over given strings, teacher-forced, under A adaptors at once.

    The logits of each position are read once for all adaptors; equal prompts are read once.

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
        The model.
    input_ids : int64 [N, T] or list of N lists of int
        One prompt per completion, left padded or ragged; with `tokenizer` texts as in `generate`.
    completions : list of N lists of int, or with `tokenizer` of str
        Token ids, an end token included where the string has one; may be empty. Nothing is added to
        a text.
    adaptors : sequence of A Adaptor
        Laws to score under, without xtc, whose coins are not known here.
    attention_mask : [N, T], optional
        Nonzero at real prompt tokens.
    batch_size : int, optional
        Rows read together at most; default all.
    tokenizer, valid_vocab
        As in `generate`.

    Returns
    -------
    StringScores
        Fields [A, N].
    """
    lm = narrowed("score_strings", as_step_lm(model), valid_vocab, tokenizer)
    laws = list(adaptors) if isinstance(adaptors, Iterable) else []
    if not laws or not all(isinstance(a, Adaptor) for a in laws):
        raise TypeError(f"score_strings: adaptors must be a sequence of Adaptor, got {adaptors!r}")
    if has_xtc(laws):
        raise ValueError(
            "score_strings: adaptors must be without xtc (the coins of its tokens are not known "
            "here; score takes them as xtc_coin), got one with xtc"
        )
    words = read_prompts("score_strings", tokenizer, input_ids, attention_mask)
    ids, mask = as_prompts("score_strings", words.input_ids, words.attention_mask, lm.vocab_size, 0)
    completions = completion_ids(tokenizer, completions)
    if len(listed("score_strings: completions", "N lists of ids", completions)) != len(ids):
        raise ValueError(
            f"score_strings: completions must be N = {len(ids)} lists, got {len(completions)}"
        )
    at_least_if_given("score_strings", 1, batch_size=batch_size)
    texts = []
    for i, completion in enumerate(completions):
        name = f"score_strings: completions[{i}]"
        texts.append(in_vocabulary(name, integers(name, completion), lm.vocab_size))
    length = torch.tensor([len(text) for text in texts], dtype=torch.int64)
    # Longest first: the rows that are still running are always the first ones of their batch.
    order = torch.argsort(length, descending=True, stable=True)
    sums, status = [], []
    for rows in torch.split(order, len(order) if batch_size is None else batch_size):
        given = [texts[i] for i in rows.tolist()]
        total, worst = _score_batch(lm, *trim(ids[rows], mask[rows]), given, laws)
        sums.append(total)
        status.append(worst)
    back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    fields, worst = torch.cat(sums, 2), torch.cat(status, 1)
    back = back.to(fields.device)
    counted = length.to(fields.device).expand(len(laws), -1).contiguous()
    log_p, log_q, log_z, log_kept, kl = fields[:, :, back]
    scores = StringScores(log_p, log_q, log_z, log_kept, kl, counted, worst[:, back])
    scores.text, scores.prompt_text = words.tell_rows(ids, mask, texts)
    return scores


def _score_batch(
    lm: StepLM, ids: Tensor, mask: Tensor, texts: list[list[int]], adaptors: list[Adaptor]
) -> tuple[Tensor, Tensor]:
    """Return sums [5, A, B] and worst status [A, B] of strings in descending order of length."""
    lengths, width = torch.tensor([len(text) for text in texts]), len(texts[0])
    tokens = torch.full((len(texts), width), -1, dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = torch.tensor(text, dtype=torch.int64)
    both, inverse = torch.unique(torch.cat([ids, mask.long()], 1), dim=0, return_inverse=True)
    logits, state = lm.prefill(both[:, : ids.shape[1]], both[:, ids.shape[1] :].bool())
    logits, state = logits[inverse.to(logits.device), None], lm.select(state, inverse)
    tokens = tokens.to(logits.device)
    sums = torch.zeros(5, len(adaptors), len(texts), dtype=torch.float64, device=logits.device)
    # Stateful adaptors walk along the strings; the others need one read of the logits together.
    walkers = {
        i: SequenceState.start(len(texts), device=logits.device)
        for i, adaptor in enumerate(adaptors)
        if adaptor.stateful
    }
    # Bad logits outrank a token outside of the kept set; the table is its own inverse.
    severity = torch.tensor([0, 3, 2, 1, 0], device=logits.device)
    worst = torch.zeros_like(sums[0], dtype=torch.int64)
    t = 0
    while t < width:
        rows, block = logits.shape[:2]  # logits [rows, block, V] of the columns from t on
        # A negative token is past the end of its row and adds zero.
        now, status = _score_block(logits, tokens[:rows, t : t + block], adaptors, walkers)
        sums[:, :, :rows] += now.sum(3)
        worst[:, :rows] = torch.maximum(worst[:, :rows], severity[status].amax(2))
        t += block
        if t >= width:
            break
        live = int((lengths > t).sum())
        if live <= rows // 2:  # finished rows stop costing
            rows, state = live, lm.select(state, torch.arange(live))
            kept = torch.arange(live, device=logits.device)
            walkers = {i: walker.select(kept) for i, walker in walkers.items()}
        logits, state = feed_known(lm, tokens[:rows, t - 1 : width - 1].clamp(min=0), state, logits)
    return sums, severity[worst]


def _score_block(
    logits: Tensor, tokens: Tensor, adaptors: list[Adaptor], walkers: dict[int, SequenceState]
) -> tuple[Tensor, Tensor]:
    """Return log_p, log_q, log_z, log_kept, kl [5, A, B, k] and status [A, B, k] of a block."""

    def sums(step: Step) -> Tensor:
        return torch.stack([step.log_p, step.log_q, step.log_z, step.log_kept, step.kl])

    if not walkers:
        step = score_grid(logits, tokens.contiguous(), adaptors)
        return sums(step), step.status
    status = tokens.new_zeros((len(adaptors), *tokens.shape))
    now = status.new_zeros((5, *status.shape), dtype=torch.float64)
    others = [i for i in range(len(adaptors)) if i not in walkers]
    step = score_grid(logits, tokens.contiguous(), [adaptors[i] for i in others])
    now[:, others], status[others] = sums(step), step.status
    for i, walker in walkers.items():
        for c, column in enumerate(tokens.unbind(1)):
            one = score(logits[:, c], column.contiguous(), adaptors[i], state=walker, strict=False)
            now[:, i, :, c], status[i, :, c] = sums(one), one.status
    return now, status


def feed_known(lm: StepLM, tokens: Tensor, state: Any, like: Tensor) -> tuple[Tensor, Any]:
    """Feed the first of the known tokens [B, k]: as many as a bounded block of logits allows."""
    if not hasattr(lm, "extend"):
        logits, state = lm.step(tokens[:, 0], state)
        return logits[:, None], state
    row_bytes = tokens.shape[0] * like.shape[-1] * like.element_size()
    count = max(1, min(MAX_BLOCK, BLOCK_BYTES // row_bytes))
    block: tuple[Tensor, Any] = lm.extend(tokens[:, :count], state)
    return block
