"""solve_beta_for_kl against eager torch with the same iterations.

    python bench/bench_tilt.py --json bench/results/tilt-cpu.json

or, through pytest-benchmark, `pytest -o python_files='bench_*.py' bench`. Rows of a vocabulary and
pools of samples: ln p = log_softmax N(0, 3), rewards N(0, 1), float32; budgets of 0.05 to 2 nats.
"eager" is Newton on sqrt(2 KL) over all rows at once, in float64 as the task needs, in as few
passes as torch allows; it is given the mean number of our iterations, although rows that need more
would keep it busy longer. Before anything is timed its converged root is compared with ours.
"""

import math
import sys
from collections.abc import Callable

import command
import pytest
import torch
from interleave import REPEATS, interleave
from report import Row
from suite import LIMITS, THREADS, Limit
from torch import Tensor

from aligndec import tilting

SHAPES = [(64, 128_256), (20_000, 256)]
CASES = [(shape, threads) for shape in SHAPES for threads in THREADS]
LIMITS.setdefault("solve_beta_for_kl", Limit(">=", 5.0))
QUICK = 5  # turns under pytest: one of them takes a second


def eager(log_p: Tensor, r: Tensor, kl: Tensor, iterations: int) -> Tensor:
    """What one writes: six passes over the rows per iteration."""
    a = log_p.double().log_softmax(-1)
    u = r.double()
    p = a.exp()
    u = u - torch.linalg.vecdot(p, u)[:, None]
    root = (2 * kl).sqrt()
    beta = root / torch.linalg.vecdot(p, u * u).sqrt()
    for _ in range(iterations):
        t = torch.addcmul(a, u, beta[:, None])
        log_z = t.logsumexp(-1)
        q = t.sub_(log_z[:, None]).exp_()
        mean = torch.linalg.vecdot(q, u)
        variance = torch.linalg.vecdot(q.mul_(u), u) - mean * mean
        size = (2 * (beta * mean - log_z)).sqrt()
        beta = beta + (root - size) * size / (beta * variance)
    return beta


def problem(shape: tuple[int, int], device: str = "cpu") -> tuple[Tensor, Tensor, Tensor, int]:
    """Laws, rewards, budgets and our mean number of iterations; the roots were compared."""
    generator = torch.Generator().manual_seed(0)
    log_p = (torch.randn(shape, generator=generator) * math.sqrt(3)).log_softmax(-1).to(device)
    r = torch.randn(shape, generator=generator).to(device)
    kl = torch.linspace(0.05, 2.0, shape[0], dtype=torch.float64, device=device)
    solved = tilting.solve_beta_for_kl(log_p, r, kl)
    converged = eager(log_p, r, kl, int(solved.iterations.max()) + 3)
    # Newton without a bracket may leave a row; the others must agree.
    agree = ((converged - solved.beta).abs() <= 1e-8 * solved.beta).double().mean()
    if agree < 0.99:
        raise AssertionError(f"solve_beta_for_kl and eager torch differ: {float(agree):.3f} agree")
    return log_p, r, kl, round(float(solved.iterations.double().mean()))


def measure(
    shape: tuple[int, int], threads: int, repeats: int = REPEATS
) -> tuple[Row, Callable[[], object]]:
    torch.set_num_threads(threads)
    log_p, r, kl, iterations = problem(shape)

    def ours() -> object:
        return tilting.solve_beta_for_kl(log_p, r, kl)

    times = interleave(
        {"ours": ours, "theirs": lambda: eager(log_p, r, kl, iterations)}, repeats=repeats
    )
    place = (f"{iterations} iterations", "N(0,3)", shape, threads, "eager")
    return Row.timed("solve_beta_for_kl", *place, **times), ours


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize(("shape", "threads"), CASES)
def test_time(shape: tuple[int, int], threads: int, benchmark, rows: list[Row]) -> None:
    row, ours = measure(shape, threads, QUICK)
    rows.append(row)
    benchmark.extra_info.update(vars(row), ok=row.ok)
    benchmark.group = f"{row.section}, {threads} threads"
    benchmark.pedantic(ours, rounds=3, warmup_rounds=1)


def all_rows(repeats: int) -> list[Row]:
    return [measure(*case, repeats)[0] for case in CASES]


if __name__ == "__main__":
    sys.exit(command.run(__doc__, REPEATS, all_rows))
