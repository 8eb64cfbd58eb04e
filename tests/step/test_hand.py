"""Tables that can be checked by hand: one line per case, readable as a specification."""

import math

import pytest
import torch
from support.cases import INF, check_step
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

pytestmark = pytest.mark.usefixtures("backend")

FOUR = (0.4, 0.3, 0.2, 0.1)
SIX = (0.1, 0.3, 0.05, 0.25, 0.1, 0.2)
EVEN = (0.25, 0.25, 0.25, 0.25)
PAIRS = (0.3, 0.3, 0.2, 0.2)
H_FOUR = -sum(p * math.log(p) for p in FOUR)  # 1.2799: |-ln p - H| is .36, .08, .33, 1.02


def logits(p: tuple[float, ...]) -> Tensor:
    return torch.tensor([p], dtype=torch.float64).log().float()


def kept(x: Tensor, **fields: float | int | str) -> list[int]:
    return ad.kept_mask(x, ad.Adaptor(**fields))[0].nonzero()[:, 0].tolist()


# fmt: off
TABLE = [
    # top_k: fewer than k tokens are more probable
    (FOUR, {"top_k": 1}, [0]),
    (FOUR, {"top_k": 3}, [0, 1, 2]),
    (FOUR, {"top_k": 4}, [0, 1, 2, 3]),
    (FOUR, {"top_k": 99}, [0, 1, 2, 3]),
    (SIX, {"top_k": 2}, [1, 3]),
    (SIX, {"top_k": 3}, [1, 3, 5]),
    (SIX, {"top_k": 4}, [0, 1, 3, 4, 5]),                  # the tie for place 4 stays whole
    (SIX, {"top_k": 5}, [0, 1, 3, 4, 5]),
    (EVEN, {"top_k": 1}, [0, 1, 2, 3]),
    (PAIRS, {"top_k": 1}, [0, 1]),
    (PAIRS, {"top_k": 3}, [0, 1, 2, 3]),
    # top_p: the token that crosses stays
    (FOUR, {"top_p": 0.01}, [0]),
    (FOUR, {"top_p": 0.39}, [0]),
    (FOUR, {"top_p": 0.41}, [0, 1]),
    (FOUR, {"top_p": 0.69}, [0, 1]),
    (FOUR, {"top_p": 0.71}, [0, 1, 2]),
    (FOUR, {"top_p": 0.89}, [0, 1, 2]),
    (FOUR, {"top_p": 0.91}, [0, 1, 2, 3]),
    (FOUR, {"top_p": 1.0}, [0, 1, 2, 3]),
    (EVEN, {"top_p": 0.01}, [0, 1, 2, 3]),
    (PAIRS, {"top_p": 0.29}, [0, 1]),
    (PAIRS, {"top_p": 0.59}, [0, 1]),
    (PAIRS, {"top_p": 0.61}, [0, 1, 2, 3]),
    (SIX, {"top_p": 0.76}, [0, 1, 3, 4, 5]),
    # min_p: relative to the most probable token
    (FOUR, {"min_p": 0.24}, [0, 1, 2, 3]),
    (FOUR, {"min_p": 0.26}, [0, 1, 2]),
    (FOUR, {"min_p": 0.49}, [0, 1, 2]),
    (FOUR, {"min_p": 0.51}, [0, 1]),
    (FOUR, {"min_p": 0.76}, [0]),
    (FOUR, {"min_p": 1.0}, [0]),
    (PAIRS, {"min_p": 1.0}, [0, 1]),
    # typical_p: closest to the entropy first; order of FOUR: 1, 2, 0, 3
    (FOUR, {"typical_p": 0.29}, [1]),
    (FOUR, {"typical_p": 0.31}, [1, 2]),
    (FOUR, {"typical_p": 0.49}, [1, 2]),
    (FOUR, {"typical_p": 0.51}, [0, 1, 2]),
    (FOUR, {"typical_p": 0.89}, [0, 1, 2]),
    (FOUR, {"typical_p": 0.91}, [0, 1, 2, 3]),
    (EVEN, {"typical_p": 0.1}, [0, 1, 2, 3]),
    # epsilon: an absolute floor; the best always stay
    (FOUR, {"epsilon_cutoff": 0.09}, [0, 1, 2, 3]),
    (FOUR, {"epsilon_cutoff": 0.11}, [0, 1, 2]),
    (FOUR, {"epsilon_cutoff": 0.29}, [0, 1]),
    (FOUR, {"epsilon_cutoff": 0.31}, [0]),
    (FOUR, {"epsilon_cutoff": 0.9}, [0]),
    (PAIRS, {"epsilon_cutoff": 0.9}, [0, 1]),
    (EVEN, {"epsilon_cutoff": 0.9}, [0, 1, 2, 3]),
    # eta: min(eta, sqrt(eta) exp(-H)); exp(-H) of FOUR is 0.278
    (FOUR, {"eta_cutoff": 0.12}, [0, 1, 2, 3]),            # .0963
    (FOUR, {"eta_cutoff": 0.14}, [0, 1, 2]),               # .1040
    (FOUR, {"eta_cutoff": 0.50}, [0, 1, 2]),               # .1966
    (FOUR, {"eta_cutoff": 0.53}, [0, 1]),                  # .2024
    (FOUR, {"eta_cutoff": 0.05}, [0, 1, 2, 3]),            # .05, not .0622
    (EVEN, {"eta_cutoff": 0.99}, [0, 1, 2, 3]),
    # p_less: the chance that two draws agree; of FOUR .3, of SIX .215; at order 3 sqrt(.1) = .316
    (FOUR, {"p_less": 2.0, "top_k": 3}, [0]),              # (16 + 9 + 4)/81 = .358; .3/.9 = .333
    ((0.5, 0.3, 0.2), {"p_less": 2.0}, [0]),               # .38
    ((0.4, 0.35, 0.25), {"p_less": 2.0}, [0, 1]),          # .345
    (SIX, {"p_less": 2.0}, [1, 3]),
    (FOUR, {"p_less": 3.0}, [0]),
    (SIX, {"p_less": 1.5}, [1, 3]),                        # (Σ p^1.5)^2 = .205
    (EVEN, {"p_less": 2.0}, [0, 1, 2, 3]),
    ((0.3, 0.3, 0.3, 0.1), {"p_less": 64.0}, [0, 1, 2]),   # .2995
    ((0.6, 0.3, 0.1), {"p_less": 2.0, "temperature": 2.0}, [0]),   # (.473, .334, .193): .372
    ((0.45, 0.4, 0.15), {"p_less": 2.0, "temperature": 2.0}, [0, 1]),
    # top_h: parts of the entropy of FOUR .3665, .3612, .3219, .2303 of 1.2799: .286, .569, .820, 1
    (FOUR, {"top_h": 0.01}, [0]),
    (FOUR, {"top_h": 0.56}, [0]),
    (FOUR, {"top_h": 0.57}, [0, 1]),
    (FOUR, {"top_h": 0.81}, [0, 1]),
    (FOUR, {"top_h": 0.83}, [0, 1, 2]),
    (FOUR, {"top_h": 1.0}, [0, 1, 2, 3]),
    (PAIRS, {"top_h": 0.52}, [0, 1]),                      # .529: the first stay all the same
    (PAIRS, {"top_h": 0.54}, [0, 1]),
    (PAIRS, {"top_h": 0.99}, [0, 1]),                      # the pair goes together
    (EVEN, {"top_h": 0.01}, [0, 1, 2, 3]),
    (FOUR, {"top_k": 2, "top_h": 0.46}, [0]),              # 4/7, 3/7: .468
    (FOUR, {"top_k": 3, "top_h": 0.7}, [0, 1]),            # .4/.9, …: .340, .684
    (FOUR, {"typical_p": 0.31, "top_h": 0.5}, [1]),        # {1, 2}: .455
    # top_a: a (max p)^2; of FOUR .16 a
    (FOUR, {"top_a": 0.61}, [0, 1, 2, 3]),                 # .0976
    (FOUR, {"top_a": 0.64}, [0, 1, 2]),                    # .1024
    (FOUR, {"top_a": 1.0}, [0, 1, 2]),                     # .16
    (PAIRS, {"top_a": 1.0}, [0, 1, 2, 3]),                 # .09
    (EVEN, {"top_a": 1.0}, [0, 1, 2, 3]),
    (FOUR, {"top_k": 2, "top_a": 0.74}, [0, 1]),           # 4/7, 3/7: .242 a
    (FOUR, {"top_k": 3, "top_a": 1.0}, [0, 1, 2]),         # .198; .2/.9 = .222
    (FOUR, {"typical_p": 0.31, "top_a": 1.0}, [1, 2]),     # {1, 2}: .6, .4; .36
    (FOUR, {"temperature": 0.5, "top_a": 0.48}, [0, 1]),   # (16, 9, 4, 1)/30: .284 a
    (FOUR, {"temperature": 0.5, "top_a": 0.46}, [0, 1, 2]),
    (FOUR, {"temperature": 0.5, "top_a": 1.0, "cut_on": "base"}, [0, 1, 2]),
    # chains: each stage sees the law that the earlier ones left
    (FOUR, {"top_k": 3, "top_p": 0.43}, [0]),              # .4/.9 = .444
    (FOUR, {"top_k": 3, "top_p": 0.46}, [0, 1]),
    (FOUR, {"top_k": 3, "top_p": 0.77}, [0, 1]),           # .7/.9 = .778
    (FOUR, {"top_k": 3, "top_p": 0.79}, [0, 1, 2]),
    (FOUR, {"top_k": 2, "epsilon_cutoff": 0.42}, [0, 1]),  # .3/.7 = .429
    (FOUR, {"top_k": 2, "epsilon_cutoff": 0.44}, [0]),
    (FOUR, {"top_p": 0.71, "epsilon_cutoff": 0.21}, [0, 1, 2]),  # .2/.9 = .222
    (FOUR, {"top_p": 0.71, "epsilon_cutoff": 0.23}, [0, 1]),
    (FOUR, {"typical_p": 0.31, "min_p": 0.6}, [0]),        # min_p comes first and leaves .57, .43
    (FOUR, {"typical_p": 0.31, "epsilon_cutoff": 0.41}, [1]),    # {1, 2}: .6, .4
    (FOUR, {"typical_p": 0.31, "epsilon_cutoff": 0.39}, [1, 2]),
    # temperature: at 1/2 the laws are squared, FOUR -> (16, 9, 4, 1)/30
    (FOUR, {"temperature": 0.5, "top_p": 0.52}, [0]),
    (FOUR, {"temperature": 0.5, "top_p": 0.54}, [0, 1]),
    (FOUR, {"temperature": 0.5, "min_p": 0.24}, [0, 1, 2]),
    (FOUR, {"temperature": 0.5, "min_p": 0.26}, [0, 1]),
    (FOUR, {"temperature": 0.5, "epsilon_cutoff": 0.134}, [0, 1]),
    (FOUR, {"temperature": 0.5, "epsilon_cutoff": 0.132}, [0, 1, 2]),
    (FOUR, {"temperature": 0.5, "top_p": 0.52, "cut_on": "base"}, [0, 1]),
    (FOUR, {"temperature": 0.5, "min_p": 0.26, "cut_on": "base"}, [0, 1, 2]),
    (FOUR, {"temperature": 2.0, "epsilon_cutoff": 0.39, "cut_on": "base"}, [0]),
    # greedy ignores every other field; the lowest id wins a tie
    (FOUR, {"temperature": 0.0, "top_k": 3}, [0]),
    ((0.2, 0.4, 0.4), {"temperature": 0.0}, [1]),
    (FOUR, {"temperature": 0.0, "typical_p": 0.2}, [0]),
]
# fmt: on


@pytest.mark.parametrize(("p", "fields", "expected"), TABLE)
def test_kept_set(p: tuple[float, ...], fields: dict[str, float], expected: list[int]) -> None:
    assert kept(logits(p), **fields) == expected


def test_typical_order_is_what_the_table_says() -> None:
    keys = [abs(-math.log(p) - H_FOUR) for p in FOUR]
    assert sorted(range(4), key=keys.__getitem__) == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("x", "n", "expected"),
    [
        ([0.0, 2.0], 1.99, [1]),  # sigma 1
        ([0.0, 2.0], 2.0, [0, 1]),
        ([4.0, 3.0, 2.0, 1.0, 0.0], 0.7, [0]),  # sigma sqrt(2)
        ([4.0, 3.0, 2.0, 1.0, 0.0], 0.71, [0, 1]),
        ([4.0, 3.0, 2.0, 1.0, 0.0], 2.82, [0, 1, 2, 3]),
        ([4.0, 3.0, 2.0, 1.0, 0.0], 2.83, [0, 1, 2, 3, 4]),
        ([5.0, 5.0, 5.0], 0.01, [0, 1, 2]),  # sigma 0
        ([0.0, 2.0, -INF], 1.99, [1]),
        ([0.0, 2.0, -2000.0], 1.99, [1]),  # beyond 1024: no part of sigma
        ([0.0, 2.0, -1022.0], 0.01, [0, 1]),  # at 1024: a part of it, sigma 482
        ([0.0, 2.0, -1022.0], 3.0, [0, 1, 2]),
    ],
)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_top_n_sigma(x: list[float], n: float, expected: list[int], temperature: float) -> None:
    row = torch.tensor([x])
    assert kept(row, top_n_sigma=n, temperature=temperature) == expected


def test_top_n_sigma_after_a_cut_takes_sigma_of_all() -> None:
    row = torch.tensor([[4.0, 3.0, 2.0, 1.0, 0.0]])
    assert kept(row, top_k=2, top_n_sigma=0.71) == [0, 1]
    assert kept(row, top_k=2, top_n_sigma=0.69) == [0]


def test_typical_may_drop_the_most_probable() -> None:
    assert 0 not in kept(logits((0.5, 0.2, 0.1, 0.1, 0.1)), typical_p=0.1)


def numbers(step: ad.Step) -> dict[str, float]:
    return {name: getattr(step, name).item() for name in step._fields}


def test_numbers_of_one_step() -> None:
    """p = (.4, .3, .2, .1), top_k 3 at tau = 1/2: q = (16, 9, 4)/29."""
    step = ad.score(logits(FOUR), torch.tensor([1]), ad.Adaptor(temperature=0.5, top_k=3))
    q = [16 / 29, 9 / 29, 4 / 29]
    expected = {
        "token": 1,
        "status": 0,
        "n_kept": 3,
        "log_p": math.log(0.3),
        "log_q": math.log(9 / 29),
        "log_z": math.log(0.29),
        "log_kept": math.log(29 / 30),
        "entropy": H_FOUR,
        "kl": sum(a * math.log(a / b) for a, b in zip(q, FOUR, strict=False)),
    }
    assert numbers(step) == pytest.approx(expected, abs=5e-7)


def test_numbers_of_the_identity() -> None:
    step = ad.score(logits(FOUR), torch.tensor([2]))
    assert step.log_q.item() == step.log_p.item() == pytest.approx(math.log(0.2), abs=5e-7)
    assert [step.log_z.item(), step.log_kept.item(), step.kl.item()] == [0, 0, 0]
    assert step.n_kept.item() == 4


def test_numbers_of_greedy() -> None:
    x = logits((0.2, 0.4, 0.4))
    step = ad.sample(x, ad.Adaptor(temperature=0.0), uniforms=torch.tensor([0.99]).double())
    log_p = step.log_p.item()
    assert log_p == pytest.approx(math.log(0.4), abs=5e-7)
    rest = (step.token, step.log_q, step.log_z, step.log_kept, step.kl, step.n_kept, step.status)
    assert [v.item() for v in rest] == [1, 0, log_p, log_p, -log_p, 1, 0]
    other = ad.score(x, torch.tensor([2]), ad.Adaptor(temperature=0.0))
    assert [other.log_q.item(), other.status.item()] == [-INF, 3]
    assert [t.item() for t in masses(x, ad.Adaptor(temperature=0.0))] == [2**43, 2**43]


def test_one_finite_logit() -> None:
    x = torch.full((1, 40), -INF).index_fill(1, torch.tensor([33]), -7.5)
    for adaptor in (ad.Adaptor(), ad.Adaptor(temperature=0.3, top_p=0.1, typical_p=0.5)):
        step = ad.sample(x, adaptor, uniforms=torch.tensor([0.5]).double())
        assert step.token.item() == 33
        assert step.n_kept.item() == 1
        assert [v.item() for v in step[1:7]] == [0] * 6
        # No field may come out as -0.0.
        assert not any(v.signbit().any() for v in step[1:7] if v.is_floating_point())


def test_masses_of_equal_logits() -> None:
    total, kept_mass = masses(torch.full((1, 7), 3.25), ad.Adaptor(top_k=1, temperature=0.7))
    assert total.dtype == torch.int64
    assert [total.item(), kept_mass.item()] == [7 * 2**43] * 2


def test_masses_below_the_grid() -> None:
    """exp(-60) is below half a unit of 2^-43: such a token exists, but weighs nothing."""
    x = torch.tensor([[0.0, -60.0, 0.0]])
    assert [t.item() for t in masses(x, ad.Adaptor(top_p=0.999))] == [2**44, 2**44]
    assert kept(x, top_p=0.999) == [0, 2]
    assert ad.score(x, torch.tensor([1])).n_kept.item() == 3


@pytest.mark.parametrize("tau", [1.0, 0.5, 1.3])
def test_masses_are_weights_in_units_of_2_to_the_minus_43(tau: float) -> None:
    x = torch.tensor([[0.0, -1.0, -2.5, -30.0]])
    total, kept_mass = masses(x, ad.Adaptor(temperature=tau, top_k=2))
    exact = (x.double() / tau).exp()[0]
    assert total.item() == pytest.approx(2**43 * exact.sum().item(), rel=1e-7)
    assert kept_mass.item() == pytest.approx(2**43 * exact[:2].sum().item(), rel=1e-7)


def test_grid_and_broadcast_equal_single_calls() -> None:
    x = torch.stack((logits(FOUR), logits(PAIRS)))  # [2, 1, 4]
    tokens = torch.tensor([[1], [0]])
    choices = [ad.Adaptor(top_k=1), ad.Adaptor(temperature=0.5), ad.Adaptor(typical_p=0.31)]
    grid = ad.score_grid(x, tokens, choices)
    assert grid.log_q.shape == (3, 2, 1)
    for i, adaptor in enumerate(choices):
        check_step(ad.Step(*(f[i] for f in grid)), ad.score(x, tokens, adaptor))
    assert ad.kept_mask(x, choices[0]).tolist() == [
        [[True] + [False] * 3],
        [[True, True] + [False] * 2],
    ]
