"""Independence Metropolis–Hastings chains: by hand, bit for bit, and against the dense matrix."""

import math

import pytest
import torch
from support.oracle import chi_square_p
from torch import Tensor

from aligndec import imh, reference, rng
from aligndec.reference import exact

INF, NAN = math.inf, math.nan
LN = math.log


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def hostile(chains: int = 7, steps: int = 1300) -> Tensor:
    """Weights that differ, repeat, vanish and overflow."""
    w = torch.randn(chains, steps, dtype=torch.float64) * 2
    w[torch.rand_like(w) < 0.2] = -INF
    w[0] = 0.0
    w[1] = -INF
    w[2, :600] = -INF
    w[3] *= 1e306
    w[4, ::2] = w[4, 1::2]
    return w


def test_by_hand(backend: str) -> None:
    # w = 1, 2, 1, 4, 0, 1; u decides: 2 > 1 always; 1/2 < .6; 4 > 2; 0 never; .25 > .2 accepts.
    log_weight = doubles(0.0, LN(2), 0.0, LN(4), -INF, 0.0)
    out = imh.chain(log_weight, uniforms=doubles(0.9, 0.99, 0.6, 0.5, 0.0, 0.2))
    assert out.index.tolist() == [0, 1, 1, 3, 3, 5]
    assert out.accepted.tolist() == [True, True, False, True, False, True]
    assert out.acceptance_rate.item() == 3 / 5
    assert out.index.dtype == torch.int64
    assert out.acceptance_rate.dtype == torch.float64


def test_the_comparison_is_strict_and_in_log_space(backend: str) -> None:
    u = doubles(0.0, 0.25)
    at = float(exact.log(u[1]))
    assert not imh.chain(doubles(0.0, at), uniforms=u).accepted[1]
    assert imh.chain(doubles(0.0, at + 1e-15), uniforms=u).accepted[1]
    assert imh.chain(doubles(-1e300, -2e-300), uniforms=u).accepted[1]
    assert not imh.chain(doubles(-2e-300, -1e300), uniforms=u).accepted[1]


@pytest.mark.parametrize("u", [0.0, 5e-324, 0.5, 1 - 2**-53])
def test_minus_infinity(backend: str, u: float) -> None:
    given = torch.full((4,), u, dtype=torch.float64)
    # From weight 0 any finite proposal is taken; weight 0 is never taken, not even from weight 0.
    late = imh.chain(doubles(-INF, -INF, -1e300, -INF), uniforms=given)
    assert late.index.tolist() == [0, 0, 2, 2]
    # u = 0 has ln u = −inf: every finite proposal is taken.
    expected = [0, 1, 1, 3] if u == 0 else [0, 0, 0, 0]
    assert imh.chain(doubles(0.0, -800.0, -INF, -900.0), uniforms=given).index.tolist() == expected


def test_one_proposal(backend: str) -> None:
    out = imh.chain(torch.zeros(3, 1))
    assert out.accepted.all()
    assert out.index.eq(0).all()
    assert out.acceptance_rate.isnan().all()


@pytest.mark.parametrize("bits", ["philox", "named", "given"])
def test_the_kernel_is_the_reference_bit_for_bit(isa: str, bits: str) -> None:
    w = hostile()
    names = torch.tensor([3, 2**40, -1, 0, 5, 2**62, 7]) if bits == "named" else None
    u = torch.rand_like(w) if bits == "given" else None
    if u is not None:
        u[:, 3:90:3], u[:, 90:120], u[:, 120:140] = 0.0, 5e-324, 1e-310
    args = (w, -12345, names, u)
    ours = torch.ops.aligndec.imh_chain.default(*args)
    theirs = reference.imh_chain(*args)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])
    assert torch.equal(ours[2], theirs[2])
    assert 0.05 < float(ours[1].double().mean()) < 0.95


def test_random_numbers_are_those_of_the_scheme() -> None:
    # Stream 1, counter (sequence id, position n); sequence id = flat leading index.
    w = torch.randn(2, 3, 40, dtype=torch.float64)
    u = rng.uniform(rng.philox(9, torch.arange(6)[:, None], torch.arange(40), rng.CHAIN)[0])
    given = imh.chain(w, uniforms=u.view(2, 3, 40))
    assert torch.equal(imh.chain(w, seed=9).index, given.index)
    assert torch.equal(imh.chain(w, seed=9 + 2**64).index, given.index)
    assert not torch.equal(imh.chain(w, seed=10).index, given.index)
    alone = imh.chain(w[1, 2], seed=9, sequence_ids=torch.tensor([5]))
    assert torch.equal(alone.index, given.index[1, 2])


def test_threads_layout_and_dtype_do_not_matter(backend: str) -> None:
    w = torch.randn(60, 301).half().float()
    torch.set_num_threads(1)
    one = imh.chain(w, seed=1)
    torch.set_num_threads(2)
    for other in (w, w.double(), w.half(), w.t().contiguous().t(), w.view(3, 20, 301)):
        out = imh.chain(other, seed=1)
        assert torch.equal(out.index.view(60, 301), one.index)
        assert torch.equal(out.accepted.view(60, 301), one.accepted)
    assert torch.equal(imh.chain(w[:, :77], seed=1).index, one.index[:, :77])
    assert imh.chain(w[:0]).index.shape == (0, 301)


def test_uniforms_broadcast() -> None:
    w, u = torch.randn(4, 9), torch.rand(9, dtype=torch.float64)
    out = imh.chain(w, uniforms=u)
    assert torch.equal(out.index[2], imh.chain(w[2], uniforms=u).index)


def test_no_gradient_and_no_change_of_the_input() -> None:
    w = torch.randn(3, 20, requires_grad=True)
    before = w.detach().clone()
    out = imh.chain(w)
    assert not out.acceptance_rate.requires_grad
    assert torch.equal(w, before)


@pytest.mark.parametrize(
    ("log_weight", "kwargs", "message"),
    [
        (doubles(), {}, r"log_weight must be \[..., N\] with N >= 1, got \[0\]"),
        (torch.zeros(()), {}, "log_weight must be"),
        (torch.zeros(3, dtype=torch.int64), {}, "log_weight must be a floating-point"),
        ([0.0], {}, "log_weight must be a floating-point Tensor, got list"),
        (torch.tensor([[0.0, 1.0], [0.0, NAN]]), {}, r"finite or -inf, got nan at \[1, 1\]"),
        (doubles(0.0, INF), {}, r"finite or -inf, got inf at \[1\]"),
        (torch.zeros(2), {"seed": 0.5}, "seed must be an int"),
        (torch.zeros(2), {"uniforms": doubles(0.0, 1.0)}, r"uniforms must be in \[0, 1\), got 1.0"),
        (torch.zeros(2), {"uniforms": doubles(0.0, -0.1)}, "uniforms must be in"),
        (torch.zeros(2), {"uniforms": doubles(0.0, NAN)}, "uniforms must be in"),
        (torch.zeros(2), {"uniforms": doubles(0.0)}, "uniforms must be float64"),
        (torch.zeros(2), {"uniforms": torch.zeros(2)}, "uniforms must be float64"),
        (torch.zeros(2, 2), {"uniforms": torch.zeros(3, 2).double()}, "uniforms must broadcast"),
        (torch.zeros(2, 2), {"sequence_ids": torch.zeros(3).long()}, "sequence_ids must be int64"),
    ],
)
def test_refusals(log_weight: object, kwargs: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^imh.chain: .*{message}"):
        imh.chain(log_weight, **kwargs)


def test_the_op_guards_itself(native: None) -> None:
    op = torch.ops.aligndec.imh_chain.default
    for bad in (torch.zeros(2, 0).double(), torch.zeros(3).double(), torch.zeros(2, 3)):
        with pytest.raises(ValueError, match="imh_chain: log_weight must be"):
            op(bad, 0, None, None)
    with pytest.raises(ValueError, match="imh_chain: uniforms must be"):
        op(torch.zeros(2, 3).double(), 0, None, torch.zeros(2, 2).double())


POOL = 6
CHAINS, STEPS = 40_000, 41


def last_states(accept_all: bool = False, same_uniforms: bool = False) -> tuple[Tensor, Tensor]:
    """Counts of the last states of many chains over draws from a pool, and the target."""
    weight = doubles(1.0, 0.5, 0.25, 2.0, 0.7, 1.3).log()
    pick = torch.randint(POOL, (CHAINS, STEPS))
    uniforms = None
    if same_uniforms:
        # The number that drew the proposal decides on it too.
        uniforms = (pick + torch.rand(CHAINS, STEPS, dtype=torch.float64)) / POOL
    index = imh.chain(weight[pick], seed=4, uniforms=uniforms).index[:, -1]
    if accept_all:
        index = torch.full_like(index, STEPS - 1)
    states = pick.gather(1, index[:, None])[:, 0]
    return torch.bincount(states, minlength=POOL), weight.softmax(0)


@pytest.mark.statistical
def test_states_follow_the_target(backend: str) -> None:
    assert chi_square_p(*last_states()) > 1e-6


@pytest.mark.statistical
def test_negative_controls() -> None:
    assert chi_square_p(*last_states(accept_all=True)) < 1e-6
    assert chi_square_p(*last_states(same_uniforms=True)) < 1e-6
