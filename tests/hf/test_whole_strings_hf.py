"""Whole strings by filters and suffixes from transformers models, on shared prefixes too."""

import pytest
import torch
from support.tiny_models import V, tiny, tiny_or_skip

import aligndec as ad

PROMPTS = [[1, *range(3, 43)], [5, *range(10, 44), 9, 8]]
COLD = ad.Adaptor(temperature=0.7, top_p=0.95)


@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Mamba"])
@pytest.mark.parametrize("method", ["smc", "suffix"])
def test_books_are_those_of_a_reading(kind: str, method: str) -> None:
    """Ancestors, shared prompts, blocks of rows and cuts leave every string with its own cache."""
    model = tiny_or_skip(kind)
    options = {"n_particles": 12, "threshold": 1.0} if method == "smc" else {"block_size": 4}
    call = {} if method == "smc" else {"burn_in": 3}
    for batch_size in (None, 5):
        sampler = ad.GlobalSampler(
            model,
            COLD,
            method=method,
            target="kept_mass",
            max_new_tokens=8,
            batch_size=batch_size,
            **options,
        )
        out = sampler.sample(PROMPTS, n_samples=4, n_chains=2, seed=3, **call)
        strings = out.generation
        read = ad.score_strings(model, strings.prompts(), strings.completions(), [COLD])
        for name in ("log_p", "log_kept", "kl"):
            found = getattr(strings, name)
            assert torch.allclose(getattr(read, name)[0], found, atol=2e-4), name
        assert int(strings.tokens.max()) < V


def test_a_resampled_filter_still_shares_its_prompt() -> None:
    model = tiny("Llama")
    lm = ad.as_step_lm(model)
    shared: list[bool] = []
    select = lm.select

    def watched(state: object, index: torch.Tensor) -> object:
        out = select(state, index)
        layer = out.cache.layers[0]
        shared.append(getattr(layer, "branches", None) is not None)
        return out

    lm.select = watched
    sampler = ad.GlobalSampler(
        lm, COLD, method="smc", n_particles=12, threshold=1.0, max_new_tokens=6
    )
    sampler.sample(PROMPTS[:1], n_samples=2, seed=1)
    assert len(shared) > 2
    assert all(shared)
