"""Hostile rows behave as the edge cases of docs/semantics.md say and never touch another row."""

import pytest
import torch
from support.cases import (
    BAD_VALUES,
    DTYPES,
    FLOATS,
    HOSTILE,
    INF,
    NAN,
    SUMS,
    adaptors,
    bits,
    check_step,
    crossed,
    hostile,
    randn,
    rows_of,
    uniforms,
)
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

# The two grids run on the backend of the build, to which test_parity binds the reference.
both_backends = pytest.mark.usefixtures("backend")
PLAIN = ad.Adaptor(temperature=0.7, top_k=20, top_p=0.9)


def draw(x: Tensor, adaptor: object = PLAIN, **options: object) -> ad.Step:
    options = {"uniforms": uniforms(x.shape[0]), "strict": False} | options
    return ad.sample(x, adaptor, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HOSTILE)
def test_identities(name: str, dtype: torch.dtype) -> None:
    rows = hostile(name, dtype)
    x, every = crossed(rows)
    before = x.clone()
    step = draw(x, every)
    mask = torch.stack([ad.kept_mask(rows, a) for a in adaptors()], 1).flatten(0, 1)
    assert torch.equal(x.nan_to_num(), before.nan_to_num())
    assert torch.equal(step.status, torch.zeros_like(step.status))
    assert torch.equal(step.n_kept, mask.sum(1))
    assert mask.gather(1, step.token[:, None]).all()
    assert not mask[x == -INF].any()
    for field in FLOATS:
        value = getattr(step, field)
        assert value.isfinite().all(), field
        assert not (value == 0).logical_and(value.signbit()).any(), f"{field} is -0.0"
    assert (step.log_kept <= 0).logical_or(step.log_kept == 0).all()
    assert (step.kl >= 0).all()
    assert (step.entropy >= 0).all()
    tau = torch.tensor([a.temperature for a in every], dtype=torch.float64)
    one, live = tau == 1, tau > 0
    gap = (step.log_q + step.log_z - step.log_p / tau)[live]
    # Rounding only: both sides are formed from the same integers.
    assert (gap.abs() <= 1e-12 * (100 / tau[live] + 100 + (step.log_p / tau)[live].abs())).all()
    assert torch.equal(step.log_z[one], step.log_kept[one])
    plain = torch.tensor([a == ad.Adaptor() for a in every])
    assert torch.equal(step.log_q[plain], step.log_p[plain])
    for field in ("log_z", "log_kept", "kl"):
        assert (getattr(step, field)[plain] == 0).all(), field
    assert torch.equal(step.n_kept[plain], x[plain].isfinite().sum(1))


@pytest.mark.parametrize("name", HOSTILE)
def test_masses_agree_with_the_numbers(name: str) -> None:
    x = hostile(name)
    for adaptor in adaptors():
        total, kept = masses(x, adaptor)
        step = draw(x, adaptor)
        assert (kept <= total).all()
        assert (kept >= 1).all()
        if adaptor.temperature > 0:
            ratio = (kept.double() / total.double()).log()
            torch.testing.assert_close(step.log_kept, ratio, rtol=0, atol=1e-12)


@both_backends
@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bad_row_harms_no_other(value: str, dtype: torch.dtype) -> None:
    x = randn(6, 1025).to(dtype)
    clean = draw(x)
    for column in (0, 31, 1023, 1024):
        spoiled = x.clone()
        spoiled[[1, 4], column] = BAD_VALUES[value]
        step = draw(spoiled)
        assert step.status.tolist() == [0, 1, 0, 0, 1, 0]
        good, bad = torch.tensor([0, 2, 3, 5]), torch.tensor([1, 4])
        check_step(rows_of(step, good), rows_of(clean, good))
        check_bad(rows_of(step, bad), 1)
        mask = ad.kept_mask(spoiled, PLAIN)
        assert not mask[bad].any()
        assert torch.equal(mask[good], ad.kept_mask(x, PLAIN)[good])
        assert [m[1].item() for m in masses(spoiled, PLAIN)] == [0, 0]


def check_bad(step: ad.Step, status: int) -> None:
    assert step.status.eq(status).all()
    assert step.token.eq(-1).all()
    assert step.n_kept.eq(0).all()
    for field in FLOATS:
        assert getattr(step, field).isnan().all(), field


@both_backends
@pytest.mark.parametrize("vocab", [1, 2, 31, 33, 1025])
def test_rows_without_a_token(vocab: int) -> None:
    x = randn(3, vocab)
    x[1] = -INF
    step = draw(x)
    assert step.status.tolist() == [0, 2, 0]
    check_bad(rows_of(step, slice(1, 2)), 2)
    allowed = torch.ones(3, vocab, dtype=torch.bool)
    allowed[2] = False
    step = draw(x, allowed=allowed)
    assert step.status.tolist() == [0, 2, 2]
    check_bad(rows_of(draw(x, valid_vocab=0), slice(0, 3)), 2)
    # NaN is found before the empty row, but only where a token may exist.
    x[1, -1] = NAN
    assert draw(x).status.tolist() == [0, 1, 0]
    assert draw(x, valid_vocab=vocab - 1).status[1].item() == 2


@both_backends
def test_every_adaptor_sees_bad_rows_alike() -> None:
    x = torch.stack((torch.full((40,), NAN), torch.full((40,), -INF), randn(1, 40)[0]))
    for adaptor in adaptors():
        assert draw(x, adaptor).status.tolist() == [1, 2, 0], adaptor
        score = ad.score(x, torch.zeros(3, dtype=torch.int64), adaptor, strict=False)
        assert score.status[:2].tolist() == [1, 2]
        check_bad(rows_of(score, slice(0, 1)), 1)


@both_backends
@pytest.mark.parametrize("mode", ["bool", "bits", "minus_inf"])
def test_masks_hide_what_they_cover(mode: str) -> None:
    """A mask equals -inf in its place, and nothing under it or beyond valid_vocab is read."""
    x = randn(5, 70)
    allowed = randn(5, 70, 1) > 0
    options: dict[str, object] = {"valid_vocab": 66}
    expected_x = x.masked_fill(~allowed | (torch.arange(70) >= 66), -INF)
    x[:, 66:] = NAN
    if mode == "minus_inf":
        x = x.where(allowed, torch.tensor(-INF))
    else:
        x = x.where(allowed, torch.tensor(NAN))
        options["allowed"] = allowed if mode == "bool" else bits(allowed)
    for adaptor in adaptors():
        expected = draw(expected_x, adaptor)
        assert expected.status.eq(0).all()
        check_step(draw(x, adaptor, **options), expected)
        mask = ad.kept_mask(x, adaptor, **options)
        assert mask.shape == x.shape
        assert torch.equal(mask, ad.kept_mask(expected_x, adaptor))
        token = expected.token
        grid = ad.score_grid(x, token, [adaptor], **options)
        score = ad.score(x, token, adaptor, **options)
        check_step(score, ad.score(expected_x, token, adaptor))
        check_step(rows_of(grid, 0), score)


@both_backends
def test_one_mask_row_for_all() -> None:
    x, allowed = randn(4, 40), randn(1, 40, 1) > 0
    expected = draw(x, allowed=allowed.expand(4, 40).contiguous())
    for mask in (allowed.expand(4, 40), bits(allowed).expand(4, 2)):
        check_step(draw(x, allowed=mask), expected)


def state_of(rows: int, **options: object) -> ad.SequenceState:
    return ad.SequenceState.start(rows, **options)


def snapshot(state: ad.SequenceState) -> dict[str, Tensor]:
    return {name: getattr(state, name).clone() for name in (*SUMS, "length", "finished")}


@both_backends
def test_strict_raises_and_commits_nothing() -> None:
    x = randn(4, 50)
    x[2, 7] = NAN
    state = state_of(4)
    draw(x[[0, 1, 3, 3]], state=state, strict=True, uniforms=None)
    before = snapshot(state)
    with pytest.raises(ad.BadLogitsError) as caught:
        ad.sample(x, PLAIN, state=state)
    assert isinstance(caught.value, ad.AligndecError)
    assert caught.value.rows == [2]
    check_step(caught.value.step, draw(x, uniforms=None, state=state.select(torch.arange(4))))
    for name, value in snapshot(state).items():
        assert torch.equal(value, before[name]), name
    with pytest.raises(ad.BadLogitsError):
        ad.score(x, torch.zeros(4, dtype=torch.int64), PLAIN, state=state)
    with pytest.raises(ad.BadLogitsError):
        ad.score(x, torch.zeros(4, dtype=torch.int64), PLAIN)
    for name, value in snapshot(state).items():
        assert torch.equal(value, before[name]), name


@both_backends
def test_bad_row_of_a_state_finishes_and_keeps_its_sums() -> None:
    state = state_of(3, pad_token_id=9)
    first = draw(randn(3, 50), state=state)
    x = randn(3, 50, 1)
    x[1] = -INF
    step = draw(x, state=state)
    assert step.status.tolist() == [0, 2, 0]
    assert step.token[1].item() == -1
    assert state.finished.tolist() == [False, True, False]
    assert state.length.tolist() == [2, 1, 2]
    for name, field in zip(SUMS, ("log_p", "log_q", "log_z", "log_kept", "kl"), strict=True):
        expected = getattr(first, field) + getattr(step, field)
        expected[1] = getattr(first, field)[1]
        assert torch.equal(getattr(state, name), expected), name
    assert draw(randn(3, 50, 2), state=state).token[1].item() == 9


@both_backends
def test_finished_rows_are_silent() -> None:
    """Status 4 comes before every other: a finished row may hold anything."""
    state = state_of(3, eos_token_id=(5, 7), pad_token_id=3)
    certain = torch.full((3, 9), -INF)
    certain[0, 7], certain[1, 2], certain[2, 5] = 0.0, 0.0, 0.0
    draw(certain, state=state)
    assert state.finished.tolist() == [True, False, True]
    assert state.length.tolist() == [1, 1, 1]
    before = snapshot(state)
    x = randn(3, 9)
    x[0], x[2] = NAN, -INF
    step = draw(x, state=state, strict=True)
    assert step.status.tolist() == [4, 0, 4]
    assert step.token[[0, 2]].tolist() == [3, 3]
    for field in (*FLOATS, "n_kept"):
        assert getattr(step, field)[[0, 2]].eq(0).all(), field
    for name, value in snapshot(state).items():
        assert torch.equal(value[[0, 2]], before[name][[0, 2]]), name
    assert state.length.tolist() == [1, 2, 1]


@both_backends
def test_score_of_tokens_outside_the_set() -> None:
    x = torch.tensor([[3.0, 2.0, 1.0, -INF, 0.0]]).expand(5, 5)
    tokens = torch.tensor([0, 2, 3, -1, 4])
    step = ad.score(x, tokens, ad.Adaptor(top_k=2), valid_vocab=4)
    assert step.status.tolist() == [0, 3, 3, 4, 3]
    assert step.log_q[[1, 2, 4]].eq(-INF).all()
    log_p = x[0, :4].double().log_softmax(0)
    torch.testing.assert_close(step.log_p[:2], log_p[[0, 2]], rtol=0, atol=5e-7)
    # A token that does not exist has no mass under the base law.
    assert step.log_p[[2, 4]].eq(-INF).all()
    for field in ("log_z", "log_kept", "entropy", "kl", "n_kept"):
        value = getattr(step, field)
        assert value[[0, 1, 2, 4]].unique().numel() == 1, field
        assert value[3].item() == 0, field
    assert [step.log_p[3].item(), step.log_q[3].item()] == [0, 0]


@both_backends
def test_score_of_a_token_outside_enters_the_sums() -> None:
    state = state_of(2)
    step = ad.score(randn(2, 9), torch.tensor([0, 0]), ad.Adaptor(temperature=0.0), state=state)
    assert step.status.tolist() != [0, 0]
    assert torch.equal(state.sum_log_q, step.log_q)
    assert state.length.tolist() == [1, 1]
    assert not state.finished.any()


@both_backends
def test_no_rows() -> None:
    x = torch.empty(0, 17)
    none = torch.empty(0, dtype=torch.int64)
    for step in (draw(x, uniforms=none.double()), draw(x, []), ad.score(x, none)):
        assert all(field.shape == (0,) for field in step)
    assert ad.kept_mask(x).shape == (0, 17)
    assert ad.score_grid(x, none, adaptors()[:3]).log_p.shape == (3, 0)
