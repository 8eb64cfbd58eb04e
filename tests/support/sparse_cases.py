"""Sparse rows for the tests: random biases and kept sets, and one comparison of two steps."""

import torch
from support.cases import EXACT, FLOATS, INF, rng
from torch import Tensor

import aligndec as ad

FEW = {  # one adaptor of every way in which a kept set is found and held
    "identity": {},
    "greedy": {"temperature": 0.0},
    "warm": {"temperature": 1.3},
    "top_k": {"top_k": 5},
    "top_p": {"top_p": 0.9},
    "cold_min_p": {"temperature": 0.7, "min_p": 0.05},
    "typical": {"typical_p": 0.6},
    "warm_typical_base": {"temperature": 1.3, "typical_p": 0.7, "cut_on": "base"},
    "freezing_typical_base": {"temperature": 1e-2, "typical_p": 0.3, "cut_on": "base"},
    "sigma": {"top_n_sigma": 1.0},
    "chain": {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "eta_cutoff": 2e-3},
}


def few() -> list[ad.Adaptor]:
    return [ad.Adaptor(**fields) for fields in FEW.values()]


def scaled(adaptors: list[ad.Adaptor]) -> list[ad.Adaptor]:
    """What is left of adaptors where the sets are given."""
    return [ad.Adaptor(temperature=a.temperature) for a in adaptors]


def random_bias(
    rows: int, vocab: int, seed: int, most: int = 8, scale: float = 3.0
) -> ad.LogitBias:
    """Up to `most` entries a row, a fifth of them −inf; never one for each token of a row."""
    g, parts, values = rng(seed), [], []
    for _ in range(rows):
        n = int(torch.randint(0, min(most, vocab - 1) + 1, (1,), generator=g))
        parts.append(torch.randperm(vocab, generator=g)[:n].sort().values.int())
        value = scale * torch.randn(n, generator=g)
        values.append(value.masked_fill(torch.rand(n, generator=g) < 0.2, -INF))
    lengths = torch.tensor([0, *(len(p) for p in parts)])
    return ad.LogitBias(torch.cat(parts), lengths.cumsum(0), torch.cat(values))


def random_sets(rows: int, vocab: int, seed: int, most: int = 9) -> ad.KeptSets:
    """Up to `most` ids a row, some rows empty, about one in six not complete."""
    g = rng(seed)
    sizes = torch.randint(0, min(most, vocab) + 1, (rows,), generator=g).tolist()
    sets = ad.KeptSets.from_lists([torch.randperm(vocab, generator=g)[:n].tolist() for n in sizes])
    return sets._replace(complete=torch.rand(rows, generator=g) < 0.85)


def edited(x: Tensor, bias: ad.LogitBias) -> Tensor:
    """The logits with the bias written into them: float32, one addition."""
    z = x.float().clone()
    for row, (a, b) in enumerate(zip(bias.offsets[:-1], bias.offsets[1:], strict=True)):
        z[row, bias.ids[a:b].long()] += bias.values[a:b]
    return z


def assert_same(actual: ad.Step, expected: ad.Step, what: object, *, ulps: float = 0.0) -> None:
    """Equal fields; floats within some ulps of a number of order one."""
    for name in EXACT:
        assert torch.equal(getattr(actual, name), getattr(expected, name)), (what, name)
    for name in FLOATS:
        a, b = getattr(actual, name), getattr(expected, name)
        close = (a == b) | (a.isnan() & b.isnan())
        close |= (a - b).abs() <= ulps * 2.0**-52 * b.abs().clamp(min=1.0)
        assert bool(close.all()), (what, name, a[~close][:3], b[~close][:3])
