"""Teacher-forced scoring of given strings; nothing of size [B, T, V] is formed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from aligndec.generation.gradients import differentiable_books
from aligndec.generation.laws import Laws, laws
from aligndec.generation.lengths import check_lengths
from aligndec.generation.prompts import Prompts, as_prompts, trim
from aligndec.generation.scores import StringScores
from aligndec.generation.text import completion_ids, read_prompts
from aligndec.models import StepLM, as_step_lm, hidden_lm, narrowed
from aligndec.shared import at_least_if_given, in_vocabulary, integers, listed, plain_arguments
from aligndec.step import SUMS, Adaptor, KeptSets

__all__ = ["feed_known", "score_strings"]

# Known tokens are fed in blocks where the model can: the logits of a block stay below this size.
BLOCK_BYTES, MAX_BLOCK = 1 << 25, 32
# A string has the worst status of its tokens: bad logits outrank an unknown set, and that a token
# outside of its set.
_SEVERITY, _OF_SEVERITY = torch.tensor([0, 4, 3, 1, 0, 2]), torch.tensor([0, 3, 5, 2, 1])


@plain_arguments
def score_strings(
    model: Any,
    input_ids: Prompts,
    completions: Sequence[Sequence[int] | str],
    adaptors: Sequence[Adaptor] = (Adaptor(),),
    *,
    attention_mask: Tensor | None = None,
    batch_size: int | None = None,
    kept: KeptSets | None = None,
    per_token: bool = False,
    xtc_coin: Tensor | Literal["marginal"] | None = None,
    tokenizer: Any = None,
    valid_vocab: int | None = None,
    gradient: bool | None = None,
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
        Laws to score under.
    attention_mask : [N, T], optional
        Nonzero at real prompt tokens.
    batch_size : int, optional
        Rows read together at most; default all.
    kept : KeptSets, optional
        The sets that the tokens were drawn from (`Generation.kept`), in place of all cuts: N · T
        rows, row = string · T + token. The adaptors may have a temperature only, which has to be
        given where the run's was not 1. log_p stays that of the full law.
    per_token : bool
        The fields of each token too.
    xtc_coin : bool Tensor [N, T] or [A, N, T], or "marginal"
        Wanted where an adaptor has xtc: as in `score`.
    tokenizer, valid_vocab
        As in `generate`.
    gradient : bool, optional
        Whether log_p, log_q and log_z, and log_kept of given sets, have gradients with respect to
        the model's parameters (sets held fixed). Default: of a transformers model in training mode
        while torch records gradients. Logits then exist for a chunk of tokens at a time, in the
        forward and in the backward pass; the model reads each batch once, without a cache.

    Returns
    -------
    StringScores
        Fields [A, N]. A string with a set that is not complete has status 5 and, of the sums,
        log_p alone.
    """
    parts_of_lm = hidden_lm(model) if torch.is_grad_enabled() else None
    if gradient is None:
        gradient = parts_of_lm is not None and parts_of_lm.training
    if gradient and not torch.is_grad_enabled():
        raise ValueError(
            "score_strings: gradient must be False while torch records none (torch.no_grad), got "
            "True"
        )
    whole: Any = parts_of_lm if gradient and parts_of_lm is not None else as_step_lm(model)
    lm: Any = narrowed("score_strings", whole, valid_vocab, tokenizer)
    chosen = list(adaptors) if isinstance(adaptors, Iterable) else []
    if not chosen or not all(isinstance(a, Adaptor) for a in chosen):
        raise TypeError(f"score_strings: adaptors must be a sequence of Adaptor, got {adaptors!r}")
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
    for i, text in enumerate(texts):
        check_lengths(
            "score_strings", lm, mask[i : i + 1], len(text), f"length of completions[{i}]"
        )
    told = laws(chosen, kept, xtc_coin, length)
    # Longest first: the rows that are still running are always the first ones of their batch.
    order = torch.argsort(length, descending=True, stable=True)
    width = int(length.max()) if per_token and len(length) else 0
    parts = []
    score_batch = _score_with_gradient if gradient else _score_batch
    for rows in torch.split(order, len(order) if batch_size is None else batch_size):
        given = [texts[i] for i in rows.tolist()]
        parts.append(score_batch(lm, *trim(ids[rows], mask[rows]), given, told, rows, width))
    back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    sums, status, tokens = (
        torch.cat(part, -1 - (i == 2)) for i, part in enumerate(zip(*parts, strict=True))
    )
    back = back.to(sums.device)
    counted = length.to(sums.device).expand(len(chosen), -1).contiguous()
    log_p, log_q, log_z, log_kept, kl = sums[:, :, back]
    scores = StringScores(log_p, log_q, log_z, log_kept, kl, counted, status[:, back])
    scores.text, scores.prompt_text = words.tell_rows(ids, mask, texts)
    return scores.with_tokens(*tokens[:, :, back]) if per_token else scores


def _score_with_gradient(
    lm: Any,
    ids: Tensor,
    mask: Tensor,
    texts: list[list[int]],
    told: Laws,
    strings: Tensor,
    kept_width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `_score_batch` does."""
    tokens = _padded(texts)
    if tokens.shape[1] == 0:
        none = torch.zeros(len(SUMS), len(told.adaptors), len(texts), dtype=torch.float64)
        return none, none[0].long(), none.new_zeros(*none.shape, kept_width)
    kept, books, status = told.sets_of(strings, tokens.shape[1]), [], []
    for adaptor in told.adaptors:
        *fields, state = differentiable_books("score_strings", lm, ids, mask, tokens, adaptor, kept)
        books.append(torch.stack(fields))
        status.append(state)
    every = torch.stack(books, 1)  # [5, A, B, T]
    worst = _SEVERITY.to(every.device)[torch.stack(status)].amax(2)
    room = (0, max(0, kept_width - every.shape[3]))
    per_token = torch.nn.functional.pad(every, room) if kept_width else every[..., :0]
    return every.sum(3), _OF_SEVERITY.to(worst.device)[worst], per_token


def _padded(texts: list[list[int]]) -> Tensor:
    """Tokens int64 [B, T] of strings in descending order of length, −1 after the end."""
    tokens = torch.full((len(texts), len(texts[0])), -1, dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = torch.tensor(text, dtype=torch.int64)
    return tokens


@torch.no_grad()
def _score_batch(
    lm: StepLM,
    ids: Tensor,
    mask: Tensor,
    texts: list[list[int]],
    told: Laws,
    strings: Tensor,
    kept_width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sums [5, A, B], worst status [A, B] and books per token [5, A, B, kept_width].

    The strings, numbers `strings` int64 [B], are in descending order of length.
    """
    lengths, tokens = torch.tensor([len(text) for text in texts]), _padded(texts)
    width = tokens.shape[1]
    both, inverse = torch.unique(torch.cat([ids, mask.long()], 1), dim=0, return_inverse=True)
    logits, state = lm.prefill(both[:, : ids.shape[1]], both[:, ids.shape[1] :].bool())
    logits, state = logits[inverse.to(logits.device), None], lm.select(state, inverse)
    tokens = tokens.to(logits.device)
    sums = logits.new_zeros(5, len(told.adaptors), len(texts), dtype=torch.float64)
    books = sums.new_zeros(*sums.shape, kept_width)
    walkers = told.walkers(len(texts), logits.device)
    severity, worst = _SEVERITY.to(logits.device), torch.zeros_like(sums[0], dtype=torch.int64)
    t = 0
    while t < width:
        rows, block = logits.shape[:2]  # logits [rows, block, V] of the columns from t on
        here = slice(t, t + block)
        now, status = told.score(logits, tokens[:rows, here], strings[:rows], t, walkers)
        sums[:, :, :rows] += now.sum(3)
        if kept_width:
            books[:, :, :rows, here] = now
        worst[:, :rows] = torch.maximum(worst[:, :rows], severity[status].amax(2))
        t += block
        if t >= width:
            break
        live = int((lengths > t).sum())
        if live <= rows // 2:  # finished rows stop costing
            rows, state = live, lm.select(state, torch.arange(live))
            first = torch.arange(live, device=logits.device)
            walkers = {i: walker.select(first) for i, walker in walkers.items()}
        logits, state = feed_known(lm, tokens[:rows, t - 1 : width - 1].clamp(min=0), state, logits)
    return sums, _OF_SEVERITY.to(worst.device)[worst], books


def feed_known(lm: StepLM, tokens: Tensor, state: Any, like: Tensor) -> tuple[Tensor, Any]:
    """Feed the first of the known tokens [B, k]: as many as a bounded block of logits allows."""
    if not hasattr(lm, "extend"):
        logits, state = lm.step(tokens[:, 0], state)
        return logits[:, None], state
    row_bytes = tokens.shape[0] * like.shape[-1] * like.element_size()
    count = max(1, min(MAX_BLOCK, BLOCK_BYTES // row_bytes))
    block: tuple[Tensor, Any] = lm.extend(tokens[:, :count], state)
    return block
