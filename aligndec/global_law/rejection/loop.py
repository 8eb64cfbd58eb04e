"""The loop of rejection: strings stop where they fail and others take their slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aligndec.global_law.rejection.accept import accept
from aligndec.global_law.rejection.draw import Law, draw
from aligndec.global_law.rejection.records import Accepted, Records
from aligndec.global_law.rejection.refill import next_draws, refill
from aligndec.global_law.rejection.strings import Source

__all__ = ["Task", "accepted_strings"]


@dataclass(frozen=True)
class Task:
    """What is wanted; which draw gets a slot when does not change what is accepted."""

    n_samples: int  # per prompt
    most: int  # draws of a prompt
    keep_unfinished: bool
    slots: int
    bar: Any


def accepted_strings(task: Task, source: Source, law: Law) -> Accepted:
    """Draw until every prompt has enough accepted strings or no draws left."""
    lm, pad = source.given.lm, source.given.pad
    joins, slots = hasattr(lm, "join"), task.slots
    records = Records(source, task.n_samples, task.bar)
    draws = next_draws(records, task.most, slots, running=0, joins=joins)
    records.start(draws)
    strings = source.open(draws)
    while strings is not None:
        drawn = draw(strings, law, source.seed, pad)
        verdict = accept(strings, drawn, keep_unfinished=task.keep_unfinished)
        records.write(strings, verdict)
        strings.stop(verdict.decided | records.surplus(strings))
        running = strings.alive.nonzero()[:, 0]
        draws = next_draws(records, task.most, slots, running=len(running), joins=joins)
        records.start(draws)
        records.fed += len(running)
        strings = refill(lm, strings, running, drawn.token, source, draws)
    return records.result()
