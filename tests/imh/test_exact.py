"""Enumerable models under several adaptors: what the theory says against dense linear algebra.

float64 logits on the reference: normaliser, w*, acceptance, spectrum, autocorrelation time and V of
the chain over all strings agree with the enumeration to 1e-10.
"""

import math

import pytest
import torch
from support.whole_strings import PROMPT
from torch import Tensor

import aligndec as ad
from aligndec import imh
from aligndec.testing import TableLM, enumerate_strings

T = 4
ADAPTORS = [
    ad.Adaptor(temperature=0.6),
    ad.Adaptor(top_p=0.8),
    ad.Adaptor(temperature=0.7, top_k=3),
    ad.Adaptor(temperature=0.7, top_p=0.8, cut_on="base"),
    ad.Adaptor(temperature=1.4, min_p=0.15),
    ad.Adaptor(temperature=1.5, typical_p=0.8, cut_on="base"),
    ad.Adaptor(epsilon_cutoff=0.15),
]
TIGHT = {"rtol": 0.0, "atol": 1e-10}


def model(seed: int) -> TableLM:
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return TableLM(table * 1.3, eos_token_id=0)


def walk(lm: TableLM, adaptor: ad.Adaptor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the strings that the adaptor can draw: ln q, Σ ln p/τ, Σ ln p and Σ ln p_τ, by softmax."""
    p, tau = lm.table.log_softmax(1), adaptor.temperature
    scaled = (lm.table / tau).log_softmax(1)
    with ad.use_backend("reference"):
        kept = ad.kept_mask(lm.table, adaptor)
    q = scaled.masked_fill(~kept, -math.inf).log_softmax(1)
    laws, sums = torch.stack([q, p / tau, p, scaled]), []
    for string in enumerate_strings(lm, PROMPT, T).completions():
        pairs = list(zip([PROMPT[-1], *string], string, strict=False))
        sums.append(torch.stack([laws[:, context, y] for context, y in pairs]).sum(0))
    fields = torch.stack(sums, 1)
    return tuple(fields[:, fields[0] > -math.inf])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("adaptor", ADAPTORS, ids=str)
def test_theory_is_the_dense_chain(adaptor: ad.Adaptor, seed: int) -> None:
    lm = model(seed)
    log_q, power, base, scaled = walk(lm, adaptor)
    strings = enumerate_strings(lm, PROMPT, T).completions()
    with ad.use_backend("reference"):
        scores = ad.score_strings(lm, [PROMPT] * len(strings), strings, [adaptor])
    live = scores.log_q[0] > -math.inf
    torch.testing.assert_close(scores.log_q[0, live], log_q, **TIGHT)
    assert abs(float(log_q.exp().sum()) - 1) < 1e-12
    targets = {"log_z": power, "log_kept": scaled, "base": base}
    for name, target in targets.items():
        ours = scores.log_p - scores.log_q if name == "base" else getattr(scores, name)
        weight = ours[0, live]
        z, pi = target.exp().sum(), target.softmax(0)
        found = imh.diagnostics(weight, values=torch.stack([base, weight], 1), log_proposal=log_q)
        torch.testing.assert_close(found.log_z, z.log(), **TIGHT)
        ratio = pi / log_q.exp()
        torch.testing.assert_close(found.w_star, ratio.max(), rtol=1e-10, atol=1e-10)
        accept = (ratio[None] / ratio[:, None]).clamp(max=1.0)
        acceptance = (pi[:, None] * log_q.exp() * accept).sum()
        torch.testing.assert_close(found.expected_acceptance, acceptance, **TIGHT)
        matrix = (log_q.exp() * accept).fill_diagonal_(0.0)
        matrix += torch.diag(1 - matrix.sum(1))
        root = pi.sqrt()
        values = torch.linalg.eigvalsh(root[:, None] * matrix / root).flip(0)
        torch.testing.assert_close(values[0], torch.ones_like(values[0]), **TIGHT)
        torch.testing.assert_close(imh.spectrum(weight, log_q), values[1:], **TIGHT)
        v = (((matrix @ matrix).trace() - 1) / (len(pi) - 1)).clamp(min=0).sqrt()
        torch.testing.assert_close(found.cramers_v.square(), v.square(), **TIGHT)
        assert float(imh.spectrum(weight, log_q)[0]) == pytest.approx(1 - 1 / float(ratio.max()))
        f = torch.stack([base, weight], 1)
        f = f - pi @ f
        lag = torch.eye(len(pi)).double() - matrix
        solved = torch.linalg.lstsq(lag, f, driver="gelsd").solution
        tau_int = 2 * (pi[:, None] * f * solved).sum(0) / (pi[:, None] * f * f).sum(0) - 1
        spread = (pi[:, None] * f * f).sum(0) > 1e-12
        torch.testing.assert_close(found.tau_int[spread], tau_int[spread], rtol=1e-8, atol=1e-8)


def test_a_forgotten_end_factor_is_seen() -> None:
    lm, adaptor = model(0), ad.Adaptor(temperature=0.6)
    log_q, power, _, _ = walk(lm, adaptor)
    strings = enumerate_strings(lm, PROMPT, T).completions()
    end = lm.table.log_softmax(1)[:, 0] / adaptor.temperature
    lost = torch.tensor([float(end[[PROMPT[-1], *s][-2]]) if s[-1] == 0 else 0.0 for s in strings])
    wrong = imh.diagnostics(power - lost - log_q, log_proposal=log_q)
    right = imh.diagnostics(power - log_q, log_proposal=log_q)
    assert abs(float(wrong.log_z - right.log_z)) > 0.1
    assert abs(float(right.log_z - power.logsumexp(0))) < 1e-10


def test_uniform_proposals_are_a_pool() -> None:
    weight = torch.randn(3, 40, dtype=torch.float64)
    given = imh.diagnostics(weight, log_proposal=torch.full((3, 40), -math.log(40)).double())
    for name, value in imh.diagnostics(weight)._asdict().items():
        if name != "flags":
            torch.testing.assert_close(getattr(given, name), value, equal_nan=True)


@pytest.mark.parametrize(
    ("log_proposal", "message"),
    [
        (torch.zeros(4), r"log_proposal must be normalised, got ln Σ q = 1.386"),
        (torch.zeros(3), r"log_proposal must be \[4\], got \[3\]"),
        (torch.full((4,), math.nan), "log_proposal must be finite or -inf, got nan"),
    ],
)
def test_refusals(log_proposal: Tensor, message: str) -> None:
    for call in (imh.diagnostics, imh.spectrum):
        with pytest.raises(ValueError, match=f"^imh.{call.__name__}: {message}"):
            call(torch.zeros(4), log_proposal=log_proposal)
