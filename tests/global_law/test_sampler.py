"""The law of whole strings from `GlobalSampler` against enumeration; controls that must fail."""

import math

import pytest
import torch
from support.whole_strings import ADAPTORS, LEVEL, MODELS, PROMPT, T, enumerated, p_value, sampler
from torch import Tensor

import aligndec as ad
from aligndec import global_law, imh
from aligndec.testing import TableLM, enumerate_strings

CHAINS, STEPS = 6_000, 32


def run(chains: ad.GlobalSampler, seed: int = 11) -> global_law.GlobalSamples:
    """One sample from each of many independent chains: their last states."""
    return chains.sample([PROMPT] * CHAINS, n_samples=1, burn_in=STEPS - 1, seed=seed)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("adaptor", ADAPTORS, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_power_law_of_whole_strings(model: str, adaptor: ad.Adaptor) -> None:
    strings, law = enumerated(MODELS[model], adaptor, "power")
    out = run(sampler(MODELS[model], adaptor))
    assert p_value(out.samples().completions(), strings, law) > LEVEL
    assert int((law > 0).sum()) > 3
    # What a start at the worst string leaves of itself, an upper bound of the bias.
    w_star = float(imh.diagnostics(out.log_weight.view(-1)).w_star)
    assert (1 - 1 / w_star) ** (STEPS - 1) < 5e-3


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("target", ["kept_mass", "base", "callable"])
@pytest.mark.parametrize("model", MODELS)
def test_other_targets(model: str, target: str) -> None:
    adaptor = ad.Adaptor(temperature=1.4, top_p=0.8)
    strings, law = enumerated(MODELS[model], adaptor, "base" if target == "callable" else target)
    given = (lambda out: out.log_p) if target == "callable" else target
    out = run(sampler(MODELS[model], adaptor, target=given))
    assert p_value(out.samples().completions(), strings, law) > LEVEL


@pytest.mark.slow
@pytest.mark.statistical
def test_rejected_unfinished_strings() -> None:
    adaptor = ad.Adaptor(temperature=0.8, top_k=4)
    strings, law = enumerated(MODELS["chain"], adaptor, "power")
    ended = torch.tensor([s[-1] == 0 for s in strings])
    out = run(sampler(MODELS["chain"], adaptor, unfinished="reject"))
    law = torch.where(ended, law, 0.0)
    assert p_value(out.samples().completions(), strings, law / law.sum()) > LEVEL


CONTROLLED = ad.Adaptor(temperature=0.7, top_p=0.8)


def with_mistake(kind: str) -> tuple[ad.Generation, Tensor, Tensor]:
    """Proposals, their log-weights [CHAINS, STEPS], and the last states, with one mistake."""
    out = ad.generate(
        *(MODELS["chain"], [PROMPT] * CHAINS),
        adaptor=CONTROLLED,
        max_new_tokens=T,
        num_return_sequences=STEPS,
        seed=12,
        per_token=True,
    )
    weight, uniforms = out.log_z, None
    if kind == "forgotten end":
        end = out.token_log_z.gather(1, out.length[:, None] - 1)[:, 0]
        weight = weight - torch.where(out.finished, end, 0.0)
    if kind == "kept mass":
        weight = out.log_kept
    if kind == "prompt counted":
        logits = MODELS["chain"].prefill(torch.tensor([PROMPT[:1]]), torch.ones(1, 1).bool())[0]
        weight = weight + ad.score(logits, torch.tensor(PROMPT[1:]), CONTROLLED).log_z
    if kind == "reused uniforms":  # one number for all steps of a chain
        uniforms = torch.rand(CHAINS, 1, dtype=torch.float64).expand(CHAINS, STEPS)
    weight = weight.view(CHAINS, STEPS)
    last = imh.chain(weight, seed=12, uniforms=uniforms).index[:, -1]
    if kind == "always accept":
        last = torch.full_like(last, STEPS - 1)
    return out, weight, torch.arange(CHAINS) * STEPS + last


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize(
    "kind", ["none", "always accept", "forgotten end", "kept mass", "reused uniforms"]
)
def test_negative_controls(kind: str) -> None:
    strings, law = enumerated(MODELS["chain"], CONTROLLED, "power")
    out, _, rows = with_mistake(kind)
    p = p_value(out.select(rows).completions(), strings, law)
    assert p > LEVEL if kind == "none" else p < LEVEL


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["none", "forgotten end", "prompt counted"])
def test_log_z_is_the_global_normaliser(kind: str) -> None:
    # A factor of the prompt is the same for all strings of a chain, so only log_z can show it.
    strings = enumerate_strings(MODELS["chain"], PROMPT, T)
    kept = enumerated(MODELS["chain"], CONTROLLED, "power")[1] > 0
    exact = float((strings.log_p[kept] / CONTROLLED.temperature).logsumexp(0))
    weight = with_mistake(kind)[1]
    found = imh.diagnostics(weight.reshape(-1))
    error = abs(float(found.log_z) - exact) / float(found.log_z_se)
    assert error < 5 if kind == "none" else error > 50


@pytest.mark.slow
@pytest.mark.statistical
def test_one_chain_per_prompt() -> None:
    # A chain over two prompts tilts the law of the prompts; a chain for each does not.
    lm, adaptor, prompts = MODELS["chain"], CONTROLLED, [[1], [3]]
    out = ad.generate(
        *(lm, prompts * (CHAINS // 2)),
        adaptor=adaptor,
        max_new_tokens=T,
        num_return_sequences=STEPS,
        seed=13,
    )
    order = torch.randperm(2 * STEPS)
    last = imh.chain(out.log_z.view(CHAINS // 2, -1)[:, order]).index[:, -1]
    share = float((order[last] < STEPS).double().mean())
    assert abs(share - 0.5) > 6 * 0.5 / math.sqrt(CHAINS // 2)


def test_samples_and_index() -> None:
    lm, adaptor = MODELS["chain"], ad.Adaptor(top_p=0.7)
    chains = sampler(lm, adaptor)
    out = chains.sample([[1], [3], [2]], n_samples=4, burn_in=5, thin=2, seed=3)
    assert out.index.shape == (3, 4)
    assert out.accepted.shape == out.log_weight.shape == (3, 13)
    assert torch.equal(out.log_weight.view(-1), out.generation.log_z)
    states = imh.chain(out.log_weight, seed=3)
    expected = states.index[:, [6, 8, 10, 12]] + 13 * torch.arange(3)[:, None]
    assert torch.equal(out.index, expected)
    assert torch.equal(out.accepted, states.accepted)
    assert torch.equal(out.diagnostics.acceptance_rate, states.acceptance_rate)
    assert out.samples().prompt_index.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    # A prompt's samples depend on its id alone, and more samples continue the chain.
    alone = chains.sample([[2]], n_samples=6, burn_in=5, thin=2, seed=3, prompt_ids=[2])
    assert alone.samples().completions()[:4] == out.samples().completions()[8:]


def test_the_identity_is_the_target_already() -> None:
    out = sampler(MODELS["chain"], ad.Adaptor()).sample([[1]], n_samples=9)
    assert out.accepted.all()
    assert out.diagnostics.flags["constant_weights"].all()
    assert out.index.tolist() == [list(range(9))]


def test_adaptors_of_their_own() -> None:
    pair = [ad.Adaptor(top_k=2), ad.Adaptor(top_p=0.6)]
    both = sampler_of(pair).sample([[1], [3]], n_samples=5, seed=0)
    one = sampler_of(pair[1]).sample([[3]], n_samples=5, seed=0, prompt_ids=[1])
    assert both.samples().completions()[5:] == one.samples().completions()


def sampler_of(adaptor: object, **kwargs: object) -> ad.GlobalSampler:
    return ad.GlobalSampler(MODELS["chain"], adaptor, max_new_tokens=T, **kwargs)


def test_bad_logits_never_become_samples() -> None:
    table = torch.zeros(4, 4)
    table[2] = math.nan  # whoever draws 2 ends with an error
    chains = ad.GlobalSampler(TableLM(table, eos_token_id=0), max_new_tokens=5)
    out = chains.sample([[1]], n_samples=40, burn_in=20, seed=1)
    assert bool((out.generation.status != 0).any())
    assert set(out.samples().finish_reason) <= {"eos", "length"}
    assert out.log_weight.view(-1)[out.generation.status != 0].eq(-math.inf).all()
    with pytest.raises(ad.NotEnoughSamples) as error:
        chains.sample([[2], [1]], n_samples=3, burn_in=20)
    assert error.value.n_proposals == 46
    assert error.value.samples.index[0].tolist() == [-1, -1, -1]
    assert error.value.samples.index[1].ge(23).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "gibbs"}, "method must be one of .*, got .gibbs.$"),
        ({"target": "global"}, "target must be one of"),
        ({"unfinished": "drop"}, "unfinished must be"),
        ({"max_new_tokens": 0}, "max_new_tokens must be >= 1, got 0"),
        ({"adaptor": ad.Adaptor(temperature=0)}, 'temperature must be > 0 for target "power"'),
    ],
)
def test_refusals(kwargs: dict, message: str) -> None:
    given = {"adaptor": ad.Adaptor(), "max_new_tokens": T, **kwargs}
    with pytest.raises(ValueError, match=f"^GlobalSampler: {message}"):
        ad.GlobalSampler(MODELS["chain"], **given)


def test_refusals_of_a_call() -> None:
    chains = sampler_of(ad.Adaptor(), max_proposals=10)
    for name, value in (("n_samples", 0), ("burn_in", -1), ("thin", 0)):
        with pytest.raises(ValueError, match=f"{name} must be >= "):
            chains.sample([[1]], **{"n_samples": 2, name: value})
    with pytest.raises(ValueError, match="must be <= max_proposals = 10, got 11"):
        chains.sample([[1]], n_samples=5, thin=2, burn_in=1)
    with pytest.raises(ValueError, match=r"target must return a Tensor \[N\] = \[3\], got"):
        sampler_of(ad.Adaptor(), target=lambda out: out.log_p[:1]).sample([[1]], n_samples=3)
    with pytest.raises(
        ValueError, match="target must return finite values or -inf, got nan for string 0"
    ):
        sampler_of(ad.Adaptor(), target=lambda out: out.log_p * math.nan).sample([[1]], n_samples=3)
