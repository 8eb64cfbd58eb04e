"""Given kept sets: replay of a run's sets, statuses, sets far below the maximum, draws."""

import pytest
import torch
from scipy import stats
from support.cases import (
    DTYPES,
    EXACT,
    FLOATS,
    HOSTILE,
    INF,
    NAN,
    crossed,
    hostile,
    randn,
    rng,
    uniforms,
)
from support.sparse_cases import assert_same, few, random_sets, scaled

import aligndec as ad


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", HOSTILE)
def test_native_equals_the_reference(name: str) -> None:
    x, every = crossed(hostile(name), few())
    rows, vocab = x.shape
    u, token = uniforms(rows, 1), torch.randint(0, vocab, (rows,), generator=rng(2))
    token[0] = -1
    sets, taus = random_sets(rows, vocab, 3), scaled(every)
    steps: dict[str, list] = {}
    for backend in ("reference", "native"):
        with ad.use_backend(backend):
            drawn, own = ad.sample_with_sets(x, every, uniforms=u, max_ids=12, strict=False)
            every_set = ad.kept_sets(x, every)
            steps[backend] = [
                [drawn, ad.score(x, token, taus, kept=sets, strict=False)],
                [ad.sample(x, taus, uniforms=u, kept=sets, strict=False)],
                [*own, *every_set],
            ]
    for i in (0, 1):
        for a, b in zip(steps["native"][i], steps["reference"][i], strict=True):
            assert_same(a, b, (name, i), ulps=4)
    for a, b in zip(steps["native"][2], steps["reference"][2], strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["coarse_ties", "two_far_values", "steep", "size_1025"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_set_of_the_adaptors_own_gives_its_bits(name: str, dtype: torch.dtype) -> None:
    x, every = crossed(hostile(name, dtype), few())
    rows, vocab = x.shape
    u, token = uniforms(rows, 1), torch.randint(0, vocab, (rows,), generator=rng(2))
    sets = ad.kept_sets(x, every)
    assert torch.equal(sets.mask(vocab), ad.kept_mask(x, every))
    drawn, found = ad.sample_with_sets(x, every, uniforms=u)
    assert all(torch.equal(a, b) for a, b in zip(found, sets, strict=True))
    assert_same(drawn, ad.sample(x, every, uniforms=u), "drawn with its set")
    assert_same(ad.sample(x, scaled(every), uniforms=u, kept=sets), drawn, "drawn from it")
    assert_same(ad.score(x, token, scaled(every), kept=sets), ad.score(x, token, every), "scored")


@pytest.mark.usefixtures("native")
def test_wide_sets_of_long_rows() -> None:
    """Sets that the kernel holds as an interval or as the whole row, and the draw from a list."""
    x = torch.cat([randn(2, 40_000, 1, 0.3), randn(2, 40_000, 2)])
    for adaptor in (ad.Adaptor(), ad.Adaptor(top_p=0.9), ad.Adaptor(temperature=0.8, min_p=0.2)):
        u = uniforms(4, 3)
        drawn, sets = ad.sample_with_sets(x, adaptor, uniforms=u)
        assert_same(drawn, ad.sample(x, adaptor, uniforms=u), adaptor)
        assert torch.equal(sets.mask(40_000), ad.kept_mask(x, adaptor))
        tau = ad.Adaptor(temperature=adaptor.temperature)
        assert_same(ad.score(x, drawn.token, tau, kept=sets), drawn, adaptor)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("tau", [1.0, 0.6, 1.7])
def test_the_books_are_those_of_the_masked_law_and_the_full_one(tau: float) -> None:
    x, sets = randn(20, 50, 1), random_sets(20, 50, 2)
    sets = sets.select((sets.complete & (sets.offsets.diff() > 0)).nonzero()[:, 0])
    x = x[: sets.batch]
    mask = sets.mask(50)
    token = mask.int().argmax(1)
    step = ad.score(x, token, ad.Adaptor(temperature=tau), kept=sets)
    p, s = x.double().log_softmax(1), (x.double() / tau).log_softmax(1)
    q = (x.double() / tau).masked_fill(~mask, -INF).log_softmax(1)
    at = token[:, None]
    kept = s.masked_fill(~mask, -INF).logsumexp(1)
    expected = {
        "log_p": p.gather(1, at)[:, 0],
        "log_q": q.gather(1, at)[:, 0],
        "log_kept": kept,
        "log_z": (p / tau).masked_fill(~mask, -INF).logsumexp(1),
        "entropy": -(p.exp() * p).sum(1),
        "kl": (q.exp() * (q - p)).masked_fill(~mask, 0.0).sum(1),
    }
    for name, value in expected.items():
        torch.testing.assert_close(
            getattr(step, name), value, rtol=0, atol=5e-7 * max(tau, 1 / tau)
        )
    assert step.n_kept.tolist() == mask.sum(1).tolist()
    # The control: a mask of existing tokens has another base law.
    masked = ad.score(x, token, ad.Adaptor(temperature=tau), allowed=mask)
    assert float((masked.log_p - step.log_p).abs().max()) > 0.1


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("depth", [14.0, 17.0, 29.0, 59.0, 300.0])
def test_far_sets_keep_their_digits(depth: float) -> None:
    low = torch.tensor([0.0, -0.5, -1.0, 0.25, -0.125]) - depth
    x = torch.cat([torch.tensor([0.0, -1.0]), low])[None]
    sets = ad.KeptSets.from_lists([[2, 3, 4, 5, 6]])
    step = ad.score(x, torch.tensor([4]), kept=sets)
    full = x.double().log_softmax(1)[0]
    assert float((step.log_q - x[0, 2:].double().log_softmax(0)[2]).abs()) < 5e-7
    assert float((step.log_kept - full[2:].logsumexp(0)).abs()) < 5e-7
    assert float((step.log_p - full[4]).abs()) < 5e-7
    if depth > 28:  # the control: weights in units of the row's maximum have lost them
        weight = (x[0, 2:].double().exp() * 2**43).round()
        share = (weight[2] / weight.sum()).log() if float(weight.sum()) else torch.tensor(-INF)
        assert float((step.log_q - share).abs()) > 1e-3
    # Every token of the set is drawn, in proportion.
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    drawn = ad.sample(x.expand(4000, -1), uniforms=u, kept=sets.select(torch.zeros(4000).long()))
    share = torch.bincount(drawn.token, minlength=7)[2:].double() / 4000
    torch.testing.assert_close(share, x[0, 2:].double().softmax(0), rtol=0, atol=1e-3)


@pytest.mark.usefixtures("backend")
def test_draws_follow_the_given_law() -> None:
    n = 4000
    x, sets = randn(1, 12, 4, 1.0), ad.KeptSets.from_lists([[1, 3, 4, 8, 9, 11]])
    rows = torch.zeros(n).long()
    step = ad.sample(x.expand(n, -1), seed=5, kept=sets.select(rows), positions=0)
    law = x[0].double().masked_fill(~sets.mask(12)[0], -INF).softmax(0)
    count = torch.bincount(step.token, minlength=12)
    live = law > 0
    assert count[~live].sum() == 0
    assert stats.chisquare(count[live], law[live] * n).pvalue > 1e-3
    # The control: the tokens of another set of the same size would not pass.
    other = x[0].double().softmax(0)[live].roll(1)
    assert stats.chisquare(count[live], other / other.sum() * n).pvalue < 1e-6


def bad_rows() -> tuple[torch.Tensor, ad.KeptSets, torch.Tensor]:
    """Rows: good, NaN, no token, unknown set, empty set, set of absent tokens, outside, skipped."""
    x = randn(8, 9, 1)
    x[1, 0] = NAN
    x[2] = -INF
    x[5, 3] = -INF
    sets = ad.KeptSets.from_lists([[1, 2], [1], [1], [], [], [3], [1, 2], [1]])
    complete = torch.ones(8, dtype=torch.bool)
    complete[[3]] = False
    return x, sets._replace(complete=complete), torch.tensor([1, 1, 1, 4, 4, 4, 5, -1])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("tau", [1.0, 0.5, 0.0])
def test_statuses(tau: float) -> None:
    x, sets, token = bad_rows()
    a = ad.Adaptor(temperature=tau)
    step = ad.score(x, token, a, kept=sets, strict=False)
    assert step.status.tolist()[1:] == [1, 2, 5, 2, 2, 3, 4]
    plain = ad.score(x, token, strict=False)
    assert step.token.tolist() == [1, -1, -1, 4, 4, 4, 5, 0]
    for row in (3, 4, 5):  # the base law is known, the rest is not
        assert step.log_p[row] == plain.log_p[row]
        assert step.entropy[row] == plain.entropy[row]
        assert step.n_kept[row] == 0
        assert all(getattr(step, n)[row].isnan() for n in ("log_q", "log_z", "log_kept", "kl"))
    for name in FLOATS:
        assert bool(getattr(step, name)[1:3].isnan().all())
        assert getattr(step, name)[7] == 0
    with pytest.raises(ad.BadLogitsError, match=r"^score: .*row 3: its kept set is not") as error:
        ad.score(x, token, a, kept=sets)
    assert error.value.rows == [1, 2, 3, 4, 5]
    drawn = ad.sample(x, a, kept=sets, positions=0, strict=False)
    assert drawn.token[1:6].eq(-1).all()
    assert drawn.status.tolist()[:7] == [0, 1, 2, 5, 2, 2, 0]
    assert bool(drawn.log_p[3:6].isnan().all())
    assert torch.equal(drawn.entropy[3:6], plain.entropy[3:6])


@pytest.mark.usefixtures("backend")
def test_a_row_without_its_set_ends_the_string_and_no_other() -> None:
    x, sets, _ = bad_rows()
    state = ad.SequenceState.start(8)
    with pytest.raises(ad.BadLogitsError):
        ad.sample(x, kept=sets, state=state)
    assert state.length.sum() == 0
    ad.sample(x, kept=sets, state=state, strict=False)
    assert state.finished.tolist() == [False, True, True, True, True, True, False, False]
    assert state.length.tolist() == [1, 0, 0, 0, 0, 0, 1, 1]
    assert bool(state.sums[:5].isfinite().all())


@pytest.mark.usefixtures("backend")
def test_greedy_takes_the_best_of_the_set() -> None:
    x = torch.tensor([[5.0, 1.0, 3.0, 3.0, 0.0]])
    step = ad.sample(
        x, ad.Adaptor(temperature=0.0), kept=ad.KeptSets.from_lists([[1, 2, 3]]), positions=0
    )
    log_p = x.double().log_softmax(1)[0, 2]
    assert step.token.tolist() == [2]
    assert (float(step.log_q), int(step.n_kept)) == (0.0, 1)
    for value in (step.log_p, step.log_z, step.log_kept, -step.kl):
        assert abs(float(value - log_p)) < 5e-7


@pytest.mark.usefixtures("backend")
def test_a_mask_is_a_set_for_every_result() -> None:
    x, token = randn(3, 2 * 40, 1).view(3, 2, 40), torch.randint(0, 40, (3, 2), generator=rng(2))
    mask = ad.kept_mask(x, ad.Adaptor(top_p=0.8))
    by_mask = ad.score(x, token, kept=mask)
    by_sets = ad.score(x, token, kept=ad.kept_sets(x, ad.Adaptor(top_p=0.8)))
    assert_same(by_mask, by_sets, "mask")
    assert_same(by_sets, ad.score(x, token, ad.Adaptor(top_p=0.8)), "adaptor")
    one = ad.score(x[:, :1], token, kept=by_row(mask[:, :1].expand(3, 2, 40)))
    assert_same(one, ad.score(x[:, :1].expand(3, 2, 40), token, ad.Adaptor(top_p=0.8)), "shared")
    strided = randn(6, 2 * 40, 4).view(3, 2, 2, 40)[:, :, 1].transpose(0, 1)
    sets = ad.kept_sets(strided, ad.Adaptor(top_k=3))
    token = token.T.contiguous()
    expected = ad.score(strided, token, ad.Adaptor(top_k=3))
    assert_same(ad.score(strided, token, kept=sets), expected, "row-major")


def by_row(mask: torch.Tensor) -> ad.KeptSets:
    return ad.KeptSets.from_mask(mask.reshape(-1, mask.shape[-1]))


@pytest.mark.usefixtures("backend")
def test_sets_with_a_state() -> None:
    """Finished rows have an empty set; mirostat's sets replay under the temperature alone."""
    adaptor = ad.Adaptor(temperature=0.9, mirostat_tau=1.5)
    drawn, replayed = (ad.SequenceState.start(4, eos_token_id=0) for _ in range(2))
    drawn.finished[1] = replayed.finished[1] = True
    for t in range(4):
        x = randn(4, 60, t)
        known = ad.kept_sets(x, adaptor, state=drawn)
        step, sets = ad.sample_with_sets(x, adaptor, state=drawn)
        assert sets.lists()[1] == []
        live = torch.tensor([0, 2, 3])
        assert known.select(live).lists() == sets.select(live).lists()
        again = ad.score(x, step.token, ad.Adaptor(temperature=0.9), state=replayed, kept=sets)
        for name in (*EXACT, *FLOATS):
            assert torch.equal(getattr(again, name), getattr(step, name)), name
    assert torch.equal(replayed.sums[:5], drawn.sums[:5])
    assert not torch.equal(drawn.mu[:1], ad.SequenceState.start(1).mu)
