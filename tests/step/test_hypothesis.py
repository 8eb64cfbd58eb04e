"""Generated logits and parameters: the backends agree, and the definitions hold."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cases import DTYPES, INF, bits, check_step
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

QUICK = settings(
    deadline=None,
    max_examples=150,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
FIELDS = {
    "temperature": st.sampled_from([0.0, 1e-3, 0.5, 0.7, 1.0, 1.3, 1e3]) | st.floats(1e-3, 1e3),
    "top_k": st.integers(0, 40),
    "top_p": st.floats(0, 1, exclude_min=True),
    "min_p": st.floats(0, 1),
    "typical_p": st.floats(0, 1, exclude_min=True),
    "epsilon_cutoff": st.floats(0, 1, exclude_max=True),
    "eta_cutoff": st.floats(0, 1, exclude_max=True),
    "top_n_sigma": st.floats(0, 10),
    "p_less": st.sampled_from([0.0, 1.5, 2.0, 3.0, 64.0]) | st.floats(1.5, 64),
    "top_h": st.floats(0, 1),
    "top_a": st.floats(0, 1),
    "cut_on": st.sampled_from(["scaled", "base"]),
}
VALUES = (
    st.sampled_from([0.0, -0.0, 1.0, -1.0, -60.0, -INF, 1e4, -1e4, -1e38])
    | st.floats(-20, 20, width=32)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
)


@st.composite
def adaptor(draw: st.DrawFn) -> ad.Adaptor:
    names = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=4))
    return ad.Adaptor(**{name: draw(FIELDS[name]) for name in sorted(names)})


@st.composite
def rows(draw: st.DrawFn, values: st.SearchStrategy[float] = VALUES) -> Tensor:
    vocab = draw(st.integers(1, 70))
    count = draw(st.integers(1, 3))
    # A small pool of values makes ties frequent.
    pool = draw(st.lists(values, min_size=1, max_size=12))
    index = draw(
        st.lists(st.integers(0, len(pool) - 1), min_size=count * vocab, max_size=count * vocab)
    )
    dtype = draw(st.sampled_from(DTYPES))
    x = torch.tensor(pool)[torch.tensor(index)].view(count, vocab)
    top = torch.finfo(dtype).max
    return x.clamp(-top, top).where(x.isfinite(), x).to(dtype)


units = st.floats(0, 1, exclude_max=True)


@pytest.mark.usefixtures("native")
@QUICK
@given(x=rows(VALUES | st.sampled_from([math.nan, INF])), a=adaptor(), u=units, data=st.data())
def test_native_equals_reference(x: Tensor, a: ad.Adaptor, u: float, data: st.DataObject) -> None:
    count, vocab = x.shape
    valid = data.draw(st.none() | st.integers(0, vocab))
    allowed = None
    if data.draw(st.booleans()):
        flags = st.lists(st.booleans(), min_size=count * vocab, max_size=count * vocab)
        allowed = torch.tensor(data.draw(flags)).view(count, vocab)
        if data.draw(st.booleans()):
            allowed = bits(allowed)
    options = {"allowed": allowed, "valid_vocab": valid}
    token = torch.tensor(
        data.draw(st.lists(st.integers(-1, vocab - 1), min_size=count, max_size=count))
    )
    u_rows = torch.full((count,), u, dtype=torch.float64)
    results = []
    for backend in ("native", "reference"):
        with ad.use_backend(backend):
            results.append(
                (
                    ad.sample(x, a, uniforms=u_rows, strict=False, **options),
                    ad.score(x, token, a, strict=False, **options),
                    ad.kept_mask(x, a, **options),
                    ad.score_grid(x, token, [a, ad.Adaptor()], **options),
                    masses(x, a),
                )
            )
    (sampled, scored, mask, grid, mass), expected = results
    check_step(sampled, expected[0], 1e-12)
    check_step(scored, expected[1], 1e-12)
    assert torch.equal(mask, expected[2])
    check_step(grid, expected[3], 1e-12)
    assert [m.tolist() for m in mass] == [m.tolist() for m in expected[4]]


@pytest.mark.usefixtures("backend")
@QUICK
@given(x=rows(), a=adaptor(), u=units)
def test_definitions(x: Tensor, a: ad.Adaptor, u: float) -> None:
    exists = x.isfinite()
    step = ad.sample(x, a, uniforms=torch.full((len(x),), u, dtype=torch.float64), strict=False)
    assert torch.equal(step.status == 2, ~exists.any(1))
    live = step.status == 0
    mask = ad.kept_mask(x, a)
    assert torch.equal(mask.sum(1), step.n_kept)
    assert not (mask & ~exists).any()
    assert not mask[~live].any()
    x, mask, exists, step = x[live], mask[live], exists[live], ad.Step(*(f[live] for f in step))
    assert mask.gather(1, step.token[:, None]).all()
    assert (step.log_kept <= 0).all()
    assert (step.kl >= 0).all()
    assert (step.entropy >= 0).all()
    assert (step.log_p <= 1e-12).all()
    assert (step.log_q <= 1e-12).all()
    if a.temperature > 0:
        gap = step.log_q + step.log_z - step.log_p / a.temperature
        size = 1e-12 * (100 + (100 + step.log_p.abs()) / a.temperature)
        assert (gap.abs() <= size).all()
        # Membership depends on the value alone: every kept set is an interval of logits.
        value, inf = x.double(), torch.full_like(x, INF).double()
        low = value.where(mask, inf).amin(1, keepdim=True)
        high = value.where(mask, -inf).amax(1, keepdim=True)
        assert torch.equal(mask, exists & (value >= low) & (value <= high))


@pytest.mark.usefixtures("backend")
@QUICK
@given(x=rows(), a=adaptor(), data=st.data())
def test_equivariance_under_permutation_of_ids(
    x: Tensor, a: ad.Adaptor, data: st.DataObject
) -> None:
    """Sets and masses do not see the order of the vocabulary (greedy breaks ties by id)."""
    if a.temperature == 0:
        return
    order = torch.tensor(data.draw(st.permutations(range(x.shape[1]))))
    assert torch.equal(ad.kept_mask(x[:, order], a), ad.kept_mask(x, a)[:, order])
    assert [m.tolist() for m in masses(x[:, order], a)] == [m.tolist() for m in masses(x, a)]


@pytest.mark.usefixtures("backend")
@QUICK
@given(x=rows(st.floats(-20, 20, width=32)), data=st.data())
def test_a_tighter_cut_keeps_a_subset(x: Tensor, data: st.DataObject) -> None:
    rising = ("min_p", "epsilon_cutoff", "top_a")  # the larger, the tighter
    name = data.draw(st.sampled_from(["top_k", "top_p", "typical_p", "top_h", *rising]))
    low, high = sorted((data.draw(FIELDS[name]), data.draw(FIELDS[name])))
    if name in ("top_k", "top_h") and low == 0:
        low, high = high, 0
    wide, narrow = (low, high) if name in rising else (high, low)
    small = ad.kept_mask(x, ad.Adaptor(**{name: narrow}))
    large = ad.kept_mask(x, ad.Adaptor(**{name: wide}))
    assert not (small & ~large).any()
