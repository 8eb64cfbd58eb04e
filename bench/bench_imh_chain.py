"""Metropolis–Hastings chains against eager torch that steps all chains at once.

    python bench/bench_imh_chain.py --json bench/results/imh_chain-cpu.json

or, through pytest-benchmark, `pytest -o python_files='bench_*.py' bench`. Log-weights N(0, 1); the
numbers u are given to both sides, or each side draws its own. "eager" steps over columns and stores
the state of every step; "eager, tuned" works time first, in place, and finds the states afterwards.
"""

import sys
from collections.abc import Callable

import command
import pytest
import torch
from interleave import REPEATS, interleave
from report import Row
from suite import LIMITS, THREADS, Limit
from torch import Tensor

from aligndec import imh

CHAINS, STEPS = 1000, 10_000
LIMITS.setdefault("imh.chain", Limit(">=", 10.0))
LIMITS.setdefault("imh.chain, tuned", Limit(">=", 5.0))
CASES = [("eager", u, t) for u in ("given", "drawn") for t in THREADS]
CASES += [("eager, tuned", u, 1) for u in ("given", "drawn")]
QUICK = 8  # turns under pytest: one of them takes a second


def eager(log_weight: Tensor, uniforms: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What one writes: five operations per step on all chains."""
    if uniforms is None:
        uniforms = torch.rand_like(log_weight)
    log_u = uniforms.log()
    state = log_weight[:, 0]
    held = torch.zeros(len(log_weight), dtype=torch.int64)
    index = torch.zeros(log_weight.shape, dtype=torch.int64)
    accepted = torch.ones(log_weight.shape, dtype=torch.bool)
    for n in range(1, log_weight.shape[1]):
        take = log_u[:, n] < log_weight[:, n] - state
        state = torch.where(take, log_weight[:, n], state)
        held = torch.where(take, n, held)
        index[:, n], accepted[:, n] = held, take
    return index, accepted


def tuned(log_weight: Tensor, uniforms: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Three operations per step on contiguous rows, in place; the states by a running maximum."""
    steps, chains = log_weight.shape[1], log_weight.shape[0]
    if uniforms is None:
        uniforms = torch.rand(chains, steps, dtype=torch.float64)
    log_u, proposals = uniforms.log().t().contiguous(), log_weight.t().contiguous()
    state = proposals[0].clone()
    accepted = torch.ones(steps, chains, dtype=torch.bool)
    gain = torch.empty_like(state)
    for n in range(1, steps):
        torch.sub(proposals[n], state, out=gain)
        torch.lt(log_u[n], gain, out=accepted[n])
        torch.where(accepted[n], proposals[n], state, out=state)
    accepted = accepted.t().contiguous()
    return torch.where(accepted, torch.arange(steps), 0).cummax(1).values, accepted


def measure(
    against: str, bits: str, threads: int, repeats: int = REPEATS
) -> tuple[Row, Callable[[], object]]:
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(CHAINS, STEPS, dtype=torch.float64, generator=generator)
    u = torch.rand(CHAINS, STEPS, dtype=torch.float64, generator=generator)
    given = u if bits == "given" else None

    def ours() -> object:
        return imh.chain(weight, uniforms=given)

    baseline = eager if against == "eager" else tuned
    ours_out, theirs_out = imh.chain(weight, uniforms=u), baseline(weight, u)
    if not (torch.equal(ours_out[0], theirs_out[0]) and torch.equal(ours_out[1], theirs_out[1])):
        raise AssertionError("imh.chain and eager torch differ")
    del u, ours_out, theirs_out
    times = interleave({"ours": ours, "theirs": lambda: baseline(weight, given)}, repeats=repeats)
    section = "imh.chain" if against == "eager" else "imh.chain, tuned"
    place = (f"u {bits}", "N(0,1)", (CHAINS, STEPS), threads, against)
    return Row.timed(section, *place, **times), ours


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize(("against", "bits", "threads"), CASES)
def test_time(against: str, bits: str, threads: int, benchmark, rows: list[Row]) -> None:
    row, ours = measure(against, bits, threads, QUICK)
    rows.append(row)
    benchmark.extra_info.update(vars(row), ok=row.ok)
    benchmark.group = f"{row.section}, {threads} threads"
    benchmark.pedantic(ours, rounds=5, warmup_rounds=1)


def all_rows(repeats: int) -> list[Row]:
    return [measure(*case, repeats)[0] for case in CASES]


if __name__ == "__main__":
    sys.exit(command.run(__doc__, REPEATS, all_rows))
