"""exp32, log and their torch twins: every float, every instruction set, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support import native

from aligndec.reference import exact

FIRST, LAST = 0x80000000, 0xC2700000  # bits of -0 and -60: in this order the floats fall


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exact_math")
    baseline = native.build(folder, "baseline")
    others = [v for v in native.variants(baseline) if v != "baseline"]
    return {"baseline": baseline} | {v: native.build(folder, v) for v in others}


@pytest.fixture(scope="module")
def best(programs: dict[str, Path]) -> Path:
    """The build that is fastest here; every build has the same bits."""
    return programs.get("avx512f") or programs.get("avx2") or programs["baseline"]


def stride_of(program: Path) -> int:
    """Every float where the build has FMA instructions; without them fmaf is a libm call."""
    return 17 if "baseline" in program.name else 1


def sweep(program: Path, form: str, stride: int, errors: int, **env: str) -> dict[str, str]:
    return native.fields(native.run(program, "exp", form, stride, errors, **env))


def float32_inputs(count: int, seed: int) -> np.ndarray:
    """Floats in [-60, 0], half uniform in bits and half in value, with the ends."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(FIRST, LAST + 1, count // 2, dtype=np.uint32).view(np.float32)
    values = (-60 * rng.random(count // 2)).astype(np.float32)
    ends = np.array([0.0, -0.0, -60.0, np.nextafter(np.float32(-60), np.float32(0))], np.float32)
    return np.concatenate([bits, values, ends])


def test_exp32_is_monotone_and_accurate_on_every_float(best: Path) -> None:
    got = sweep(best, "exp32", stride_of(best), 1)
    assert int(got["count"]) == (LAST - FIRST) // stride_of(best) + 1
    assert int(got["inversions"]) == 0
    assert 5e-8 < float(got["worst"]) <= 1e-7  # half an ulp near 1 is 6e-8: less would be a lie
    assert float.fromhex(got["zero"]) == 1.0


def test_horner_down_to_the_constant_inverts_the_order(best: Path) -> None:
    """Negative control: the sweep sees the inversions that the last step of exp32 avoids."""
    if stride_of(best) != 1:
        pytest.skip("inversions between neighbours need the full sweep, so FMA instructions")
    assert int(sweep(best, "horner", 1, 0)["inversions"]) > 1000


def test_ln2_as_one_constant_is_not_accurate(best: Path) -> None:
    """Negative control: the sweep sees the error that the second constant takes away."""
    assert float(sweep(best, "one_constant", 17, 1)["worst"]) > 2e-7


def test_exp32_has_the_same_bits_on_every_instruction_set(programs: dict[str, Path]) -> None:
    full = {sweep(p, "exp32", 1, 0)["checksum"] for v, p in programs.items() if v != "baseline"}
    assert len(full) <= 1
    sampled = {sweep(p, "exp32", 17, 0)["checksum"] for p in programs.values()}
    assert len(sampled) == 1
    # libm's fmaf itself picks instructions at run time; glibc can be told to do without.
    plain = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"}
    soft = sweep(programs["baseline"], "exp32", 101, 0, **plain)
    assert soft["checksum"] == sweep(programs["baseline"], "exp32", 101, 0)["checksum"]
    # Negative control: the checksum tells forms apart that differ in the last bit.
    assert sweep(programs["baseline"], "horner", 101, 0)["checksum"] != soft["checksum"]


def test_logarithms_are_within_one_ulp_and_the_same_everywhere(programs: dict[str, Path]) -> None:
    count = 10_000_000
    got = native.fields(native.run(programs["baseline"], "log", count, 1))
    if int(got["digits"]) < 64:
        pytest.skip("long double is no wider than double here")
    assert 0.5 <= float(got["log"]) < 1.0
    assert 0.5 <= float(got["log1p"]) < 1.0
    for program in programs.values():
        other = native.fields(native.run(program, "log", count, 0))
        assert other["checksum"] == got["checksum"]


def test_the_twin_of_exp32_has_the_same_bits(programs: dict[str, Path]) -> None:
    t = float32_inputs(1_000_000, 1)
    twin = exact.exp32(torch.from_numpy(t)).numpy()
    for program in programs.values():
        want = native.dump(program, "exp32", t, np.float32)
        np.testing.assert_array_equal(twin.view(np.uint32), want.view(np.uint32))
    error = np.abs(twin / np.exp(t.astype(np.float64)) - 1)
    assert error.max() <= 1e-7
    # Negative control: torch's own exponential is another function.
    assert (torch.from_numpy(t).exp().numpy() != twin).any()


def exp64_inputs() -> np.ndarray:
    rng = np.random.default_rng(5)
    any_bits = -rng.integers(0, 0x4086300000000000, 300_000, dtype=np.int64).view(np.float64)
    values = np.concatenate([-rng.random(300_000) * scale for scale in (708.0, 40.0, 1.0)])
    edges = [0.0, -0.0, -708.0, np.nextafter(-708.0, -np.inf), -1e308, -np.inf, -5e-324]
    return np.concatenate([any_bits, values, edges])


def test_exp64_is_within_an_ulp() -> None:
    t = exp64_inputs()
    got = exact.exp64(torch.from_numpy(t)).numpy()
    # The oracle has 64 bits of mantissa on x86 and at least 53 elsewhere.
    want = np.exp(t.astype(np.longdouble))
    live = t >= -708.0
    error = np.abs(got[live] - want[live]) / np.spacing(got[live])
    assert 0.4 < error.max() <= 1.0
    assert (got[~live] == 0).all()
    assert (got[t == 0] == 1).all()
    order = np.argsort(t)
    inversions = np.diff(got[order]) < 0
    assert not inversions.any()


def log_inputs() -> np.ndarray:
    rng = np.random.default_rng(2)
    any_bits = rng.integers(0, 0x7FF0000000000000, 500_000, dtype=np.int64).view(np.float64)
    masses = rng.integers(1, 2**63, 400_000).astype(np.float64) * 2.0**-43
    near = 1 + (rng.random(200_000) - 0.5) * 0.5 ** rng.integers(0, 52, 200_000)
    tiny = rng.integers(0, 2**52, 50_000, dtype=np.int64).view(np.float64)
    edges = np.array([0.0, -0.0, 1.0, -1.0, -1e-310, np.inf, -np.inf, np.nan, 5e-324, 1.7e308])
    return np.concatenate([any_bits, masses, near, tiny, edges])


def log1p_inputs() -> np.ndarray:
    rng = np.random.default_rng(3)
    any_bits = -rng.integers(0, 0x3FF0000000000000, 500_000, dtype=np.int64).view(np.float64)
    values = -rng.random(600_000)
    edges = [0.0, -0.0, -1.0, -1.5, 1e-9, np.nan, -np.inf, np.inf, -5e-324, -1 + 2.0**-53]
    return np.concatenate([any_bits, values, edges])


@pytest.mark.parametrize(
    ("name", "twin", "inputs"),
    [
        ("log", exact.log, log_inputs),
        ("log1p", exact.log1p_negative, log1p_inputs),
        ("exp64", exact.exp64, exp64_inputs),
    ],
)
def test_the_float64_twins_have_the_same_bits(
    programs: dict[str, Path],
    name: str,
    twin: Callable[[torch.Tensor], torch.Tensor],
    inputs: Callable[[], np.ndarray],
) -> None:
    x = inputs()
    got = twin(torch.from_numpy(x)).numpy()
    for program in programs.values():
        want = native.dump(program, name, x, np.float64)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        number = ~np.isnan(got)
        same = got[number].view(np.uint64) == want[number].view(np.uint64)
        assert same.all()


def test_logarithms_keep_their_contract_at_the_ends() -> None:
    inf = torch.inf
    x = torch.tensor([0.0, -0.0, 1.0, inf, -1.0, torch.nan, 5e-324], dtype=torch.float64)
    got = exact.log(x)
    assert got[:4].tolist() == [-inf, -inf, 0.0, inf]
    assert not torch.signbit(got[2])
    assert torch.isnan(got[4:6]).all()
    assert got[6].item() == pytest.approx(-1074 * np.log(2), rel=1e-15)
    y = exact.log1p_negative(torch.tensor([0.0, -0.0, -1.0, -2.0, 0.5], dtype=torch.float64))
    assert y[:3].tolist() == [0.0, 0.0, -inf]
    assert not torch.signbit(y[:2]).any()
    assert torch.isnan(y[3:]).all()


def test_logarithms_take_any_shape() -> None:
    assert exact.log(torch.tensor(1.0, dtype=torch.float64)).shape == ()
    assert exact.log1p_negative(torch.zeros(0, 3, dtype=torch.float64)).shape == (0, 3)
    grid = torch.rand(4, 6, dtype=torch.float64)
    assert torch.equal(exact.log(grid.T), exact.log(grid.T.contiguous()))
    assert torch.equal(exact.exp32(-grid.float().T), exact.exp32(-grid.float()).T)


def test_fma32_rounds_once(best: Path) -> None:
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2**32, (1_000_000, 3), dtype=np.uint32)
    # Near neighbours in magnitude, where a sum rounds twice if it can.
    close = bits & np.uint32(0x80FFFFFF) | np.uint32(0x3F000000)
    a, b = np.float32(1 + 2.0**-23), np.float32(1 - 2.0**-23)
    one_odd = np.float32(1 + 2.0**-23)
    hard = np.array([[a * np.float32(2.0**-12), b * np.float32(2.0**-12), one_odd]], np.float32)
    x = np.concatenate([bits.view(np.float32), close.view(np.float32), hard])
    x = x[np.isfinite(x).all(1)]
    parts = [torch.from_numpy(x[:, i].copy()) for i in range(3)]
    got = exact.fma32(*parts).numpy()
    want = native.dump(best, "fma32", x, np.float32)
    assert len(x) > 1_900_000
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    number = ~np.isnan(got)
    assert (got[number].view(np.uint32) == want[number].view(np.uint32)).all()
    # Negative control: without rounding to odd the hard case rounds twice.
    naive = (parts[0].double() * parts[1].double() + parts[2].double()).float().numpy()
    assert naive[-1] != want[-1]
