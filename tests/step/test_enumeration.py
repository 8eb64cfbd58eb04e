"""Exact enumeration of every string of tiny language models, and the identities over strings."""

import math

import pytest
import torch
from support.cases import SUMS
from support.oracle import kept, law
from support.tiny_tables import CAP, LMS, TinyLM, score_strings
from torch import Tensor

import aligndec as ad

ADAPTORS: dict[str, dict[str, float | int | str]] = {
    "identity": {},
    "cold": {"temperature": 0.6},
    "warm_top_k": {"temperature": 1.4, "top_k": 2},
    "top_p": {"top_p": 0.7},
    "cold_top_p_base": {"temperature": 0.6, "top_p": 0.7, "cut_on": "base"},
    "min_p": {"min_p": 0.3, "temperature": 0.8},
    "typical": {"typical_p": 0.5},
    "warm_typical_base": {"typical_p": 0.6, "temperature": 1.3, "cut_on": "base"},
    "epsilon": {"epsilon_cutoff": 0.15},
    "eta": {"eta_cutoff": 0.4},
    "sigma": {"top_n_sigma": 1.1},
    "p_less": {"p_less": 2.0},
    "warm_top_h": {"temperature": 1.3, "top_h": 0.7},
    "cold_top_a": {"temperature": 0.8, "top_a": 0.5},
    "chain": {"temperature": 0.8, "top_k": 3, "top_p": 0.9, "epsilon_cutoff": 0.05},
}


def expected_sums(lm: TinyLM, fields: dict[str, float | int | str]) -> dict[str, Tensor]:
    """The five sums of every string from the definitions, by the float64 oracle."""
    tau = float(fields.get("temperature", 1.0))
    rows, vocab = lm.table.shape
    mask, safe = kept(lm.table, **fields)
    assert safe.all()
    x, every = lm.table.repeat_interleave(vocab, 0), torch.arange(vocab).repeat(rows)
    numbers = law(x, mask.repeat_interleave(vocab, 0), tau, every)
    sums = {}
    for name in SUMS:
        cell = getattr(numbers, name.removeprefix("sum_")).view(rows, vocab)
        sums[name] = torch.tensor(
            [
                math.fsum(float(cell[p, t]) for p, t in zip((vocab, *s), s, strict=False))
                for s in lm.strings()
            ],
            dtype=torch.float64,
        )
    return sums


@pytest.mark.parametrize("name", ADAPTORS)
@pytest.mark.parametrize("lm", LMS.values(), ids=LMS)
def test_strings_of_the_reference(lm: TinyLM, name: str) -> None:
    """The probabilities of all strings sum to one, and every sum equals the oracle's."""
    fields = ADAPTORS[name]
    state = score_strings(lm, ad.Adaptor(**fields), torch.float64)
    q = state.sum_log_q.exp()
    assert q.sum().item() == pytest.approx(1.0, abs=1e-10)
    expected = expected_sums(lm, fields)
    for field in SUMS:
        torch.testing.assert_close(getattr(state, field), expected[field], rtol=0, atol=1e-10)
    inside = q > 0
    tau = float(fields.get("temperature", 1.0))
    left = (state.sum_log_q + state.sum_log_z)[inside]
    torch.testing.assert_close(left, state.sum_log_p[inside] / tau, rtol=0, atol=1e-10)
    # Chain rule: the expected sum of the steps' KL is the KL between the laws of strings.
    p = state.sum_log_p[inside]
    kl = (q[inside] * (state.sum_log_q[inside] - p)).sum()
    assert (q * state.sum_kl).sum().item() == pytest.approx(kl.item(), abs=1e-10)
    # Importance weights of the globally normalised target: E_q[Z] is its normaliser.
    normaliser = (p / tau).exp().sum().item()
    assert (q * state.sum_log_z.exp()).sum().item() == pytest.approx(normaliser, abs=1e-10)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ADAPTORS)
@pytest.mark.parametrize("lm", LMS.values(), ids=LMS)
def test_strings_in_float32(lm: TinyLM, name: str) -> None:
    state = score_strings(lm, ad.Adaptor(**ADAPTORS[name]), torch.float32)
    # The published bound of one step, CAP times; the sum itself is far closer.
    assert state.sum_log_q.exp().sum().item() == pytest.approx(1.0, abs=CAP * 5e-7)
    for field, value in expected_sums(lm, ADAPTORS[name]).items():
        actual = getattr(state, field)
        torch.testing.assert_close(actual, value, rtol=0, atol=CAP * 5e-7 / 0.6)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("lm", LMS.values(), ids=LMS)
def test_greedy_has_one_string(lm: TinyLM) -> None:
    state = score_strings(lm, ad.Adaptor(temperature=0.0), torch.float32)
    assert sorted(state.sum_log_q.exp().tolist())[-2:] == [0.0, 1.0]
    best = state.sum_log_q.argmax()
    assert state.sum_log_z[best].item() == pytest.approx(state.sum_log_p[best].item(), abs=1e-12)


def test_control_a_wrong_law_does_not_sum_to_one() -> None:
    """The law of top_k 2 without its normaliser, and one without the cut strings, are seen."""
    lm = LMS["six"]
    state = score_strings(lm, ad.Adaptor(top_k=2), torch.float64)
    inside = state.sum_log_q.isfinite()
    assert state.sum_log_p[inside].exp().sum().item() < 0.99
    ended = state.sum_log_q[state.finished].exp().sum().item()
    assert ended < 0.99
