"""Philox and the integer steps of a draw: known answers, the torch twins, exact arithmetic."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from support import native

from aligndec import rng

MASK = (1 << 64) - 1
# Random123's known answers for philox4x32-10: key and counter all zeros, all ones, digits of pi.
KNOWN = {
    (0, 0, 0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    (MASK, MASK, MASK >> 32, MASK >> 32): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    (0x299F31D0A4093822, 0x85A308D3243F6A88, 0x13198A2E, 0x03707344): (
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    ),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return native.build(tmp_path_factory.mktemp("rng"), "baseline")


def as_torch(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.view(np.int64).copy())


def unsigned(r: torch.Tensor) -> int:
    return int(r) & MASK


def plain_philox(seed: int, sequence: int, position: int, stream: int) -> tuple[int, int]:
    """Philox4x32-10 in Python integers, written from the paper's round function."""
    m32 = (1 << 32) - 1
    c = [sequence & m32, sequence >> 32, position, stream]
    k = [seed & m32, seed >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & m32, (p >> 32) ^ c[3] ^ k[1], p & m32]
        k = [(k[0] + 0x9E3779B9) & m32, (k[1] + 0xBB67AE85) & m32]
    return c[0] | c[1] << 32, c[2] | c[3] << 32


@pytest.mark.parametrize("arguments", KNOWN)
def test_known_answers(arguments: tuple[int, int, int, int]) -> None:
    o = KNOWN[arguments]
    want = (o[0] | o[1] << 32, o[2] | o[3] << 32)
    assert plain_philox(*arguments) == want
    seed, sequence, position, stream = arguments
    r, r2 = rng.philox(seed, sequence, position, stream)
    assert (unsigned(r), unsigned(r2)) == want


def test_known_answers_in_cpp(program: Path) -> None:
    lines = native.run(program, "kat").splitlines()
    assert [tuple(int(w, 16) for w in line.split()) for line in lines] == list(KNOWN.values())


def test_the_twin_has_the_same_bits(program: Path) -> None:
    g = np.random.default_rng(1)
    count = 1_000_000
    x = g.integers(0, 2**64, (count, 4), dtype=np.uint64)
    x[:, 2] >>= np.uint64(32)
    x[:, 3] = 5
    x[: count // 2, 0] = x[0, 0]
    r, r2 = rng.philox(as_torch(x[:, 0]), as_torch(x[:, 1]), as_torch(x[:, 2]), rng.ROLLOUT)
    want = native.dump(program, "philox", x, np.uint64).reshape(-1, 2)
    np.testing.assert_array_equal(torch.stack([r, r2], 1).numpy().view(np.uint64), want)
    for i in range(0, count, 50_000):
        assert plain_philox(*map(int, x[i])) == tuple(map(int, want[i]))
    # Negative control: one key word off changes half of the bits.
    other, _ = rng.philox(as_torch(x[:, 0] ^ np.uint64(1)), as_torch(x[:, 1]), 0, rng.ROLLOUT)
    assert (other != r).all()
    u = rng.uniform(r).numpy()
    np.testing.assert_array_equal(u, native.dump(program, "uniform", want[:, 0].copy(), np.float64))
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1


def test_seeds_are_taken_mod_2_64() -> None:
    for seed in (-1, 2**63, 2**64 + 5, -(2**70) + 3):
        a, b = rng.philox(seed, 7, 3, rng.TOKEN), rng.philox(seed % 2**64, 7, 3, rng.TOKEN)
        assert torch.equal(a[0], b[0])
        tensor = torch.tensor([rng.signed64(seed)])
        assert rng.philox(tensor, 7, 3, rng.TOKEN)[0].tolist() == [int(a[0])]
        assert rng.signed64(seed) % 2**64 == seed % 2**64
    assert [rng.signed64(v) for v in (2**63 - 1, 2**63, -1)] == [2**63 - 1, -(2**63), -1]


def test_shapes_broadcast_and_do_not_matter() -> None:
    ids = torch.arange(6)
    r, r2 = rng.philox(3, ids[:, None], torch.arange(4), rng.SIR)
    assert r.shape == r2.shape == (6, 4)
    assert r.dtype == torch.int64
    assert torch.equal(r[4, 2], rng.philox(3, 4, 2, rng.SIR)[0])
    assert len(set(r.flatten().tolist()) | set(r2.flatten().tolist())) == 48
    assert rng.philox(3, ids[:0], 0, rng.SIR)[0].shape == (0,)


def test_streams_are_distinct_and_child_seeds_are_their_bits() -> None:
    streams = [rng.TOKEN, rng.CHAIN, rng.RESCORE, rng.REJECTION]
    streams += [rng.ROLLOUT, rng.CANDIDATE, rng.SIR]
    assert streams == [0, 1, 3, 4, 5, 6, 7]
    ids = torch.arange(3)
    drawn = [rng.child_seed(11, ids, 2, s) for s in streams]
    assert len({v for t in drawn for v in t.tolist()}) == 3 * len(streams)
    assert torch.equal(drawn[-1], rng.philox(11, ids, 2, rng.SIR)[0])
    below = rng.philox(drawn[0], torch.arange(5)[:, None], 0, rng.ROLLOUT)[0]
    assert unsigned(below[4, 1]) == plain_philox(unsigned(drawn[0][1]), 4, 0, rng.ROLLOUT)[0]


def test_bits_of_a_uniform_are_its_floor(program: Path) -> None:
    g = np.random.default_rng(2)
    u = np.concatenate(
        [
            g.random(1_000_000),
            g.random(10_000) * 0.5 ** g.integers(0, 80, 10_000),
            [0.0, 5e-324, 2.0**-64, 0.5, 1 - 2.0**-53, np.nextafter(2.0**-64, 0)],
        ]
    )
    got = rng.bits_from_uniform(torch.from_numpy(u))
    want = native.dump(program, "bits", u, np.uint64)
    np.testing.assert_array_equal(got.numpy().view(np.uint64), want)
    for i in [*range(0, 1_000_000, 1_000), *range(1_000_000, len(u))]:
        assert int(want[i]) == math.floor(Fraction(u[i]) * 2**64)
    multiples = np.floor(u * 2.0**53) * 2.0**-53
    np.testing.assert_array_equal(rng.uniform(got).numpy(), multiples)


def test_draw_target_is_exact(program: Path) -> None:
    g = np.random.default_rng(3)
    x = g.integers(0, 2**64, (20_000, 2), dtype=np.uint64)
    x[:4] = [[MASK, MASK], [0, 5], [MASK, 1], [MASK, 0]]
    got = native.dump(program, "target", x, np.uint64)
    assert [int(v) for v in got] == [int(r) * int(w) >> 64 for r, w in x]


def test_ceil_scaled_is_exact(program: Path) -> None:
    g = np.random.default_rng(4)
    p = np.concatenate(
        [
            g.random(20_000),
            g.random(20_000) * 0.5 ** g.integers(0, 140, 20_000),
            g.integers(1, 1 << 10, 10_000) / (1 << 10),
            [0.0, 5e-324, 2.0**-1022, 2.0**-64, 2.0**-63, 2.0**-65, 0.9, 1 - 2.0**-53, 1.0],
        ]
    )
    mass = g.integers(0, 2**64, len(p), dtype=np.uint64) >> g.integers(0, 60, len(p)).astype(
        np.uint64
    )
    mass[-9:] = MASK
    mass[:3] = [0, 1, MASK]
    x = np.empty(len(p), dtype=[("p", np.float64), ("mass", np.uint64)])
    x["p"], x["mass"] = p, mass
    got = native.dump(program, "ceil", x, np.uint64)
    assert [int(v) for v in got] == [
        math.ceil(Fraction(a) * int(b)) for a, b in zip(p, mass, strict=True)
    ]
    # Negative control: the product in float64 is not the answer.
    rounded = np.ceil(p[:20_000] * mass[:20_000].astype(np.float64))
    assert (rounded != got[:20_000].astype(np.float64)).any()
