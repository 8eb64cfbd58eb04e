"""Inputs shared by the suite: hostile logits, layouts, adaptors, and how two steps are compared."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

import aligndec as ad

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIZES = (1, 2, 31, 32, 33, 1023, 1025)
LARGE_SIZES = (128256, 262144)
INF, NAN = math.inf, math.nan
EXACT = ("token", "n_kept", "status")
FLOATS = ("log_p", "log_q", "log_z", "log_kept", "entropy", "kl")
SUMS = ("sum_log_p", "sum_log_q", "sum_log_z", "sum_log_kept", "sum_kl")

# Every field alone, on both sides of what it can do, then chains in both orders of scale and cut.
ADAPTORS: dict[str, dict[str, float | int | str]] = {
    "identity": {},
    "greedy": {"temperature": 0.0, "top_k": 3, "typical_p": 0.2},
    "cold": {"temperature": 0.5},
    "freezing": {"temperature": 1e-3},
    "warm": {"temperature": 1.3},
    "boiling": {"temperature": 1e3},
    "top_k": {"top_k": 5},
    "top_1": {"top_k": 1},
    "top_all": {"top_k": 1 << 21},
    "warm_top_all": {"temperature": 1.3, "top_k": 1 << 21},
    "top_p": {"top_p": 0.9},
    "top_p_low": {"top_p": 0.3},
    "top_p_tiny": {"top_p": 1e-8},
    "top_p_almost": {"top_p": 1 - 1e-8},
    "min_p": {"min_p": 0.05},
    "min_p_one": {"min_p": 1.0},
    "typical": {"typical_p": 0.9},
    "typical_low": {"typical_p": 0.2},
    "epsilon": {"epsilon_cutoff": 3e-3},
    "epsilon_high": {"epsilon_cutoff": 0.9},
    "eta": {"eta_cutoff": 3e-3},
    "sigma": {"top_n_sigma": 1.0},
    "sigma_low": {"top_n_sigma": 0.01},
    "top_a": {"top_a": 0.2},
    "top_a_one": {"top_a": 1.0},
    "warm_top_a": {"temperature": 1.3, "top_a": 0.05},
    "cold_top_a_base": {"temperature": 0.7, "top_a": 0.1, "cut_on": "base"},
    "typical_top_a": {"typical_p": 0.4, "top_a": 0.6},
    "p_less": {"p_less": 2.0},
    "p_less_third": {"p_less": 3.0},
    "cold_p_less": {"temperature": 0.6, "p_less": 1.5},
    "warm_p_less_base": {"temperature": 1.3, "p_less": 2.0, "cut_on": "base"},
    "typical_p_less": {"typical_p": 0.5, "p_less": 2.0},
    "top_k_p_less": {"top_k": 12, "p_less": 64.0},
    "top_h": {"top_h": 0.4},
    "top_h_low": {"top_h": 1e-9},
    "top_h_almost": {"top_h": 1 - 1e-9},
    "top_h_one": {"top_h": 1.0},
    "cold_top_h": {"temperature": 0.6, "top_h": 0.7},
    "warm_top_h_base": {"temperature": 1.3, "top_h": 0.6, "cut_on": "base"},
    "typical_top_h": {"typical_p": 0.3, "top_h": 0.5},
    "cold_top_p": {"temperature": 0.7, "top_p": 0.9},
    "cold_top_p_base": {"temperature": 0.7, "top_p": 0.9, "cut_on": "base"},
    "warm_typical": {"temperature": 1.3, "typical_p": 0.7},
    "warm_typical_base": {"temperature": 1.3, "typical_p": 0.7, "cut_on": "base"},
    "cold_eta": {"temperature": 0.5, "eta_cutoff": 2e-3},
    "k_p_min": {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05},
    "k_p_min_base": {
        "temperature": 1.3,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.05,
        "cut_on": "base",
    },
    "p_typical_eps": {"top_p": 0.95, "typical_p": 0.8, "epsilon_cutoff": 2e-3},
    "all": {
        "temperature": 1.3,
        "top_k": 300,
        "top_p": 0.97,
        "min_p": 0.001,
        "typical_p": 0.95,
        "epsilon_cutoff": 1e-4,
        "eta_cutoff": 1e-4,
        "top_n_sigma": 2.0,
        "p_less": 1.5,
        "top_h": 0.9,
        "top_a": 1e-3,
    },
}


def adaptors() -> list[ad.Adaptor]:
    """Every adaptor of the list."""
    return [ad.Adaptor(**fields) for fields in ADAPTORS.values()]


def rng(seed: int) -> torch.Generator:
    """A generator of its own for every input."""
    return torch.Generator().manual_seed(seed)


def randn(rows: int, vocab: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    """Gaussian logits."""
    return scale * torch.randn(rows, vocab, generator=rng(seed))


def uniforms(rows: int, seed: int = 0) -> Tensor:
    """Uniform numbers for `sample`, both ends of the range among them."""
    u = torch.rand(rows, generator=rng(seed), dtype=torch.float64)
    u[:1] = 0.0
    u[1:2] = 1 - 2.0**-53
    return u


def distinct(rows: int, vocab: int, seed: int, scale: float = 3.0) -> Tensor:
    """Pairwise different float32 logits: normal quantiles of a jittered grid, in random order."""
    g = rng(seed)
    jitter = torch.rand(rows, vocab, generator=g, dtype=torch.float64) * 0.5 + 0.25
    grid = (torch.arange(vocab, dtype=torch.float64) + jitter) / vocab
    x = (scale * torch.special.ndtri(grid)).float()
    assert vocab < 2 or bool((x.diff(dim=1) > 0).all())
    return x.gather(1, torch.rand(rows, vocab, generator=g).argsort(dim=1))


def _with(row: Tensor, values: dict[int, float]) -> Tensor:
    row = row.clone()
    for index, value in values.items():
        row[..., index] = value
    return row


def _window() -> Tensor:
    """Logits around the end of the window of top_n_sigma, 1024 below the maximum."""
    edge = torch.tensor([0.0, -1.0, -1023.5, -1024.0, -1024.5, -5000.0])
    return torch.stack((edge, edge.flip(0), edge + 7.25))


HOSTILE: dict[str, Callable[[], Tensor]] = {
    "all_equal": lambda: torch.full((2, 97), 1.5),
    "two_values": lambda: torch.tensor([[0.0, -1.0] * 20, [-1.0, 0.0] * 20]),
    "two_far_values": lambda: torch.tensor([[0.0] * 3 + [-60.0] * 30, [-61.0] * 32 + [0.0]]),
    "one_finite": lambda: _with(torch.full((2, 65), -INF), {64: -3.0}),
    "first_minus_inf": lambda: _with(randn(3, 70, 1), {0: -INF}),
    "many_minus_inf": lambda: randn(3, 200, 2).masked_fill(randn(3, 200, 3) > -2, -INF),
    "coarse_ties": lambda: randn(1, 700, 4, 1.0).bfloat16().float(),
    "integer_ties": lambda: randn(4, 257, 5).round(),
    "subnormal_weights": lambda: torch.linspace(0, -110, 221).repeat(2, 1),
    "at_the_clamp": lambda: torch.tensor([[0.0, -59.0, -59.999996, -60.0, -60.000004, -1e3]]),
    "offset_up": lambda: randn(2, 129, 6) + 1e4,
    "offset_down": lambda: randn(2, 129, 7) - 1e4,
    "huge_spread": lambda: _with(randn(2, 40, 8), {3: -1e38, 17: -3e38}),
    "overflowing_spread": lambda: torch.tensor([[3.4e38, -3.4e38, 3.4e38, 0.0, -INF]]),
    "hugely_negative": lambda: randn(2, 33, 9) - 1e38,
    "signed_zeros": lambda: torch.tensor([[-0.0, 0.0, -0.0, 0.0], [-0.0, -0.0, 0.0, -1.0]]),
    "subnormal_logits": lambda: torch.tensor([[1e-45, 0.0, -1e-45, 2e-45, -0.0, 1e-40]]),
    "neighbours": lambda: torch.nextafter(
        torch.ones(2, 20), torch.tensor([[INF], [-INF]]).expand(2, 20)
    ).where(torch.arange(20) % 2 == 0, torch.ones(())),
    "steep": lambda: torch.stack((torch.arange(64).neg() * 0.7, torch.arange(64) * 0.7)),
    "wide": lambda: (torch.rand(3, 300, generator=rng(10)) - 0.5) * 2000,
    "sigma_window": _window,
    "flat_with_peak": lambda: _with(torch.zeros(1, 700), {699: 12.0}),
    **{f"size_{v}": (lambda v=v: randn(3 if v < 99 else 1, v, 20 + v)) for v in SIZES},
}
LARGE: dict[str, Callable[[], Tensor]] = {
    f"size_{v}": (lambda v=v: randn(1, v, v, 2.5)) for v in LARGE_SIZES
}
BAD_VALUES = {"nan": NAN, "plus_inf": INF}


def hostile(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """One hostile batch; finite values that the dtype cannot hold become its largest ones."""
    x = (HOSTILE | LARGE)[name]()
    top = torch.finfo(dtype).max
    return x.clamp(-top, top).where(x.isfinite(), x).to(dtype)


# The same numbers in every memory layout that the step accepts.
def _strided(x: Tensor) -> Tensor:
    out = torch.full((x.shape[0], x.shape[1] + 5), NAN, dtype=x.dtype, device=x.device)
    return out[:, : x.shape[1]].copy_(x)


def _unaligned(x: Tensor) -> Tensor:
    out = torch.empty(x.numel() + 1, dtype=x.dtype, device=x.device)[1:].view_as(x)
    assert x.numel() == 0 or out.data_ptr() % 16 != 0
    return out.copy_(x)


def _reversed_rows(x: Tensor) -> Tensor:
    """Rows in one storage with other rows between them."""
    out = torch.full((2 * x.shape[0] + 1, x.shape[1]), NAN, dtype=x.dtype, device=x.device)
    return out[1::2].copy_(x)


LAYOUTS = {"strided": _strided, "unaligned": _unaligned, "every_second_row": _reversed_rows}


def crossed(x: Tensor, every: list[ad.Adaptor] | None = None) -> tuple[Tensor, list[ad.Adaptor]]:
    """Every row under every adaptor: logits [B * A, V] and the adaptor of each row."""
    every = every or adaptors()
    return x.repeat_interleave(len(every), dim=0), every * x.shape[0]


def bits(mask: Tensor) -> Tensor:
    """Pack a bool mask [R, V] into the int32 words of the interface."""
    rows, vocab = mask.shape
    padded = torch.zeros(rows, -(-vocab // 32) * 32, dtype=torch.int64)
    padded[:, :vocab] = mask
    words = (padded.view(rows, -1, 32) << torch.arange(32)).sum(-1)
    return words.where(words < 2**31, words - 2**32).to(torch.int32)


def check_step(actual: ad.Step, expected: ad.Step, tolerance: float = 0.0) -> None:
    """Decisions to the bit; floats to the bit, or within tolerance * max(1, |value|)."""
    for name in ("status", *(f for f in EXACT if f != "status"), *FLOATS):
        a, b = getattr(actual, name).cpu(), getattr(expected, name).cpu()
        assert a.dtype == b.dtype, name
        assert a.shape == b.shape, f"{name}: {a.shape} and {b.shape}"
        rtol = tolerance if name in FLOATS else 0.0
        note = lambda m, name=name: f"{name}: {m}"  # noqa: E731
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol, equal_nan=True, msg=note)


def rows_of(step: ad.Step, index: Tensor | slice) -> ad.Step:
    """Gather rows of a step."""
    return ad.Step(*(field[index] for field in step))
