"""Runs without a seed share no numbers, can be repeated, and say with which seed."""

import pytest
import torch

import aligndec as ad
from aligndec import transfer_q
from aligndec.shared import seeds
from aligndec.testing import TableLM

# Every token is equally likely, so that equal tokens mean equal random numbers.
V, N = 256, 400
LM = TableLM(torch.zeros(V))
CHANCE = 1 / V
REAL = seeds.fresh_seed


@pytest.fixture(autouse=True)
def _real_entropy(monkeypatch):
    monkeypatch.setattr(seeds, "fresh_seed", REAL)


def reward(prompts, completions):
    return [0.0] * len(completions)


def by_generate(seed):
    return ad.generate(LM, [[1]] * N, max_new_tokens=1, seed=seed)


def by_global_sampler(seed):
    sampler = ad.GlobalSampler(LM, max_new_tokens=1)
    return sampler.sample([[1]] * N, n_samples=1, seed=seed).generation


def by_transfer_q(seed):
    decoder = transfer_q.TransferQ(LM, reward, k=V, rollout_tokens=0)
    return decoder.generate([[1]] * N, max_new_tokens=1, seed=seed)


def by_best_of_n(seed):
    return transfer_q.BestOfN(LM, reward, n=1).generate([[1]] * N, max_new_tokens=1, seed=seed)


RUNS = [by_generate, by_global_sampler, by_transfer_q, by_best_of_n]


def shared(one, two):
    """Share of the N strings whose first token is the same."""
    return float((one.tokens[:, 0] == two.tokens[:, 0]).double().mean())


def is_chance(share):
    """Within five standard errors of a share of independent draws."""
    return abs(share - CHANCE) <= 5 * (CHANCE / N) ** 0.5


@pytest.mark.statistical
@pytest.mark.parametrize("run", RUNS)
def test_two_calls_share_no_numbers(run):
    one, two = run(None), run(None)
    assert one.seed != two.seed
    assert is_chance(shared(one, two))
    # The control: the measure sees numbers that are shared.
    assert not is_chance(shared(run(7), run(7)))


@pytest.mark.parametrize("run", RUNS)
def test_a_run_can_be_repeated_from_its_seed(run):
    out = run(None)
    assert 0 <= out.seed < 2**63
    again = run(out.seed)
    assert again.seed == out.seed
    assert torch.equal(again.tokens, out.tokens)


@pytest.mark.parametrize("method", ["imh", "rejection", "sir", "smc", "pimh", "suffix"])
def test_every_method_says_its_seed(method):
    sampler = ad.GlobalSampler(LM, method=method, max_new_tokens=2)
    out = sampler.sample([[1]], n_samples=2)
    again = sampler.sample([[1]], n_samples=2, seed=out.generation.seed)
    assert again.samples().completions() == out.samples().completions()


@pytest.mark.statistical
def test_custom_generate_counts_the_prompts():
    pytest.importorskip("transformers")
    from support.tiny_models import tiny

    model = tiny("GPT2", vocab_size=V, tie_word_embeddings=False)
    torch.nn.init.zeros_(model.lm_head.weight)
    prompts = torch.ones(N, 2, dtype=torch.int64)

    def batch(decode):
        return model.generate(
            *(prompts,),
            custom_generate=decode,
            max_new_tokens=1,
            do_sample=False,
            eos_token_id=None,
            return_dict_in_generate=True,
        ).generation

    decode = ad.custom_generate(ad.Adaptor(), seed=5)
    first, second = batch(decode), batch(decode)
    assert second.prompt_ids.tolist() == list(range(N, 2 * N))
    assert is_chance(shared(first, second))
    assert not is_chance(shared(first, batch(ad.custom_generate(ad.Adaptor(), seed=5))))
    fresh = ad.custom_generate(ad.Adaptor())
    one, two = batch(fresh), batch(fresh)
    assert is_chance(shared(one, two))
    again = ad.generate(model, prompts, max_new_tokens=1, eos_token_id=(), seed=one.seed)
    assert torch.equal(again.tokens, one.tokens)
