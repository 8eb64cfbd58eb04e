"""Chains over stored pools: by hand, bit for bit, against `imh.chain`, the law of their states."""

import math
import subprocess
import sys

import pytest
import torch
from support.oracle import chi_square_p
from torch import Tensor

from aligndec import imh, reference, rng

INF, NAN = math.inf, math.nan


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def weights(kind: str, pools: int, size: int) -> Tensor:
    w = torch.randn(pools, size, dtype=torch.float64)
    if kind == "hostile":  # far apart, at the edge of the quick test, or without weight
        w *= torch.logspace(0, 5, size, dtype=torch.float64)
        w[:, 1::4] = w[:, ::4][:, : w[:, 1::4].shape[1]] - 700
        w[:, 2::5] = -INF
    if kind == "constant":
        w = torch.full_like(w, -7.5)
    if kind == "nothing":
        w = torch.full_like(w, -INF)
    return w


def test_by_hand(backend: str) -> None:
    # Everything from the definition, in Python integers.
    log_weight, values, steps, burn_in = [0.0, -0.5, -1.5, -INF], [1.0, 10.0, 100.0, INF], 6, 2
    for chain in range(3):
        state, total, accepted = None, 0.0, 0
        for n in range(steps + 1):
            r, r2 = (int(b) % 2**64 for b in rng.philox(5, chain, n, rng.CHAIN))
            pick = (r2 * 4) >> 64
            if state is None:
                state = pick
                continue
            u = (r >> 11) * 2.0**-53
            take = log_weight[pick] - log_weight[state] > math.log(u)
            state, accepted = (pick if take else state), accepted + take
            total += values[state] if n > burn_in else 0.0
        out = imh.resample(
            *(doubles(*log_weight), doubles(*values)[:, None]),
            n_chains=3,
            n_steps=steps,
            burn_in=burn_in,
            seed=5,
        )
        assert out.mean[chain].item() == pytest.approx(total / (steps - burn_in))
        assert out.acceptance_rate[chain].item() == accepted / steps


SHAPES = [  # pools, size, columns, chains, steps, burn_in
    (1, 1, 1, 1, 1, 0),
    (2, 50, 3, 45, 333, 40),
    (1, 7, 2, 64, 97, 96),
    (3, 400, 1, 33, 100, 16),  # more entries than steps: sums instead of counts
    (1, 20, 0, 5, 9, 0),
]


@pytest.mark.parametrize("kind", ["normal", "hostile", "constant", "nothing"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernel_is_the_reference(isa: str, shape: tuple, kind: str) -> None:
    pools, size, columns, chains, steps, burn_in = shape
    log_weight = weights(kind, pools, size)
    values = torch.randn(pools, size, columns, dtype=torch.float64)
    args = (log_weight, values, chains, steps, burn_in, -77)
    mean, accepted = torch.ops.aligndec.imh_resample.default(*args)
    expected = reference.imh_resample(*args)
    assert torch.equal(accepted, expected[1])
    torch.testing.assert_close(mean, expected[0], rtol=1e-13, atol=1e-13)


def test_it_is_the_chain_over_drawn_proposals(backend: str) -> None:
    log_weight = weights("normal", 2, 30)
    values = torch.randn(2, 30, 2, dtype=torch.float64)
    out = imh.resample(log_weight, values, n_chains=5, n_steps=80, burn_in=11, seed=2)
    sequence, position = torch.arange(10).view(2, 5, 1), torch.arange(81)
    r, r2 = rng.philox(2, sequence, position, rng.CHAIN)
    pick = rng.multiply_high(r2, 30)
    proposals = log_weight[:, None].expand(2, 5, 30).gather(2, pick)
    chain = imh.chain(proposals, uniforms=rng.uniform(r))
    state = pick.gather(2, chain.index)[..., 12:]
    mean = torch.stack([values[p][state[p]].mean(1) for p in range(2)])
    torch.testing.assert_close(out.mean, mean)
    assert torch.equal(out.acceptance_rate, chain.acceptance_rate)


def test_threads_layout_and_dtype_do_not_matter(backend: str) -> None:
    log_weight, values = torch.randn(3, 40).half(), torch.randn(40, 2).half()
    torch.set_num_threads(1)
    one = imh.resample(log_weight, values, n_chains=70, n_steps=60, seed=1)
    torch.set_num_threads(2)
    wide = values.double().t().contiguous().t().expand(3, 40, 2)
    two = imh.resample(log_weight.double(), wide, n_chains=70, n_steps=60, seed=1)
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(one.acceptance_rate, two.acceptance_rate)
    fewer = imh.resample(log_weight[0], values, n_chains=33, n_steps=60, seed=1)
    assert torch.equal(fewer.mean, one.mean[0, :33])


def test_empty_shapes(backend: str) -> None:
    assert imh.resample(torch.zeros(3), torch.zeros(3, 2), n_chains=0, n_steps=1).mean.numel() == 0
    none = imh.resample(torch.zeros(0, 3), torch.zeros(0, 3, 2), n_chains=4, n_steps=1)
    assert none.mean.shape == (0, 4, 2)


def states_after(steps: int, log_weight: Tensor, chains: int = 60_000) -> Tensor:
    """Counts of the last states of chains: the mean of one-hot values over one step."""
    one_hot = torch.eye(len(log_weight))
    out = imh.resample(log_weight, one_hot, n_chains=chains, n_steps=steps, burn_in=steps - 1)
    assert out.mean.sum(1).eq(1).all()
    return out.mean.sum(0)


@pytest.mark.statistical
def test_law_of_the_states(native: None) -> None:
    log_weight = doubles(1.0, 0.5, 0.25, 2.0, 0.7, 1.3, 0.0).log()
    target, n = log_weight.softmax(0), 7
    matrix = (log_weight[None] - log_weight[:, None]).clamp(max=0).exp().nan_to_num(1.0) / n
    matrix += torch.diag(1 - matrix.sum(1))
    early = torch.full((n,), 1 / n, dtype=torch.float64) @ matrix.matrix_power(2)
    assert chi_square_p(states_after(2, log_weight), early) > 1e-6
    assert chi_square_p(states_after(60, log_weight), target) > 1e-6
    # Controls: not there yet, and what a test that always accepts leaves behind.
    assert chi_square_p(states_after(2, log_weight), target) < 1e-6
    assert chi_square_p(states_after(60, torch.zeros(n)), target) < 1e-6


@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps(native: None) -> None:
    code = """if True:
        import resource, torch
        from aligndec import imh
        w, v = torch.randn(500), torch.randn(500, 2)
        def peak(steps):
            imh.resample(w, v, n_chains=64, n_steps=steps)
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(peak(1000), peak(1_000_000))
    """  # an index of all states would take 512 MB
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    few, many = map(int, run.stdout.split())
    assert many - few < 20_000


W, V = torch.zeros(2, 3), torch.zeros(3, 1)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((W, V), {"n_steps": 0}, r"n_steps must be in \(burn_in, 2\^32\), got 0"),
        ((W, V), {"burn_in": 5}, r"n_steps must be in \(burn_in, 2\^32\), got 5"),
        ((W, V), {"burn_in": -1}, "burn_in must be >= 0, got -1"),
        ((W, V), {"n_chains": -1}, "n_chains must be >= 0, got -1"),
        ((W, V), {"n_chains": 1.0}, "n_chains must be an int"),
        ((W, V), {"seed": None}, "seed must be an int"),
        ((W, V[:2]), {}, r"values must be \[..., N, S\] for log_weight \[2, 3\], got \[2, 1\]"),
        ((W, V[:, 0]), {}, r"values must be \[..., N, S\]"),
        ((W, torch.zeros(3, 3, 1)), {}, r"values must be \[..., N, S\]"),
        ((W, V.long()), {}, "values must be a floating-point Tensor, got torch.int64"),
        ((W, V * NAN), {}, r"values must not be NaN, got NaN at \[0, 0\] \(3 such entries\)"),
        ((W * NAN, V), {}, r"log_weight must be finite or -inf, got nan at \[0, 0\]"),
        ((W - INF, V), {}, r"a finite entry in every pool, got only -inf in pool \[0\]"),
    ],
)
def test_refusals(args: tuple, kwargs: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^imh.resample: .*{message}"):
        imh.resample(*args, **{"n_chains": 2, "n_steps": 5, **kwargs})


def test_the_op_guards_itself(native: None) -> None:
    op = torch.ops.aligndec.imh_resample.default
    w, v = W.double(), torch.zeros(2, 3, 1, dtype=torch.float64)
    for bad in ((W, v), (w[:, :0], v[:, :0]), (w.t(), v)):
        with pytest.raises(ValueError, match="imh_resample: log_weight must be"):
            op(*bad, 1, 1, 0, 0)
    for bad in (v.float(), v[:1], v[:, :2]):
        with pytest.raises(ValueError, match="imh_resample: values must be"):
            op(w, bad, 1, 1, 0, 0)
    with pytest.raises(ValueError, match="n_chains must be >= 0"):
        op(w, v, -1, 1, 0, 0)
    for steps in ((1, 1), (2**32, 0), (1, -1)):
        with pytest.raises(ValueError, match="burn_in and n_steps must be"):
            op(w, v, 1, *steps, 0)
