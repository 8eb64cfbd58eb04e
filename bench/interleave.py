"""The one clock of all benchmarks: candidates take turns in one run, and minima are compared."""

import gc
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["REPEATS", "Timing", "interleave", "wall"]

REPEATS = 30
MOST = 400


class Timing(NamedTuple):
    best: float  # seconds, minimum
    median: float
    repeats: int


def wall(call: Callable[[], object]) -> float:
    """Seconds of one call on the host's clock."""
    begin = time.perf_counter()
    result = call()
    elapsed = time.perf_counter() - begin
    del result  # freed off the clock: a baseline's [B, V] output is not held against it
    return elapsed


def interleave(
    calls: Mapping[str, Callable[[], object]],
    *,
    repeats: int = REPEATS,
    seconds: float = 0.2,
    clock: Callable[[Callable[[], Any]], float] = wall,
) -> dict[str, Timing]:
    """Time callables against each other; returns a `Timing` per name.

    Every candidate runs once per turn, in an order that is shuffled anew, so that none always
    finds the caches as the same neighbour left them. Other processes only ever slow a call: the
    minimum is what it costs. Turns go on until there are `repeats` of them and `seconds` are
    over, which gives short calls more chances of an undisturbed moment.
    """
    order, rng = list(calls), random.Random(0)
    for call in calls.values():  # pages, thread pools and the dispatcher are warm from here on
        call()
    samples: dict[str, list[float]] = {name: [] for name in order}
    gc.collect()  # no collection in somebody's turn, unless the call itself asks for one
    start, turns = time.perf_counter(), 0
    while turns < repeats or (turns < MOST and time.perf_counter() - start < seconds):
        rng.shuffle(order)
        for name in order:
            samples[name].append(clock(calls[name]))
        turns += 1
    return {
        name: Timing(min(times), sorted(times)[len(times) // 2], len(times))
        for name, times in samples.items()
    }
