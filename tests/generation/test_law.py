"""The law of generated strings against enumeration, with negative controls that must fail."""

import dataclasses
import math

import pytest
import torch
from support import oracle

import aligndec as ad
from aligndec.testing.table_lm import TableLM, enumerate_strings

LEVEL = 1e-6
DRAWS = 80_000
T = 3
PROMPT = [2, 1]
LM = TableLM.random(5, order=1, eos_token_id=0, scale=1.0, seed=2)
MODELS = {
    "chain": LM,
    "memoryless": TableLM.random(6, order=0, eos_token_id=(1, 4), scale=1.2, seed=3),
    "two back": TableLM.random(5, order=2, eos_token_id=2, scale=0.8, seed=4),
}
ADAPTORS = [
    ad.Adaptor(),
    ad.Adaptor(temperature=0.7, top_k=3),
    ad.Adaptor(temperature=1.6, top_p=0.85),
    ad.Adaptor(min_p=0.3),
    ad.Adaptor(typical_p=0.6),
    ad.Adaptor(temperature=0.8, eta_cutoff=0.3),
    ad.Adaptor(top_n_sigma=1.0),
    ad.Adaptor(temperature=0.6, top_k=3, epsilon_cutoff=0.1, cut_on="base"),
]
SET_FIELDS = ("temperature", "cut_on", *oracle.STAGES)

pytestmark = pytest.mark.statistical


def p_value(cells, probabilities):
    """Chi-square of cell numbers [N] (-1: outside of the support) against a law [S]."""
    if bool((cells < 0).any()):
        return 0.0
    return oracle.chi_square_p(torch.bincount(cells, minlength=len(probabilities)), probabilities)


def adapted(lm, adaptor):
    """The model's table under the adaptor's law, from the definitions: not the package's way."""
    fields = {k: v for k, v in dataclasses.asdict(adaptor).items() if k in SET_FIELDS}
    mask = oracle.kept(lm.table.double(), **fields).mask
    scaled = (lm.table.double() / adaptor.temperature).masked_fill(~mask, -math.inf)
    return TableLM(
        scaled.log_softmax(1).reshape([lm.vocab_size] * (lm.order + 1)),
        eos_token_id=lm.eos_token_id,
    )


def law(lm=LM, adaptor=None):
    """Strings of the adapted model and their probabilities."""
    strings = enumerate_strings(adapted(lm, adaptor or ad.Adaptor()), PROMPT, T)
    return strings, strings.log_p.exp()


def draws(lm=LM, adaptor=None, **kwargs):
    kwargs = {"eos_token_id": None, "seed": 20, **kwargs}
    return ad.generate(
        lm,
        [PROMPT],
        adaptor=adaptor or ad.Adaptor(),
        max_new_tokens=T,
        num_return_sequences=DRAWS,
        **kwargs,
    )


def cells(strings, tokens, length):
    number = {tuple(string): i for i, string in enumerate(strings.completions())}
    rows = zip(tokens.tolist(), length.tolist(), strict=True)
    return torch.tensor([number.get(tuple(row[:n]), -1) for row, n in rows])


@pytest.mark.parametrize("adaptor", ADAPTORS, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_strings_follow_the_enumerated_law(model, adaptor):
    lm = MODELS[model]
    strings, probabilities = law(lm, adaptor)
    out = draws(lm, adaptor)
    index = cells(strings, out.tokens, out.length)
    assert p_value(index, probabilities) > LEVEL
    # The sums are those of the enumeration, string by string.
    torch.testing.assert_close(out.log_q, strings.log_p[index], rtol=0, atol=2e-6)
    whole = enumerate_strings(lm, PROMPT, T)
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
            LM, [PROMPT], max_new_tokens=T, num_return_sequences=half, first_draw=first, seed=21
        )
        for first in (0, half)
    ]
    index = torch.cat([cells(strings, part.tokens, part.length) for part in parts])
    assert p_value(index, probabilities) > LEVEL


def test_mean_log_weight_is_the_normaliser():
    # E_q[exp Σ log z] = Σ_y p(y)^(1/τ) over the kept strings.
    adaptor = ad.Adaptor(temperature=0.7, top_k=3)
    out = draws(adaptor=adaptor)
    whole, (kept, _) = enumerate_strings(LM, PROMPT, T), law(adaptor=adaptor)
    total = float((whole.log_p[whole.index_of(kept.tokens, kept.length)] / 0.7).exp().sum())
    weight = out.log_z.exp()
    error = float(weight.std() / math.sqrt(DRAWS))
    assert abs(float(weight.mean()) - total) < 5 * error


def test_negative_control_reused_uniforms():
    strings, probabilities = law()
    ids = torch.tensor([PROMPT])
    logits, state = LM.prefill(ids.expand(DRAWS, -1), (ids > 0).expand(DRAWS, -1))
    sums = ad.SequenceState.start(DRAWS, eos_token_id=0)
    tokens = []
    for _ in range(T):
        tokens.append(ad.sample(logits, seed=20, positions=0, state=sums).token)
        logits, state = LM.step(tokens[-1], state)
    assert p_value(cells(strings, torch.stack(tokens, 1), sums.length), probabilities) < LEVEL


def test_negative_control_other_temperature():
    strings, probabilities = law()
    out = draws(adaptor=ad.Adaptor(temperature=0.95))
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
