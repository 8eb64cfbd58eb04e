"""The device code of the CUDA kernels, run on the host, equals the CPU kernel bit for bit."""

import pytest
import torch
from support import cases
from support.cases import (
    DTYPES,
    HOSTILE,
    INF,
    LAYOUTS,
    bits,
    crossed,
    hostile,
    randn,
    rng,
    uniforms,
)
from support.host_cuda import Kernels
from torch import Tensor

import aligndec as ad

pytestmark = pytest.mark.usefixtures("native")


def adaptors() -> list[ad.Adaptor]:
    """All, with dynamic temperatures and coins."""
    cuts = ({}, {"top_p": 0.9}, {"typical_p": 0.5, "cut_on": "base"}, {"top_h": 0.7})
    every = [ad.Adaptor(dynamic_temperature=(0.5, 1.5, 1.5), **cut) for cut in cuts]
    every += [ad.Adaptor(xtc=(0.05, chance), **cut) for chance in (0.5, 1.0) for cut in cuts[:3]]
    return [*cases.adaptors(), *every]


def check(actual: list[Tensor], expected: tuple[Tensor, ...]) -> None:
    """Every bit."""
    assert len(actual) == len(expected)
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        torch.testing.assert_close(
            a, b, rtol=0, atol=0, equal_nan=True, msg=lambda m, i=i: f"output {i}: {m}"
        )


def inputs(x: Tensor, every: list[ad.Adaptor], allowed: Tensor | None = None) -> tuple:
    return x, ad.pack(every, len(every)).params, allowed, x.shape[1]


def check_scores(kernels: Kernels, *given: Tensor | int | None) -> None:
    """All but the ends of the kept interval, which may lie anywhere between two tokens."""
    actual, expected = kernels.adaptor_score(*given), torch.ops.aligndec.adaptor_score(*given)
    check([*actual[:9], actual[9][2:], actual[10]], (*expected[:9], expected[9][2:], expected[10]))


OPTIONS = ("tokens", "seed", "seeds", "sequence_ids", "position", "positions", "uniforms", "sums")
OPTIONS += ("length", "finished", "eos", "pad", "strict")
DEFAULTS = {"seed": 0, "position": 0, "pad": 0, "strict": False}


def cpu_step(*batch, **options) -> tuple[Tensor, ...]:
    rest = [options.get(name, DEFAULTS.get(name)) for name in OPTIONS]
    return torch.ops.aligndec.adaptor_step(*batch, *rest)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_rows(name: str, device: Kernels) -> None:
    x, every = crossed(hostile(name), adaptors())
    batch, u = inputs(x, every), uniforms(len(x), seed=1)
    check(device.adaptor_step(*batch, uniforms=u), cpu_step(*batch, uniforms=u))


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_half_types(dtype: torch.dtype, device: Kernels) -> None:
    for name in ("coarse_ties", "signed_zeros", "wide", "size_1025"):
        x, every = crossed(hostile(name, dtype), adaptors())
        batch, u = inputs(x, every), uniforms(len(x), seed=1)
        check(device.adaptor_step(*batch, uniforms=u), cpu_step(*batch, uniforms=u))


@pytest.mark.parametrize("kind", ["bool", "bits"])
def test_masked_rows_and_a_shorter_vocabulary(kind: str, device: Kernels) -> None:
    x, every = crossed(randn(2, 300), adaptors())
    allowed = randn(len(x), 300, 1) > 0.5
    allowed[::17] = False
    mask = allowed if kind == "bool" else bits(allowed)
    for allowed_or_one in (mask, mask[1:2]):
        batch = (*inputs(x, every, allowed_or_one)[:3], 287)
        token = torch.randint(-1, 300, (len(x),), generator=rng(2))
        check_scores(device, *batch, token, None)
        assert torch.equal(device.adaptor_mask(*batch), torch.ops.aligndec.adaptor_mask(*batch))


@pytest.mark.parametrize("value", [float("nan"), INF, -INF])
def test_bad_rows(value: float, device: Kernels) -> None:
    x, every = crossed(randn(4, 400), adaptors())
    x[::3, 399] = value
    x[1::3, 0] = value
    x[2::3] = -INF
    batch, u = inputs(x, every), uniforms(len(x))
    check(device.adaptor_step(*batch, uniforms=u), cpu_step(*batch, uniforms=u))
    assert torch.equal(device.adaptor_mask(*batch), torch.ops.aligndec.adaptor_mask(*batch))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(layout: str, dtype: torch.dtype, device: Kernels) -> None:
    x, every = crossed(randn(2, 263).to(dtype), adaptors())
    u = uniforms(len(x))
    odd = LAYOUTS[layout](x)
    expected = cpu_step(*inputs(x, every), uniforms=u)
    check(device.adaptor_step(*inputs(odd, every), uniforms=u), expected)


def test_masks_grids_and_scores_of_given_rows(device: Kernels) -> None:
    for name in ("two_values", "coarse_ties", "sigma_window", "overflowing_spread"):
        x, token = hostile(name), torch.tensor([0, -1, 3])
        batch = inputs(x, adaptors())
        token = token[: len(x)]
        op = torch.ops.aligndec.adaptor_grid
        check(device.adaptor_grid(*batch, token), op(*batch, token))
        mask = torch.ops.aligndec.adaptor_mask
        batch = inputs(*crossed(x, adaptors()))
        assert torch.equal(device.adaptor_mask(*batch), mask(*batch))
        every = adaptors()
        rows = torch.randint(0, len(x), (len(every),), generator=rng(3))
        token = torch.randint(0, x.shape[1], (len(every),), generator=rng(4))
        check_scores(device, *inputs(x, every), token, rows)


@pytest.mark.parametrize("strict", [False, True])
def test_sums_of_a_state(strict: bool, device: Kernels) -> None:
    """Philox bits, rows that end, rows that break; with `strict` a bad row stops the whole step."""
    every = [*adaptors(), ad.Adaptor(mirostat_tau=2.0), ad.Adaptor(0.7, mirostat_tau=1.0)]
    rows = len(every)
    states = []
    for step in (device.adaptor_step, cpu_step):
        state = {
            "sums": torch.zeros(6, rows, dtype=torch.float64),
            "length": torch.zeros(rows, dtype=torch.int64),
            "finished": torch.zeros(rows, dtype=torch.bool),
        }
        given = {
            "eos": torch.tensor([0, 3]),
            "sequence_ids": torch.arange(rows) * 2**33,
            "seed": -7,
            "pad": 1,
            "strict": strict,
        }
        state["sums"][5] = float("nan")  # the threshold of a string without a token
        outputs = []
        for t in range(6):
            x = randn(rows, 90, seed=t, scale=2.0)
            if t == 3:
                x[5] = -INF
            outputs += step(*inputs(x, every), **state, **given)
        states.append([*outputs, *state.values()])
    check(states[0], tuple(states[1]))
    assert states[1][-1].any()
    assert states[1][-1][5] == (not strict)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype: torch.dtype, device: Kernels) -> None:
    x = torch.cat((hostile("coarse_ties", dtype).repeat(2, 1), randn(2, 700, 3).to(dtype)))
    x[2, ::5] = -INF
    every = [a for a in adaptors() if a.temperature == 0 or a.temperature > 0.01] * 2
    rows = torch.randint(0, len(x), (len(every),), generator=rng(5))
    token = torch.randint(0, 690, (len(every),), generator=rng(6))
    heads = [torch.randn(len(every), generator=rng(s), dtype=torch.float64) for s in (7, 8, 9)]
    batch = (*inputs(x, every)[:3], 690)
    step = torch.ops.aligndec.adaptor_score(*batch, token, rows)
    given = (*heads, *batch, token, rows, step[9], step[8])
    expected = torch.ops.aligndec.adaptor_score_backward(*given)
    check([device.adaptor_score_backward(*given)], (expected,))
    given = (*(h[:4] for h in heads), x, batch[1][:4], None, 690, token[:4], None)
    step = torch.ops.aligndec.adaptor_score(*given[3:])
    given = (*given, step[9], step[8])
    expected = torch.ops.aligndec.adaptor_score_backward(*given)
    check([device.adaptor_score_backward(*given)], (expected,))
