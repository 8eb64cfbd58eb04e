"""The draw and the top_p cut in exact arithmetic: integers on one side, the step on the other."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from support.cases import INF, randn, rng
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

pytestmark = pytest.mark.usefixtures("backend")

STEP = 2.0**-53
MASK32 = 2**32 - 1
ROWS = {
    "random": randn(1, 23, 1),
    "one_token": torch.zeros(1, 1),
    "two_tokens": torch.tensor([[0.0, -20.0]]),
    "ties": randn(1, 40, 2).round(),
    "holes": randn(1, 40, 3).masked_fill(randn(1, 40, 4) > 0, -INF),
    "weightless": torch.tensor([[-70.0, 0.0, -65.0, -1.0, -30.0, -61.0]]),
    "rounded_to_one_unit": torch.tensor([[0.0, -29.8, -30.0, -29.9]]),
    "large": randn(1, 900, 5),
}
LAWS = {
    "identity": {},
    "cold": {"temperature": 0.7},
    "warm_top_p": {"temperature": 1.3, "top_p": 0.8},
    "top_k": {"top_k": 4},
    "typical": {"typical_p": 0.5},
    "base": {"temperature": 0.5, "min_p": 0.01, "cut_on": "base"},
}


def weights(row: Tensor, temperature: float) -> list[int]:
    """Integer weight of each token: the mass of a two-token row less that of its maximum.

    A weight depends on the distance to the maximum only, so it is that of the whole row as well.
    """
    pairs = torch.stack((row.amax().expand_as(row), row), 1)
    total, _ = masses(pairs, ad.Adaptor(temperature=temperature))
    return (total - 2**43).tolist()


def draw(row: Tensor, u: list[float], adaptor: ad.Adaptor) -> list[int]:
    x = row.expand(len(u), -1)
    return ad.sample(x, adaptor, uniforms=torch.tensor(u, dtype=torch.float64)).token.tolist()


def kept_weights(row: Tensor, adaptor: ad.Adaptor) -> list[int]:
    mask = ad.kept_mask(row, adaptor)[0].tolist()
    w = weights(row[0], adaptor.temperature)
    kept = [a if inside else 0 for a, inside in zip(w, mask, strict=True)]
    total, kept_mass = (m.item() for m in masses(row, adaptor))
    assert sum(w) == total
    assert sum(kept) == kept_mass
    return kept


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ROWS)
def test_interval_of_each_token_is_its_integer_weight(name: str, law: str) -> None:
    """The uniform just on and just below each boundary falls to either side of it."""
    row, adaptor = ROWS[name], ad.Adaptor(**LAWS[law])
    kept = kept_weights(row, adaptor)
    total = sum(kept)
    ids = [i for i, w in enumerate(kept) if w > 0]
    u, expected, below = [0.0], [ids[0]], 0
    for token, following in itertools.pairwise(ids):
        below += kept[token]
        on = math.ceil(Fraction(below, total) * 2**53)
        assert on < 2**53
        u += [on * STEP, (on - 1) * STEP]
        expected += [following, token]
    u.append(1 - STEP)
    expected.append(ids[-1])
    assert draw(row, u, adaptor) == expected


@pytest.mark.parametrize("law", LAWS)
def test_random_uniforms_follow_the_integers(law: str) -> None:
    row, adaptor = ROWS["large"], ad.Adaptor(**LAWS[law])
    kept = torch.tensor(kept_weights(row, adaptor))
    total = int(kept.sum())
    u = torch.rand(300, generator=rng(8), dtype=torch.float64).tolist()
    target = torch.tensor([math.floor(Fraction(a) * total) for a in u])
    expected = torch.searchsorted(kept.cumsum(0), target, right=True)
    assert draw(row, u, adaptor) == expected.tolist()


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 of Salmon et al. (2011), in Python integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (second >> 32) ^ c1 ^ k0,
            second & MASK32,
            (first >> 32) ^ c3 ^ k1,
            first & MASK32,
        )
        k0, k1 = (k0 + 0x9E3779B9) & MASK32, (k1 + 0xBB67AE85) & MASK32
    return c0, c1, c2, c3


def token_bits(seed: int, sequence: int, position: int) -> int:
    seed %= 2**64
    words = (sequence & MASK32, sequence >> 32, position, 0)
    o = philox(words, (seed & MASK32, seed >> 32))
    return o[0] | o[1] << 32


def test_philox_of_this_file_has_the_published_values() -> None:
    out = philox((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))
    assert out == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
    assert philox((0,) * 4, (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**70 + 12345])
@pytest.mark.parametrize("position", [0, 5, 2**31])
def test_bits_of_a_draw(seed: int, position: int) -> None:
    """A token is a function of (seed, sequence id, position) by the published generator."""
    row = randn(1, 64, 6, 1.0)
    kept = torch.tensor(kept_weights(row, ad.Adaptor()))
    total = int(kept.sum())
    sequences = [0, 1, 7, 2**32 - 1, 2**32, 5 * 2**32 + 3, 2**62]
    target = torch.tensor([token_bits(seed, s, position) * total >> 64 for s in sequences])
    expected = torch.searchsorted(kept.cumsum(0), target, right=True).tolist()
    x, ids = row.expand(len(sequences), -1), torch.tensor(sequences)
    assert ad.sample(x, seed=seed, sequence_ids=ids, positions=position).token.tolist() == expected
    if -(2**63) <= seed < 2**63:
        step = ad.sample(
            x,
            seed=torch.full((len(sequences),), seed),
            sequence_ids=ids,
            positions=torch.full((len(sequences),), position),
        )
        assert step.token.tolist() == expected


def test_defaults_come_from_the_state() -> None:
    x = randn(1, 64, 7, 1.0).expand(6, -1)
    ids = torch.arange(6) * 11 + 2**33
    state = ad.SequenceState.start(6, sequence_ids=ids)
    for position in range(3):
        step = ad.sample(x, seed=3, state=state)
        explicit = ad.sample(x, seed=3, sequence_ids=ids, positions=position)
        assert torch.equal(step.token, explicit.token)
    # What is passed wins over the state.
    step = ad.sample(x, seed=3, state=state, positions=0, sequence_ids=ids + 1)
    assert torch.equal(step.token, ad.sample(x, seed=3, sequence_ids=ids + 1, positions=0).token)
    assert torch.equal(
        ad.sample(x, seed=3, positions=2).token,
        ad.sample(x, seed=3, sequence_ids=torch.arange(6), positions=2).token,
    )


@pytest.mark.parametrize("cut_on", ["scaled", "base"])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.3])
def test_top_p_at_the_last_bit(temperature: float, cut_on: str) -> None:
    """For each prefix of the row: the top_p next to its mass, on the float grid, cuts exactly."""
    row = randn(1, 17, 9, 1.5)
    w = weights(row[0], 1.0 if cut_on == "base" else temperature)
    total = sum(w)
    order = row[0].argsort(descending=True).tolist()
    above = 0
    for token in order[:-1]:
        above += w[token]
        nearest = above / total
        for top_p in (math.nextafter(nearest, 0), nearest, math.nextafter(nearest, 1)):
            target, before, expected = Fraction(top_p) * total, 0, set()
            for other in order:
                if before < target:
                    expected.add(other)
                before += w[other]
            adaptor = ad.Adaptor(temperature=temperature, top_p=top_p, cut_on=cut_on)
            actual = set(ad.kept_mask(row, adaptor)[0].nonzero()[:, 0].tolist())
            assert actual == expected, (token, top_p)


@pytest.mark.parametrize("n", [3, 10, 64])
def test_top_p_drops_tokens_without_weight(n: int) -> None:
    """The heavy tokens hold the whole integer mass, so no top_p below 1 reaches the others."""
    x = torch.cat((torch.zeros(n), torch.full((1,), -INF), torch.full((5,), -61.0)))[None]
    for top_p in (0.1, 0.3, 1 - 2.0**-53):
        kept = ad.kept_mask(x, ad.Adaptor(top_p=top_p))[0]
        assert kept.nonzero()[:, 0].tolist() == list(range(n))
