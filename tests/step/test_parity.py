"""The native kernel equals the eager reference: decisions to the bit, floats within rounding."""

import pytest
import torch
from support.cases import (
    ADAPTORS,
    BAD_VALUES,
    DTYPES,
    HOSTILE,
    INF,
    LARGE,
    LAYOUTS,
    SUMS,
    adaptors,
    bits,
    check_step,
    crossed,
    hostile,
    randn,
    rng,
    rows_of,
    uniforms,
)
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

TOLERANCE = 1e-12


def both(device: str, call, *tensors: Tensor | None):
    """The same call on the reference, on the CPU, and on the native kernel of a device."""
    with ad.use_backend("reference"):
        expected = call(*tensors)
    with ad.use_backend("native"):
        actual = call(*(t if t is None else t.to(device) for t in tensors))
    return actual, expected


def compare_all(device: str, x: Tensor, every: list[ad.Adaptor], **hidden: Tensor | None) -> None:
    """Every public op on one batch with one adaptor per row."""
    allowed = hidden.get("allowed")
    u = uniforms(len(x), seed=1)
    token = torch.randint(-1, x.shape[1], (len(x),), generator=rng(2))

    def sample(x: Tensor, u: Tensor, allowed: Tensor | None) -> ad.Step:
        return ad.sample(x, every, uniforms=u, allowed=allowed, strict=False)

    def score(x: Tensor, token: Tensor, allowed: Tensor | None) -> ad.Step:
        return ad.score(x, token, every, allowed=allowed, strict=False)

    check_step(*both(device, sample, x, u, allowed), TOLERANCE)
    if x.dtype == torch.float32:
        # Scoring reads rows by the same code, and the reference is slow: one dtype stands for all.
        check_step(*both(device, score, x, token, allowed), TOLERANCE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_rows(name: str, dtype: torch.dtype, native_device: str) -> None:
    compare_all(native_device, *crossed(hostile(name, dtype)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"), [*((n, torch.float32) for n in LARGE), (next(iter(LARGE)), torch.bfloat16)]
)
def test_large_vocabularies(name: str, dtype: torch.dtype, native_device: str) -> None:
    names = ("warm", "cold_top_p", "warm_typical_base", "all")
    every = [ad.Adaptor(**ADAPTORS[n]) for n in names]
    compare_all(native_device, *crossed(hostile(name, dtype), every))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sorted", "periodic", "one block", "few values"])
def test_rows_that_mislead_a_sample(layout: str, native_device: str) -> None:
    """Where a kernel looks at a part of a row first, the rest is anything but like it."""
    x = 1.5 * randn(2, 40_000, seed=3)
    id_ = torch.arange(x.shape[1])
    if layout == "sorted":
        x = x.sort(1, descending=True).values
    elif layout == "periodic":
        x = torch.where(id_ % 8 == 0, x - 3, x)
    elif layout == "one block":
        x = torch.where(id_ // 64 == 5, x + 6, x)
    else:
        x = x.round()
    every = [
        ad.Adaptor(top_p=0.9),
        ad.Adaptor(typical_p=0.7),
        ad.Adaptor(temperature=1.3, top_p=0.6),
        ad.Adaptor(top_k=9_000, top_p=0.95, typical_p=0.8),
        ad.Adaptor(typical_p=0.9, top_p=0.95, cut_on="base", temperature=0.8),
    ]
    compare_all(native_device, *crossed(x, every))


@pytest.mark.parametrize("kind", ["bool", "bits"])
@pytest.mark.parametrize("vocab", [31, 33, 1023])
def test_masked_rows(kind: str, vocab: int, native_device: str) -> None:
    x, every = crossed(randn(3, vocab))
    allowed = randn(len(x), vocab, 1) > 0.5
    allowed[::17] = False
    compare_all(native_device, x, every, allowed=allowed if kind == "bool" else bits(allowed))


@pytest.mark.parametrize("value", [*BAD_VALUES, "empty"])
def test_bad_rows(value: str, native_device: str) -> None:
    x, every = crossed(randn(4, 1025))
    if value == "empty":
        x[::3] = -INF
    else:
        x[::3, 1024] = BAD_VALUES[value]
        x[1::3, 0] = BAD_VALUES[value]
    compare_all(native_device, x, every)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(layout: str, dtype: torch.dtype, native_device: str) -> None:
    """The reference reads the contiguous rows, the kernel the same numbers laid out otherwise."""
    x, every = crossed(randn(2, 263).to(dtype))
    u = uniforms(len(x))
    with ad.use_backend("reference"):
        expected = ad.sample(x, every, uniforms=u)
    odd = LAYOUTS[layout](x.to(native_device))
    with ad.use_backend("native"):
        check_step(ad.sample(odd, every, uniforms=u.to(native_device)), expected, TOLERANCE)


@pytest.mark.parametrize("name", HOSTILE)
def test_masks_and_masses(name: str, native_device: str) -> None:
    x = hostile(name)
    x = torch.cat((x, torch.full_like(x[:1], float("nan"))))
    for adaptor in adaptors():
        mask, expected = both(native_device, lambda x, a=adaptor: ad.kept_mask(x, a), x)
        assert torch.equal(mask.cpu(), expected), adaptor
        mass, expected = both(native_device, lambda x, a=adaptor: masses(x, a), x)
        assert [m.tolist() for m in mass] == [m.tolist() for m in expected], adaptor


@pytest.mark.parametrize("dtype", DTYPES)
def test_grid(dtype: torch.dtype, native_device: str) -> None:
    x = torch.cat([hostile(n, dtype)[:1, :2] for n in ("steep", "two_values", "offset_up")])
    for rows in (x, hostile("coarse_ties", dtype), hostile("sigma_window", dtype)):
        token = torch.randint(-1, rows.shape[1], (len(rows),), generator=rng(3))
        grid, expected = both(
            native_device, lambda x, y: ad.score_grid(x, y, adaptors()), rows, token
        )
        check_step(grid, expected, TOLERANCE)


@pytest.mark.parametrize("mode", ["sample", "score"])
def test_sums_of_a_state(mode: str, native_device: str) -> None:
    """Ten steps with rows that end, rows that break and every adaptor, from Philox bits."""
    every = adaptors()
    rows, vocab = len(every), 40

    def play(noise: Tensor) -> tuple[list[ad.Step], ad.SequenceState]:
        state = ad.SequenceState.start(
            rows,
            eos_token_id=(0, 3),
            pad_token_id=1,
            sequence_ids=torch.arange(rows) * 2**33,
            device=noise.device,
        )
        steps = []
        for t in range(10):
            options = {"state": state, "strict": False}
            if mode == "sample":
                steps.append(ad.sample(noise[t], every, seed=-7, **options))
            else:
                token = torch.arange(rows, device=noise.device) % (vocab - t)
                steps.append(ad.score(noise[t], token, every, **options))
        return steps, state

    noise = randn(10 * rows, vocab, 4).view(10, rows, vocab)
    noise[3, 5] = float("nan")
    noise[6, 8] = -INF
    (steps, state), (expected_steps, expected) = both(native_device, play, noise)
    for step, other in zip(steps, expected_steps, strict=True):
        check_step(step, other, TOLERANCE)
    for name in ("length", "finished"):
        assert torch.equal(getattr(state, name).cpu(), getattr(expected, name)), name
    for name in SUMS:
        torch.testing.assert_close(
            getattr(state, name).cpu(), getattr(expected, name), rtol=TOLERANCE, atol=TOLERANCE
        )
    assert expected.finished.any()
    assert not expected.finished.all()


def test_mixed_seeds_and_positions(native_device: str) -> None:
    x = randn(1, 100, scale=1.0).expand(64, 100)
    seeds = torch.randint(-(2**63), 2**63 - 1, (64,), generator=rng(5))
    ids = torch.randint(0, 2**63 - 1, (64,), generator=rng(6))
    positions = torch.randint(0, 2**31, (64,), generator=rng(7))

    def sample(x: Tensor, seed: Tensor, ids: Tensor, positions: Tensor) -> ad.Step:
        return ad.sample(x, seed=seed, sequence_ids=ids, positions=positions)

    step, expected = both(native_device, sample, x, seeds, ids, positions)
    check_step(step, expected, TOLERANCE)
    assert expected.token.unique().numel() > 10


def test_the_comparison_can_fail(native_device: str) -> None:
    """Control: one logit moved by one ulp, or another adaptor, is seen."""
    x = randn(3, 50)
    moved = x.clone()
    moved[1, 7] = torch.nextafter(moved[1, 7], torch.tensor(INF))
    step = ad.score(x, torch.tensor([7, 7, 7]))
    with pytest.raises(AssertionError, match="log_p"):
        check_step(ad.score(moved, torch.tensor([7, 7, 7])), step, TOLERANCE)
    with pytest.raises(AssertionError, match="n_kept"):
        check_step(ad.score(x, torch.tensor([7, 7, 7]), ad.Adaptor(min_p=1e-6)), step, TOLERANCE)
    assert rows_of(step, slice(0, 1)).token.tolist() == [7]
