"""Resampling of particle filters: by hand, against whole numbers of any size, and on average."""

import math

import pytest
import torch
from support.cases import rng as generator
from support.host_cuda import Kernels
from torch import Tensor

from aligndec import imh, reference, rng

INF = math.inf
SCHEMES = ("systematic", "stratified", "multinomial", "residual")


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def hostile(n: int, filters: int = 9) -> Tensor:
    """Weights that differ, repeat, vanish, overflow, and are those of one particle alone."""
    w = torch.randn(filters, n, generator=generator(n), dtype=torch.float64) * 2
    w[torch.rand(filters, n, generator=generator(n + 1)) < 0.2] = -INF
    w[0] = 1.5
    w[1] = -INF
    w[2, 1:] = -INF
    w[3] *= 1e306
    w[4, ::2] = w[4, n - 1]
    w[5] = -700 - 10 * torch.arange(n)
    w[6] = (torch.arange(n) + 1.0).double().log()
    w[7, 0] = 40.0
    return w


@pytest.mark.parametrize(
    ("scheme", "u", "expected"),
    [
        # Weights 1, 2, 0, 1 of four slots: the cumulative shares are 1/4, 3/4, 3/4, 1.
        ("systematic", doubles(0.5)[0], [0, 1, 1, 3]),
        ("systematic", doubles(0.0)[0], [0, 1, 1, 3]),
        ("stratified", doubles(0.9, 0.1, 0.99, 0.0), [0, 1, 1, 3]),
        ("multinomial", doubles(0.8, 0.3, 0.1, 0.76), [0, 1, 3, 3]),
        ("residual", doubles(0.2, 0.3, 0.9, 0.5), [0, 1, 1, 3]),
    ],
)
def test_by_hand(backend: str, scheme: str, u: Tensor, expected: list[int]) -> None:
    w = doubles(1, 2, 0, 1).log()
    out = imh.smc_resample(w, resampling=scheme, uniforms=u)
    assert out.ancestor.tolist() == expected
    assert out.ess.item() == 16 / 6
    assert out.log_mean.item() == 0.0
    assert out.due.item() is True


def test_what_is_left_of_the_shares_by_hand(backend: str) -> None:
    # Weights 3, 2, 2 of three slots: 9/7, 6/7, 6/7. One copy of 0; remainders 2/7, 6/7, 6/7 of 2.
    w = doubles(3, 2, 2).log()

    def drawn(scheme: str, *u: float) -> list[int]:
        given = doubles(*u) if len(u) > 1 else doubles(*u)[0]
        return imh.smc_resample(w, resampling=scheme, uniforms=given).ancestor.tolist()

    assert drawn("residual", 0.1, 0.5, 0.0) == [0, 0, 1]
    assert drawn("residual", 0.15, 0.58, 0.0) == [0, 1, 2]
    assert drawn("residual", 0.999, 0.6, 0.0) == [0, 2, 2]
    # k/3 + u/3 against 3/7, 5/7, 1.
    assert drawn("systematic", 0.1) == [0, 0, 1]
    assert drawn("systematic", 0.5) == [0, 1, 2]
    assert drawn("stratified", 0.5, 0.5, 0.05) == [0, 1, 1]


def test_when_it_is_due(backend: str) -> None:
    w = doubles(1, 2, 0, 1).log()  # an effective size of 2.67 of 4
    for threshold, due in ((0.0, False), (0.66, False), (0.67, True), (1.0, True)):
        out = imh.smc_resample(w, threshold=threshold, seed=3)
        assert out.due.item() is due
        assert (out.ancestor.tolist() == [0, 1, 2, 3]) is not due
    equal = imh.smc_resample(torch.full((3, 7), -4.25), threshold=1.0)
    assert not equal.due.any()
    assert equal.ess.eq(7).all()
    assert equal.log_mean.eq(-4.25).all()
    dead = imh.smc_resample(torch.tensor([[-INF, -INF], [-INF, 0.0]]))
    assert dead.ess.tolist() == [0.0, 1.0]
    assert dead.log_mean.tolist() == [-INF, -math.log(2)]
    assert dead.due.tolist() == [False, True]
    assert dead.ancestor.tolist() == [[0, 1], [1, 1]]
    assert imh.smc_resample(doubles(-3.25)).log_mean.item() == -3.25


def by_integers(masses: list[int], scheme: str, r: list[int]) -> list[int]:
    """The rule of the specification on Python's integers."""
    n, total = len(masses), sum(masses)
    cumulative = [sum(masses[: i + 1]) for i in range(n)]
    if scheme in ("systematic", "stratified"):
        offset = [((r[0] if scheme == "systematic" else r[k]) * total) >> 64 for k in range(n)]
        return [
            next(i for i in range(n) if n * cumulative[i] > k * total + offset[k]) for k in range(n)
        ]
    copies, shares = [0] * n, masses
    if scheme == "residual":
        copies = [n * m // total for m in masses]
        shares = [n * m % total for m in masses]
    left, ends = n - sum(copies), [sum(shares[: i + 1]) for i in range(n)]
    for k in range(left):
        copies[next(i for i in range(n) if ends[i] > (r[k] * sum(shares)) >> 64)] += 1
    return [i for i in range(n) for _ in range(copies[i])]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n", [1, 2, 3, 31, 64, 150])
def test_every_decision_is_that_of_whole_numbers(n: int, scheme: str, backend: str) -> None:
    from aligndec.reference import exact

    weight = hostile(n)
    names = torch.arange(9)[:, None] * 2**33 + torch.arange(n)
    out = imh.smc_resample(weight, resampling=scheme, seed=-7, sequence_ids=names, positions=5)
    bits = rng.philox(-7, names, 5, 8)[0]
    for f in range(9):
        top = weight[f].amax()
        if top == -INF:
            continue
        relative = exact.exp64(weight[f] - top) * 2.0 ** (62 - n.bit_length())
        masses = [round(x) for x in relative.tolist()]
        squares = sum(m * m for m in masses)
        assert out.ess[f].item() == float(sum(masses) ** 2) / float(squares)
        mean = top.item() + math.log(sum(masses) / 2 ** (62 - n.bit_length()) / n)
        assert out.log_mean[f].item() == pytest.approx(mean, rel=1e-14, abs=1e-14)
        assert out.due[f].item() == (out.ess[f].item() < n)
        if out.due[f]:
            r = [b % 2**64 for b in bits[f].tolist()]
            assert out.ancestor[f].tolist() == by_integers(masses, scheme, r)


@pytest.mark.parametrize("given", ["philox", "named", "uniforms"])
@pytest.mark.parametrize("scheme", range(4))
@pytest.mark.parametrize("n", [1, 7, 200])
def test_kernels_are_the_reference_bit_for_bit(
    n: int, scheme: int, given: str, native: None, device: Kernels
) -> None:
    weight = hostile(n)
    names = positions = u = None
    if given == "named":
        names, positions = torch.arange(9 * n) * 2**34 - 3, torch.arange(9) * 7
    if given == "uniforms":
        shape = 9 if scheme == 0 else 9 * n
        u = torch.rand(shape, generator=generator(3), dtype=torch.float64)
        u[::3] = 0.0
    for threshold in (1.0, 0.4):
        args = (weight, threshold, scheme, -12345, names, 11, positions, u)
        expected = reference.smc_resample(*args)
        for found in (torch.ops.aligndec.smc_resample.default(*args), device.smc_resample(*args)):
            for a, b in zip(found, expected, strict=True):
                assert torch.equal(a, b)
    if n > 1:
        assert 2 < int(expected[3].sum()) < 9


@pytest.mark.parametrize("scheme", SCHEMES)
def test_copies_are_right_on_average(scheme: str) -> None:
    """Over a grid of uniforms a particle gets N w / Σ w slots; 1 % more would show."""
    weight = doubles(0.5, 3.0, 0.0, 1.0, 1.7).log()
    n, points = 5, 20_000
    u = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    if scheme != "systematic":
        order = [torch.randperm(points, generator=generator(k)) for k in range(n)]
        u = torch.stack([u[o] for o in order], 1)
    out = imh.smc_resample(weight.expand(points, n), resampling=scheme, uniforms=u)
    copies = torch.nn.functional.one_hot(out.ancestor, n).sum(1)
    expected = n * weight.exp() / weight.exp().sum()
    assert torch.allclose(copies.double().mean(0), expected, atol=2e-3)
    assert not torch.allclose(copies.double().mean(0), expected * 1.01, atol=2e-3)
    assert (out.ancestor.diff(dim=1) >= 0).all()
    if scheme == "systematic":
        assert (copies >= expected.floor()).all()
        assert (copies <= expected.ceil()).all()
    if scheme == "residual":
        assert (copies >= expected.floor()).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_filter_does_not_depend_on_the_others(scheme: str, backend: str) -> None:
    weight = hostile(40)
    names = torch.arange(9) * 2**32 + 64
    seed = {"seed": 9 + 2**64, "resampling": scheme, "threshold": 0.7}
    whole = imh.smc_resample(weight, sequence_ids=names, positions=torch.arange(9), **seed)
    order = torch.randperm(9, generator=generator(4))
    torch.set_num_threads(2)
    mixed = imh.smc_resample(
        weight[order].view(3, 3, 40),
        sequence_ids=names[order].view(3, 3),
        positions=order.view(3, 3),
        **seed,
    )
    for a, b in zip(mixed, whole, strict=True):
        assert torch.equal(a.flatten(0, 1), b[order])
    alone = imh.smc_resample(weight[8], sequence_ids=names[8], positions=8, **seed)
    slots = names[8] + torch.arange(40)
    for again in (alone, imh.smc_resample(weight[8], sequence_ids=slots, positions=8, **seed)):
        assert torch.equal(again.ancestor, whole.ancestor[8])
    first = imh.smc_resample(weight, **seed)
    counted = imh.smc_resample(weight, sequence_ids=torch.arange(360).view(9, 40), **seed)
    assert torch.equal(first.ancestor, counted.ancestor)
    other = imh.smc_resample(weight, **{**seed, "seed": 8})
    assert not torch.equal(other.ancestor, first.ancestor)


@pytest.mark.parametrize(
    ("weight", "kwargs", "message"),
    [
        (torch.tensor([0.0, INF]), {}, r"log_weight must be finite or -inf, got inf at \[1\]"),
        (torch.tensor([0.0, math.nan]), {}, r"log_weight must be finite or -inf, got nan at \[1\]"),
        (torch.zeros(3, 0), {}, r"log_weight must be \[..., N\] with N >= 1"),
        (torch.zeros(3), {"threshold": 1.5}, r"threshold must be in \[0, 1\], got 1.5"),
        (torch.zeros(3), {"threshold": math.nan}, r"threshold must be in \[0, 1\], got nan"),
        (torch.zeros(3), {"resampling": "best"}, "resampling must be one of .*, got 'best'"),
        (torch.zeros(3), {"positions": 1.0}, "positions must be an int, got 1.0"),
        (torch.zeros(2, 3), {"positions": torch.zeros(3).long()}, "positions must be int64"),
        (torch.zeros(2, 3), {"sequence_ids": torch.zeros(3).long()}, "sequence_ids must be int64"),
        (torch.zeros(2, 3), {"uniforms": torch.zeros(2, 3).double()}, r"must be float64 \[2\]"),
        (
            torch.zeros(2, 3),
            {"uniforms": torch.ones(2, 3).double(), "resampling": "stratified"},
            r"uniforms must be in \[0, 1\), got 1.0",
        ),
    ],
)
def test_refusals(weight: Tensor, kwargs: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^imh.smc_resample: .*{message}"):
        imh.smc_resample(weight, **kwargs)
