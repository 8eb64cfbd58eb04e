"""A sparse bias: edited logits are cut, scaled and drawn from; the base law is of the raw ones."""

import pytest
import torch
from support.cases import DTYPES, HOSTILE, INF, crossed, hostile, randn, rng, uniforms
from support.sparse_cases import assert_same, edited, few, random_bias, random_sets, scaled

import aligndec as ad
from aligndec import testing


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", HOSTILE)
def test_native_equals_the_reference(name: str) -> None:
    x, every = crossed(hostile(name), few())
    rows, vocab = x.shape
    bias, sets = random_bias(rows, vocab, 1), random_sets(rows, vocab, 3)
    u, token = uniforms(rows, 1), torch.randint(0, vocab, (rows,), generator=rng(2))
    seen: dict[str, list] = {}
    for backend in ("reference", "native"):
        with ad.use_backend(backend):
            drawn, own = ad.sample_with_sets(x, every, uniforms=u, bias=bias, strict=False)
            steps = [
                drawn,
                ad.score(x, token, every, bias=bias, strict=False),
                ad.score(x, token, scaled(every), bias=bias, kept=sets, strict=False),
                ad.sample(x, scaled(every), uniforms=u, bias=bias, kept=sets, strict=False),
                ad.score_grid(x[:2], token[:2], every, bias=random_bias(min(2, rows), vocab, 5)),
            ]
            whole = [*own, ad.kept_mask(x, every, bias=bias)]
            seen[backend] = [steps, [*whole, *testing.masses(x, every, bias=bias)]]
    for a, b in zip(*(seen[backend][0] for backend in seen), strict=True):
        assert_same(b, a, name, ulps=8)
    for a, b in zip(*(seen[backend][1] for backend in seen), strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_adapted_law_is_that_of_the_edited_logits(dtype: torch.dtype, seed: int) -> None:
    x, every = crossed(randn(4, 200, seed).to(dtype), few())
    bias = random_bias(len(x), 200, seed, most=60, scale=0.3 if seed == 1 else 6.0)
    z, u = edited(x, bias), uniforms(len(x), 3)
    token = torch.randint(0, 200, (len(x),), generator=rng(4))
    for ours, theirs, plain in (
        (
            ad.sample(x, every, uniforms=u, bias=bias),
            ad.sample(z, every, uniforms=u),
            ad.sample(x, every, uniforms=u),
        ),
        *[(ad.score(x, token, every, bias=bias), ad.score(z, token, every), None)],
    ):
        for name in ("token", "status", "n_kept", "log_q"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
        warm = torch.tensor([a.temperature > 0 for a in every])
        assert torch.equal(ours.log_kept[warm], theirs.log_kept[warm])
        if plain is not None:  # the control: the bias does something
            assert not torch.equal(ours.token, plain.token)
    base = ad.score(x, token)
    ours = ad.score(x, token, every, bias=bias)
    assert torch.equal(ours.log_p, base.log_p)
    assert torch.equal(ours.entropy, base.entropy)
    assert torch.equal(ad.kept_mask(x, every, bias=bias), ad.kept_mask(z, every))
    for a, b in zip(testing.masses(x, every, bias=bias), testing.masses(z, every), strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("fields", [{}, {"temperature": 0.6, "top_k": 9}, {"top_p": 0.8}])
def test_books_against_float64(fields: dict[str, float]) -> None:
    x, adaptor = randn(12, 40, 1), ad.Adaptor(**fields)
    bias = random_bias(12, 40, 2, most=20)
    z, tau = edited(x, bias).double(), adaptor.temperature
    mask, token = ad.kept_mask(edited(x, bias), adaptor), torch.arange(12)
    step = ad.score(x, token, adaptor, bias=bias)
    p, l1 = x.double().log_softmax(1), x.double().logsumexp(1)
    lc = (z / tau).masked_fill(~mask, -INF).logsumexp(1)
    q = (z / tau - lc[:, None]).masked_fill(~mask, -INF)
    kl = (q.exp() * (q - p)).masked_fill(~mask, 0.0).sum(1)
    for value, expected in (
        (step.log_p, p[token, token]),
        (step.log_q, q[token, token]),
        (step.log_z, lc - l1 / tau),
        (step.log_kept, lc - (z / tau).logsumexp(1)),
        (step.kl, kl),
    ):
        torch.testing.assert_close(value, expected, rtol=0, atol=5e-7 * max(tau, 1 / tau))


@pytest.mark.usefixtures("backend")
def test_a_token_that_is_taken_out_stays_in_the_base_law() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, -INF], [0.0, 0.0, 0.0]])
    out = ad.LogitBias(
        torch.tensor([2, 2, 0, 1, 2]).int(),
        torch.tensor([0, 1, 2, 5]),
        torch.tensor([-INF, 5.0, -INF, -INF, -INF]),
    )
    step = ad.score(x, torch.tensor([2, 2, 1]), bias=out, strict=False)
    p = x.double().log_softmax(1)
    assert step.status.tolist() == [3, 3, 2]
    assert step.n_kept.tolist() == [2, 2, 0]
    torch.testing.assert_close(step.log_p, p[[0, 1, 2], [2, 2, 1]], rtol=0, atol=5e-7)
    assert abs(float(step.log_z[0] - p[0, :2].logsumexp(0))) < 5e-7
    assert abs(float(step.log_kept[0])) < 5e-7
    assert bool(step.log_q[2].isnan())
    with pytest.raises(ad.BadLogitsError, match="row 2: no token left") as error:
        ad.sample(x, bias=out, positions=0)
    assert error.value.rows == [2]


@pytest.mark.usefixtures("backend")
def test_greedy() -> None:
    x = randn(6, 30, 1)
    bias = random_bias(6, 30, 2, most=29, scale=9.0)
    step = ad.sample(x, ad.Adaptor(temperature=0.0), bias=bias, positions=0)
    assert torch.equal(step.token, edited(x, bias).argmax(1))
    assert not torch.equal(step.token, x.argmax(1))
    assert step.log_q.eq(0).all()
    for value in (step.log_z, step.log_kept, -step.kl):
        torch.testing.assert_close(value, step.log_p, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("backend")
def test_leading_dimensions_and_padding() -> None:
    """A bias row for each result, also where one row of logits serves several."""
    x, token = randn(3, 50, 1), torch.randint(0, 40, (3, 4), generator=rng(2))
    bias, a = random_bias(12, 50, 3, most=20), ad.Adaptor(top_p=0.9)
    step = ad.score(x[:, None], token, a, bias=bias, valid_vocab=40)
    x4 = x.repeat_interleave(4, 0)
    expected = ad.score(edited(x4, bias), token.reshape(-1), a, valid_vocab=40)
    assert torch.equal(step.log_q.reshape(-1), expected.log_q)
    grid = ad.score_grid(x[:, None], token, [a, ad.Adaptor()], bias=bias, valid_vocab=40)
    assert_same(ad.Step(*(f[0] for f in grid)), step, "grid")
    allowed = randn(12, 50, 5) > -2
    masked = ad.score(x4, token.reshape(-1), a, bias=bias, allowed=allowed)
    by_hand = ad.score(edited(x4, bias), token.reshape(-1), a, allowed=allowed)
    assert torch.equal(masked.log_q, by_hand.log_q)


def test_mirostat_follows_the_edited_law(native: None) -> None:
    """Its threshold moves by the surprise of the law that was drawn from."""
    adaptor, states = ad.Adaptor(temperature=0.8, mirostat_tau=1.0), {}
    for backend in ("reference", "native"):
        with ad.use_backend(backend):
            state = ad.SequenceState.start(5)
            for t in range(6):
                bias = random_bias(5, 80, t, most=40)
                x, before = randn(5, 80, t), state.mu.clone()
                step = ad.sample(x, adaptor, state=state, bias=bias)
                law = (edited(x, bias).double() / 0.8).log_softmax(1)
                surprise = -law.gather(1, step.token[:, None])[:, 0]
                mu = torch.where(before.isnan(), 2.0, before) - 0.1 * (surprise - 1.0)
                torch.testing.assert_close(state.mu, mu, rtol=0, atol=1e-6)
            states[backend] = state
    torch.testing.assert_close(states["native"].sums, states["reference"].sums, rtol=0, atol=1e-12)
