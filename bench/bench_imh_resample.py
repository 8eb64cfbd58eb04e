"""Chains over a stored pool against eager torch that steps all chains at once.

    python bench/bench_imh_resample.py --json bench/results/imh_resample-cpu.json

or, through pytest-benchmark, `pytest -o python_files='bench_*.py' bench`. A pool of 2 000 strings
with log-weights N(0, 1) and two values each, 2 000 chains. `imh.resample` runs all 200 000 steps;
"eager" draws its numbers a block of steps ahead; it runs a twentieth of the steps, and its time is
multiplied. The second row is our time per step and core in nanoseconds.
"""

import sys
from collections.abc import Callable

import command
import pytest
import torch
from interleave import Timing, interleave
from report import Row
from suite import LIMITS, THREADS, Limit
from torch import Tensor

from aligndec import imh, rng

POOL, CHAINS, STEPS, COLUMNS = 2000, 2000, 200_000, 2
BLOCK = 250  # steps whose numbers eager torch draws at a time
REPEATS = 5  # turns: one of them takes seconds
LIMITS.setdefault("imh.resample", Limit(">=", 15.0))
LIMITS.setdefault("imh.resample, ns", Limit("<=", 3.2))
Numbers = Callable[[int, int], tuple[Tensor, Tensor]]


def torch_numbers(first: int, count: int) -> tuple[Tensor, Tensor]:
    u = torch.rand(count, CHAINS, dtype=torch.float64)
    return u, torch.randint(POOL, (count, CHAINS))


def our_numbers(first: int, count: int) -> tuple[Tensor, Tensor]:
    position = torch.arange(first, first + count)[:, None]
    r, r2 = rng.philox(0, torch.arange(CHAINS), position, rng.CHAIN)
    return rng.uniform(r), rng.multiply_high(r2, POOL)


def eager(
    log_weight: Tensor, values: Tensor, steps: int, numbers: Numbers = torch_numbers
) -> Tensor:
    """Mean of the values over the states, [CHAINS, COLUMNS]."""
    state = numbers(0, 1)[1][0]
    held, total = log_weight[state], torch.zeros(CHAINS, COLUMNS, dtype=torch.float64)
    for first in range(1, steps + 1, BLOCK):
        u, proposal = numbers(first, min(BLOCK, steps + 1 - first))
        log_u, weight = u.log(), log_weight[proposal]
        for n in range(len(u)):
            take = log_u[n] < weight[n] - held
            held = torch.where(take, weight[n], held)
            state = torch.where(take, proposal[n], state)
            total += values[state]
    return total / steps


def measure(
    threads: int, repeats: int = REPEATS, steps: int = STEPS
) -> tuple[list[Row], Callable[[], object]]:
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(POOL, dtype=torch.float64, generator=generator)
    values = torch.randn(POOL, COLUMNS, dtype=torch.float64, generator=generator)

    def ours(n: int = steps) -> Tensor:
        return imh.resample(weight, values, n_chains=CHAINS, n_steps=n).mean

    torch.testing.assert_close(ours(300), eager(weight, values, 300, our_numbers))
    part = steps // 20
    calls = {"ours": ours, "eager": lambda: eager(weight, values, part)}
    times = interleave(calls, repeats=repeats)
    a, b = times["ours"], times["eager"]
    whole = Timing(b.best * steps / part, b.median * steps / part, b.repeats)
    unit = 1e-9 * CHAINS * steps / threads
    place = ("pool", "N(0,1)", (POOL, CHAINS, steps), threads)
    speed = Row.timed("imh.resample", *place, "eager", ours=a, theirs=whole)
    bound = Timing(unit, unit, 1)
    cost = Row.timed("imh.resample, ns", *place, "1 ns a step", ours=a, theirs=bound)
    return [speed, cost], ours


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("threads", THREADS)
def test_time(threads: int, benchmark, rows: list[Row]) -> None:
    measured, ours = measure(threads, repeats=2, steps=20_000)
    rows += measured
    benchmark.extra_info.update({row.section: row.ratio for row in measured})
    benchmark.group = f"{measured[0].section}, {threads} threads"
    benchmark.pedantic(ours, rounds=3, warmup_rounds=1)


def all_rows(repeats: int) -> list[Row]:
    return [row for threads in THREADS for row in measure(threads, repeats)[0]]


if __name__ == "__main__":
    sys.exit(command.run(__doc__, REPEATS, all_rows))
