"""The loop of Transfer Q*: candidates, values, choice, commit; one batch for all strings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.ops import current_ops
from aligndec.step import score
from aligndec.transfer_q.branches import Branches, Context, Live, grow
from aligndec.transfer_q.candidates import Pool, open_pool
from aligndec.transfer_q.outcomes import value_branches
from aligndec.transfer_q.steps import Choice, Steps

__all__ = ["decode"]

_steps = Steps(current_ops)


def decode(context: Context, live: Live, bar: Any) -> None:
    """Decode the live strings until each has ended or has `max_new_tokens`."""
    t = 0
    while t < context.max_new_tokens and len(live.rows) > 0:
        size = min(context.options.block_size, context.max_new_tokens - t)
        before = len(live.rows)
        live = _decide(context, live, t, size)
        t += size
        if bar is not None:  # strings that ended are counted to their cap
            ended = before - len(live.rows)
            bar.update(before * size + ended * (context.max_new_tokens - t))


def _decide(context: Context, live: Live, t: int, size: int) -> Live:
    """Add a block of `size` tokens to the live strings; return those that go on."""
    ids = context.sequence_ids[live.rows]
    pool = open_pool(context.options, live.logits, context.seed, ids, t)
    if bool((pool.status != 0).any()):
        context.strings.status[live.rows] = pool.status
        index = (pool.status == 0).nonzero()[:, 0]
        live, pool = live.keep(context, index), pool.select(index)
        if len(index) == 0:
            return live
    branches = grow(context, live, pool, t, size)
    value, status = value_branches(context, live, pool, branches, t, size)
    context.strings.status[live.rows] = status
    choice = _choose(context, live, pool, value, t)
    return _commit(context, live, pool, branches, choice, t, size)


def _choose(context: Context, live: Live, pool: Pool, value: Tensor, t: int) -> Choice:
    """Choose a candidate for each live string; gated ones have drawn theirs."""
    options = context.options
    log_ref = pool.log_p
    if options.uniform:
        log_ref = torch.where(log_ref > -torch.inf, 0.0, log_ref)
    elif options.reference == "sft":
        assert live.sft_logits is not None
        log_sft = score(live.sft_logits[:, None], pool.token, strict=False).log_p
        log_ref = torch.where(log_ref > -torch.inf, log_sft, log_ref)
    ids = context.sequence_ids[live.rows]
    index = (~pool.gated).nonzero()[:, 0]
    choice = Choice(torch.zeros_like(ids), *(torch.zeros_like(log_ref[:, 0]) for _ in range(3)))
    if pool.step is not None:
        choice = choice._replace(log_ref=pool.step.log_p, log_alg=pool.step.log_q, kl=pool.step.kl)
    if len(index) == 0:
        return choice
    chosen = _steps.rescore(
        log_ref[index],
        value[index],
        alpha=options.alpha,
        greedy=options.select == "greedy",
        seed=context.seed,
        sequence_ids=ids[index],
        positions=t,
    )
    pairs = zip(choice, chosen, strict=True)
    return Choice(*(old.index_copy(0, index, new) for old, new in pairs))


def _commit(
    context: Context,
    live: Live,
    pool: Pool,
    branches: Branches,
    choice: Choice,
    t: int,
    size: int,
) -> Live:
    """Write the chosen paths into the records; return the strings that go on."""
    strings, paths = context.strings, branches.paths
    good = (strings.status[live.rows] == 0).nonzero()[:, 0]
    at = choice.index
    winner = branches.numbers(*pool.token.shape)[torch.arange(len(at), device=at.device), at]
    winner, rows = winner[good], live.rows[good]
    strings.tokens[rows, t : t + size] = paths.tokens[winner]
    strings.length[rows] += paths.length[winner]
    for row, text in zip(rows.tolist(), paths.texts(winner), strict=True):
        strings.texts[row] += text
    strings.sums[:, rows] += _sums(context, pool, choice)[:, good] + paths.sums(winner)
    ended = paths.ended[winner]
    strings.finished[rows] = ended
    if t + size >= context.max_new_tokens:
        ended = torch.ones_like(ended)
    on = (~ended).nonzero()[:, 0]
    return _advance(context, live, branches, good[on], winner[on])


def _sums(context: Context, pool: Pool, choice: Choice) -> Tensor:
    """Return what the choice itself adds to `SUMS`, float64 [5, b]."""
    log_p = pool.log_p.gather(1, choice.index[:, None])[:, 0]
    # Independent draws are no set: they have no mass.
    log_kept = torch.zeros_like(log_p) if context.options.uniform else pool.log_p.logsumexp(1)
    if pool.step is not None:
        log_p = torch.where(pool.gated, pool.step.log_p, log_p)
        log_kept = torch.where(pool.gated, pool.step.log_kept, log_kept)
    return torch.stack([log_p, choice.log_ref, choice.log_alg, choice.kl, log_kept.clamp(max=0.0)])


def _advance(
    context: Context, live: Live, branches: Branches, index: Tensor, winner: Tensor
) -> Live:
    """Return live strings `index` behind their chosen branches: the winners' columns are kept."""
    if len(index) == 0:
        return live.keep(context, index)
    tokens, rows = branches.paths.tokens[winner], live.rows[index]
    front, lm = branches.front, context.lm
    if front is None:
        logits, state = lm.step(tokens[:, -1], lm.select(live.state, index))
    else:
        place = torch.zeros(len(branches.owner), dtype=torch.int64, device=rows.device)
        place[front.index] = torch.arange(len(front.index), device=rows.device)
        at = place[winner]
        logits, state = front.logits[at], lm.select(front.state, at)
        if context.options.look_ahead == 0:
            logits, state = lm.step(tokens[:, -1], state)
    sft_logits, sft_state = live.sft_logits, live.sft_state
    if context.sft is not None:
        sft_state = context.sft.select(sft_state, index)
        for column in tokens.unbind(1):
            sft_logits, sft_state = context.sft.step(column, sft_state)
    return Live(rows, logits, state, sft_logits, sft_state)
