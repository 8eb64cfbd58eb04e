"""The loop of Transfer Q*: the only module that knows all stages; one batch for all strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aligndec.transfer_q.branches import grow
from aligndec.transfer_q.candidates import candidate_sets
from aligndec.transfer_q.choice import choose
from aligndec.transfer_q.commit import commit
from aligndec.transfer_q.live import Decision, Live
from aligndec.transfer_q.options import Options
from aligndec.transfer_q.records import Records
from aligndec.transfer_q.rollouts import roll_out
from aligndec.transfer_q.values import Rewards, values

__all__ = ["Run", "decode"]


@dataclass(frozen=True)
class Run:
    """What does not change during one `generate`."""

    options: Options
    rewards: Rewards
    records: Records
    max_new_tokens: int
    seed: int
    ends: Tensor  # tokens that end a string
    rollout_ends: Tensor
    pad: int
    bar: Any


def decode(run: Run, live: Live) -> None:
    """Decode the live strings until each has ended or has `max_new_tokens`."""
    t = 0
    while t < run.max_new_tokens and len(live.rows) > 0:
        size = min(run.options.block_size, run.max_new_tokens - t)
        before, last = len(live.rows), t + size == run.max_new_tokens
        live = _decide(run, Decision(run.seed, t, size, last), live)
        t += size
        if run.bar is not None:  # strings that ended are counted to their cap
            ended = before - len(live.rows)
            run.bar.update(before * size + ended * (run.max_new_tokens - t))


def _decide(run: Run, decision: Decision, live: Live) -> Live:
    """Add a block to the live strings; return those that go on."""
    options, records, pad = run.options, run.records, run.pad
    sets = candidate_sets(options, decision, live)
    if bool((sets.status != 0).any()):
        records.judge(live.rows, sets.status)
        index = (sets.status == 0).nonzero()[:, 0]
        live, sets = live.select(index), sets.select(index)
        if len(index) == 0:
            return live
    branches = grow(options, decision, live, sets, ends=run.ends, pad=pad)
    rollouts = roll_out(options, decision, live, branches, ends=run.rollout_ends, pad=pad)
    texts = records.texts(live.rows)
    value = values(options, run.rewards, live, texts, sets, branches, rollouts)
    branch, sums = choose(options, decision, live, sets, branches, value)

    good = (rollouts.status == 0).nonzero()[:, 0]
    records.judge(live.rows, rollouts.status)
    records.append(live.rows[good], decision.t, branches.paths, branch[good], sums[:, good])
    goes_on = ~branches.paths.ended[branch[good]] & (not decision.last)
    return commit(options, live, branches, branch, good[goes_on])
