"""The law of generated strings against enumeration, with negative controls that must fail."""

import math

import pytest
import torch

import aligndec as ad
from aligndec._toy import TableLM, enumerate_strings

LEVEL = 1e-6
DRAWS = 80_000
T = 3
LM = TableLM.random(5, order=1, eos_token_id=0, scale=1.0, seed=2)

pytestmark = pytest.mark.statistical


def p_value(cells, probabilities):
    """Chi-square of cell numbers [N] (-1: outside of the support) against a law [S]."""
    counts = torch.bincount(cells[cells >= 0], minlength=len(probabilities)).double()
    if bool((cells < 0).any()) or bool(counts[probabilities == 0].any()):
        return 0.0
    expected = probabilities * len(cells)
    rare = expected < 5  # one cell for all that chi-square is no good for
    counts = torch.cat([counts[~rare], counts[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    counts, expected = counts[expected > 0], expected[expected > 0]
    statistic = ((counts - expected) ** 2 / expected).sum()
    half = torch.tensor((len(counts) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half, statistic / 2))


def adapted(adaptor):
    """The table of the adaptor's law, by sorting plain probabilities: not the package's way."""
    scaled = (LM.table.double() / adaptor.temperature).softmax(1)
    for row in scaled:
        order = row.argsort(descending=True)
        ranked = row[order]
        keep = torch.ones(len(row), dtype=torch.bool)
        if adaptor.top_k:
            keep &= torch.arange(len(row)) < adaptor.top_k
        keep &= ranked.cumsum(0) - ranked < adaptor.top_p
        keep &= ranked >= adaptor.min_p * ranked[0]
        row[order[~keep]] = 0
    return scaled.log()


def law(adaptor=None):
    """Strings of the adapted model and their probabilities."""
    adaptor = adaptor or ad.Adaptor()
    strings = enumerate_strings(TableLM(adapted(adaptor), eos_token_id=0), [1], T)
    return strings, strings.log_p.exp()


def draws(adaptor=None, **kwargs):
    kwargs = {"eos_token_id": None, "seed": 20, **kwargs}
    return ad.generate(
        LM,
        [[1]],
        adaptor=adaptor or ad.Adaptor(),
        max_new_tokens=T,
        num_return_sequences=DRAWS,
        **kwargs,
    )


def cells(strings, tokens, length):
    number = {tuple(string): i for i, string in enumerate(strings.completions())}
    rows = zip(tokens.tolist(), length.tolist(), strict=True)
    return torch.tensor([number.get(tuple(row[:n]), -1) for row, n in rows])


ADAPTORS = [
    ad.Adaptor(),
    ad.Adaptor(temperature=0.7, top_k=3),
    ad.Adaptor(temperature=1.6, top_p=0.85),
    ad.Adaptor(min_p=0.3),
]


@pytest.mark.parametrize("adaptor", ADAPTORS, ids=str)
def test_strings_follow_the_enumerated_law(adaptor):
    strings, probabilities = law(adaptor)
    out = draws(adaptor)
    index = cells(strings, out.tokens, out.length)
    assert p_value(index, probabilities) > LEVEL
    # The sums are those of the enumeration, string by string.
    torch.testing.assert_close(out.log_q, strings.log_p[index], rtol=0, atol=2e-6)
    whole = enumerate_strings(LM, [1], T)
    own = whole.log_p[whole.index_of(out.tokens, out.length)]
    torch.testing.assert_close(out.log_p, own, rtol=0, atol=2e-6)
    torch.testing.assert_close(
        out.log_q + out.log_z, out.log_p / adaptor.temperature, rtol=0, atol=1e-5
    )


def test_split_calls_together_follow_the_law():
    strings, probabilities = law()
    half = DRAWS // 2
    parts = [
        ad.generate(
            LM, [[1]], max_new_tokens=T, num_return_sequences=half, first_draw=first, seed=21
        )
        for first in (0, half)
    ]
    index = torch.cat([cells(strings, part.tokens, part.length) for part in parts])
    assert p_value(index, probabilities) > LEVEL


def test_mean_log_weight_is_the_normaliser():
    # E_q[exp Σ log z] = Σ_y p(y)^(1/τ) over the kept strings.
    adaptor = ad.Adaptor(temperature=0.7, top_k=3)
    out = draws(adaptor)
    whole, (kept, _) = enumerate_strings(LM, [1], T), law(adaptor)
    total = float((whole.log_p[whole.index_of(kept.tokens, kept.length)] / 0.7).exp().sum())
    weight = out.log_z.exp()
    error = float(weight.std() / math.sqrt(DRAWS))
    assert abs(float(weight.mean()) - total) < 5 * error


def test_negative_control_reused_uniforms():
    strings, probabilities = law()
    ids = torch.tensor([[1]])
    logits, state = LM.prefill(ids.expand(DRAWS, 1), (ids > 0).expand(DRAWS, 1))
    sums = ad.SequenceState.start(DRAWS, eos_token_id=0)
    tokens = []
    for _ in range(T):
        tokens.append(ad.sample(logits, seed=20, positions=0, state=sums).token)
        logits, state = LM.step(tokens[-1], state)
    assert p_value(cells(strings, torch.stack(tokens, 1), sums.length), probabilities) < LEVEL


def test_negative_control_other_temperature():
    strings, probabilities = law()
    out = draws(ad.Adaptor(temperature=0.95))
    assert p_value(cells(strings, out.tokens, out.length), probabilities) < LEVEL


def test_negative_control_forgotten_end():
    strings, probabilities = law()
    out = draws(eos_token_id=())
    assert p_value(cells(strings, out.tokens, out.length), probabilities) < LEVEL


def test_negative_control_dependent_draws():
    # The same draw twice is no second draw: counts that are twice too wide are found.
    strings, probabilities = law()
    out = draws()
    twice = cells(strings, out.tokens, out.length)[: DRAWS // 8].repeat(8)
    assert p_value(twice, probabilities) < LEVEL
