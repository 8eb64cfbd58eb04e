"""XTC: the set behind the coin, the coin itself, and the mixture where nobody knows it."""

import math

import pytest
import torch
from support.cases import DTYPES, HOSTILE, INF, check_step, crossed, hostile, randn
from support.cases import uniforms as make_uniforms
from support.oracle import chi_square_p
from torch import Tensor

import aligndec as ad
from aligndec import global_law
from aligndec.testing import TableLM, masses

FOUR = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
SETTINGS: list[dict] = [
    {"xtc": (0.1, 1.0)},
    {"xtc": (2.0**-20, 1.0)},
    {"xtc": (1.0, 1.0)},
    {"xtc": (0.05, 1.0), "temperature": 0.7, "top_p": 0.9},
    {"xtc": (0.02, 1.0), "temperature": 1.3, "typical_p": 0.6},
    {"xtc": (0.1, 1.0), "temperature": 0.6, "top_k": 9, "cut_on": "base"},
    {"xtc": (0.1, 1.0), "top_h": 0.8, "p_less": 1.5},
    {"xtc": (0.1, 1.0), "dynamic_temperature": (0.5, 1.5, 1.0)},
    {"xtc": (0.2, 1.0), "temperature": 0.0},
]


def coined(x: Tensor, adaptor: ad.Adaptor, coin: bool | str) -> ad.Step:
    """Every token of one row."""
    tokens = torch.arange(x.shape[1])
    flag = coin if isinstance(coin, str) else torch.tensor(coin)
    return ad.score(x.expand(len(tokens), -1), tokens, adaptor, xtc_coin=flag)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.05, [3]),
        (0.11, [2, 3]),
        (0.19, [2, 3]),
        (0.25, [1, 2, 3]),
        (0.35, [0, 1, 2, 3]),  # one choice alone stays
        (0.5, [0, 1, 2, 3]),
    ],
)
def test_hand_table(threshold: float, expected: list[int]) -> None:
    adaptor = ad.Adaptor(xtc=(threshold, 0.5))
    kept = [t for t, s in enumerate(coined(FOUR, adaptor, True).status.tolist()) if s == 0]
    assert kept == expected
    assert coined(FOUR, adaptor, False).status.tolist() == [0] * 4
    # Masks, masses and grids are those without the coin.
    sure = ad.Adaptor(xtc=(threshold, 1.0))
    assert ad.kept_mask(FOUR, sure).all()
    assert masses(FOUR, sure)[1].item() == masses(FOUR, ad.Adaptor())[1].item()
    grid = ad.score_grid(FOUR, torch.tensor([0]), [sure, ad.Adaptor()])
    check_step(ad.Step(*(f[0] for f in grid)), ad.Step(*(f[1] for f in grid)))


@pytest.mark.usefixtures("backend")
def test_ties_and_the_order_after_the_cuts() -> None:
    pairs = torch.tensor([[0.3, 0.3, 0.2, 0.2]]).log()
    step = coined(pairs, ad.Adaptor(xtc=(0.25, 1.0)), True)
    assert step.status.tolist() == [0] * 4  # the least probable of the choices, with its tie: all
    step = coined(pairs, ad.Adaptor(xtc=(0.15, 1.0)), True)
    assert step.status.tolist() == [3, 3, 0, 0]
    # .4/.9 and .3/.9 after top_k: .2/.9 = .222 is a choice too.
    step = coined(FOUR, ad.Adaptor(top_k=3, xtc=(0.21, 1.0)), True)
    assert step.status.tolist() == [3, 3, 0, 3]
    q = math.log(1 / 3)
    step = coined(FOUR, ad.Adaptor(xtc=(0.15, 1.0)), True)
    expected = [-INF, -INF, math.log(2 / 3), q]
    assert step.log_q.tolist() == pytest.approx(expected, abs=5e-7)
    assert step.log_kept.tolist() == pytest.approx([math.log(0.3)] * 4, abs=5e-7)
    assert step.n_kept.tolist() == [2] * 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HOSTILE)
def test_kernel_equals_reference(name: str, dtype: torch.dtype, native_device: str) -> None:
    x, adaptors = crossed(hostile(name, dtype), [ad.Adaptor(**s) for s in SETTINGS])
    u, token = make_uniforms(len(x)), torch.arange(len(x)) % x.shape[1]
    coin = torch.arange(len(x)) % 3 > 0
    results = []
    for backend, device in (("reference", "cpu"), ("native", native_device)):
        with ad.use_backend(backend):
            here = x.to(device)
            results.append(
                (
                    ad.sample(here, adaptors, uniforms=u.to(device)),
                    ad.score(here, token.to(device), adaptors, xtc_coin=coin.to(device)),
                    ad.score(here, token.to(device), adaptors, xtc_coin="marginal"),
                )
            )
    for step, expected in zip(results[1], results[0], strict=True):
        check_step(step, expected, 1e-12)


@pytest.mark.usefixtures("backend")
def test_the_coin_of_a_token_is_a_pure_function() -> None:
    adaptor = ad.Adaptor(xtc=(0.15, 0.5))
    x = FOUR.expand(200, -1)
    ids, positions = torch.arange(200) * 2**32 + 7, torch.arange(200) % 9
    where = {"seed": 11, "sequence_ids": ids, "positions": positions}
    coin = ad.xtc_coin(adaptor, **where)
    assert coin.dtype == torch.bool
    assert 60 < coin.sum().item() < 140
    for options in ({}, {"uniforms": make_uniforms(200)}):  # uniforms do not replace the coin
        step = ad.sample(x, adaptor, **where, **options)
        assert torch.equal(step.n_kept == 2, coin)
        check_step(ad.score(x, step.token, adaptor, xtc_coin=coin), step)
    state = ad.SequenceState.start(200, sequence_ids=ids)
    for t in range(3):
        step = ad.sample(x, adaptor, seed=11, state=state)
        coin = ad.xtc_coin(adaptor, seed=11, sequence_ids=ids, positions=t)
        assert torch.equal(step.n_kept == 2, coin)
    mixed = [ad.Adaptor(), ad.Adaptor(xtc=(0.1, 1.0)), ad.Adaptor(xtc=(0.1, 0.0))]
    assert ad.xtc_coin(mixed, seed=0, sequence_ids=torch.arange(3), positions=0).tolist() == [
        False,
        True,
        False,
    ]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("fields", [{}, {"temperature": 0.7, "top_k": 7}, {"temperature": 1.3}])
@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_marginal_is_the_mixture(chance: float, fields: dict) -> None:
    x = randn(1, 12, 3, 1.5)
    adaptor = ad.Adaptor(xtc=(0.08, chance), **fields)
    out, dropped = coined(x, adaptor, False), coined(x, adaptor, True)
    q = (1 - chance) * out.log_q.exp() + chance * dropped.log_q.exp()
    step = coined(x, adaptor, "marginal")
    torch.testing.assert_close(step.log_q, q.log(), rtol=0, atol=1e-12)
    assert step.log_q.exp().sum().item() == pytest.approx(1.0, abs=1e-6)
    inside = q > 0
    kl = (q * (q.log() - step.log_p))[inside].sum().item()
    assert step.kl.tolist() == pytest.approx([kl] * 12, abs=1e-6)
    assert step.log_z.isnan().all()
    assert step.log_kept.isnan().all()
    assert torch.equal(step.n_kept, out.n_kept)
    assert torch.equal(step.status, torch.where(inside, 0, 3))


def test_strings_of_the_mixture_have_one_law() -> None:
    """Every string of a table model: the products of the mixtures sum to one."""
    table = 1.5 * randn(5, 4, 6).double()
    adaptor = ad.Adaptor(xtc=(0.15, 0.3), temperature=0.8)
    rows = table.repeat_interleave(4, 0)
    tokens = torch.arange(4).repeat(5)
    step = ad.reference.score(rows, tokens, adaptor, xtc_coin="marginal")
    log_q = step.log_q.view(5, 4)  # row 4: the start
    total = sum(
        math.exp(log_q[4, a] + log_q[a, b] + log_q[b, c])
        for a in range(4)
        for b in range(4)
        for c in range(4)
    )
    assert total == pytest.approx(1.0, abs=1e-12)
    # Control: a law given its coins is another one.
    given = ad.reference.score(rows, tokens, adaptor, xtc_coin=torch.tensor(True))
    assert not torch.allclose(given.log_q.exp(), step.log_q.exp(), atol=1e-3)


@pytest.mark.statistical
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("fields", [{}, {"temperature": 0.8, "top_p": 0.9}])
def test_law_of_one_step(fields: dict) -> None:
    """Draws have the marginal law; the law of either coin alone is seen to be another one."""
    x, draws = randn(1, 10, 3, 1.0), 100_000
    adaptor = ad.Adaptor(xtc=(0.1, 0.4), **fields)
    token = ad.sample(x.expand(draws, -1), adaptor, seed=3, positions=0).token
    observed = torch.bincount(token, minlength=10)
    assert chi_square_p(observed, coined(x, adaptor, "marginal").log_q.exp()) > 1e-6
    for coin in (False, True):
        assert chi_square_p(observed, coined(x, adaptor, coin).log_q.exp()) < 1e-9


def test_gradients() -> None:
    adaptor = ad.Adaptor(xtc=(0.1, 0.4), temperature=0.8, top_k=6)
    x = randn(3, 9, 2, 1.0).double().requires_grad_()
    for coin in (torch.tensor([True, False, True]), "marginal"):
        token = x.argsort(1, descending=True)[:, 5]

        def numbers(x: Tensor, token: Tensor = token, coin: Tensor | str = coin) -> Tensor:
            return ad.reference.score(x, token, adaptor, xtc_coin=coin).log_q

        torch.autograd.gradcheck(numbers, x)


def test_coins_are_asked_for() -> None:
    adaptor, tokens = ad.Adaptor(xtc=(0.1, 0.5)), torch.tensor([0])
    for coin in (None, True, torch.tensor([1]), torch.zeros(3, dtype=torch.bool), "mean"):
        with pytest.raises(ValueError, match=r"^score: xtc_coin must be .*, got "):
            ad.score(FOUR, tokens, adaptor, xtc_coin=coin)
    state = ad.SequenceState.start(1)
    with pytest.raises(ValueError, match=r"^score: xtc_coin must be .*, got 'marginal'"):
        ad.score(FOUR, tokens, adaptor, state=state, xtc_coin="marginal")
    ad.score(FOUR, tokens, ad.pack(adaptor, 1), state=state, xtc_coin=torch.tensor([True]))
    assert state.length.tolist() == [1]
    with pytest.raises(ValueError, match="xtc_coin"):
        ad.score(FOUR, tokens, ad.pack([adaptor], 1))


def test_what_needs_one_law_of_strings_refuses() -> None:
    lm = TableLM(randn(1, 4, 1)[0].log_softmax(0), eos_token_id=0)
    adaptor = ad.Adaptor(xtc=(0.1, 0.5))
    with pytest.raises(ValueError, match=r"^score_strings: adaptors must be without xtc"):
        ad.score_strings(lm, [[1]], [[2]], [adaptor])
    for target in ("power", "kept_mass", "base"):
        with pytest.raises(ValueError, match=r"^GlobalSampler: adaptor must be without xtc"):
            ad.GlobalSampler(lm, adaptor, target=target, max_new_tokens=3)
    generation = ad.generate(lm, [[1]], adaptor=adaptor, max_new_tokens=5, seed=4)
    with pytest.raises(ValueError, match=r"^global_law.log_weight: adaptor must be without xtc"):
        global_law.log_weight(generation)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ((0.0, 0.5), ValueError),
        ((1.1, 0.5), ValueError),
        ((0.1, 1.5), ValueError),
        ((0.1, math.nan), ValueError),
        (0.1, TypeError),
        ((0.1,), TypeError),
        (("a", 0.5), TypeError),
    ],
)
def test_ranges(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^Adaptor: xtc must be .*, got "):
        ad.Adaptor(xtc=value)
    with pytest.raises(ValueError, match="xtc"):
        ad.Adaptor(mirostat_tau=2.0, xtc=(0.1, 0.5))
