"""Particle filters, chains over them and suffixes against enumeration; mistakes that must show."""

import math
from collections.abc import Callable

import pytest
import torch
from support.whole_strings import LEVEL, MODELS, PROMPT, T, enumerated, p_value, sampler
from torch import Tensor

import aligndec as ad
from aligndec import imh
from aligndec.global_law import continuations, particles, running, smc, suffix

CHAINS = 2_500

LAWS: dict[str, tuple[ad.Adaptor, object]] = {
    "power .5": (ad.Adaptor(temperature=0.5), "power"),
    "power .8": (ad.Adaptor(temperature=0.8, top_p=0.9), "power"),
    "power 1": (ad.Adaptor(top_k=3), "power"),
    "kept_mass, top_p": (ad.Adaptor(temperature=0.9, top_p=0.7), "kept_mass"),
    "kept_mass, top_k": (ad.Adaptor(temperature=1.3, top_k=2), "kept_mass"),
    "base": (ad.Adaptor(temperature=1.4, top_p=0.8), "base"),
    "callable": (ad.Adaptor(temperature=1.4, top_p=0.8), lambda strings: strings.log_p),
}
METHODS: dict[str, tuple[dict, int]] = {
    # Options, and steps of a chain.
    "smc": ({"method": "smc", "n_particles": 100, "threshold": 0.7}, 1),
    "pimh 1": ({"method": "pimh", "n_particles": 1}, 32),
    "pimh 4": ({"method": "pimh", "n_particles": 4, "threshold": 1.0}, 14),
    "pimh 16": ({"method": "pimh", "n_particles": 16, "threshold": 0.9}, 6),
    "suffix": ({"method": "suffix"}, 40),
    "suffix in blocks": ({"method": "suffix", "block_size": 2, "moves": 15}, 30),
}


def drawn(model: str, law: str, method: str, seed: int = 5, **more: object) -> list[list[int]]:
    """One sample from each of many independent prompts with the same text."""
    adaptor, target = LAWS[law]
    options, steps = METHODS[method]
    given = sampler(MODELS[model], adaptor, **{"target": target, **options, **more})
    burn_in = {} if method == "smc" else {"burn_in": steps - 1}
    out = given.sample([PROMPT] * CHAINS, n_samples=1, seed=seed, **burn_in)
    return out.samples().completions()


def agreement(model: str, law: str, method: str, **more: object) -> float:
    """P-value of the samples under the law by enumeration."""
    adaptor, target = LAWS[law]
    strings, exact = enumerated(MODELS[model], adaptor, "base" if callable(target) else str(target))
    return p_value(drawn(model, law, method, **more), strings, exact)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("model", MODELS)
def test_law(model: str, law: str, method: str) -> None:
    assert agreement(model, law, method) > LEVEL


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("scheme", ["stratified", "multinomial", "residual"])
def test_law_of_the_other_schemes(scheme: str) -> None:
    assert agreement("chain", "power .5", "pimh 4", resampling=scheme) > LEVEL


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("method", ["smc", "pimh 4"])
def test_a_bridge_and_partial_targets_keep_the_law(method: str) -> None:
    assert agreement("chain", "power .5", method, bridge=2) > LEVEL

    def prefix(strings: ad.Generation) -> Tensor:
        return strings.log_p / 0.5

    prefix.partial = True
    strings, exact = enumerated(MODELS["chain"], LAWS["power .5"][0], "power")
    found = drawn("chain", "power .5", method, target=prefix)
    assert p_value(found, strings, exact) > LEVEL


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
def test_unfinished_strings_without_weight(method: str) -> None:
    strings, exact = enumerated(MODELS["chain"], LAWS["power .8"][0], "power")
    ended = torch.tensor([s[-1] == 0 for s in strings])
    exact = torch.where(ended, exact, 0.0)
    found = drawn("chain", "power .8", method, unfinished="reject")
    assert p_value(found, strings, exact / exact.sum()) > LEVEL


def without_lengths(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suffix, "log_cuts", lambda strings: torch.zeros_like(strings.length).double())


def cut_after_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suffix, "cuts", lambda strings: strings.length + 1)


def forgets_the_mean(patch: pytest.MonkeyPatch) -> None:
    def forgetful(weight: Tensor, **kwargs: object) -> imh.Resampling:
        out = imh.smc_resample(weight, **kwargs)
        return out._replace(log_mean=torch.where(out.due, 0.0, out.log_mean))

    patch.setattr(particles, "smc_resample", forgetful)


def finished_go_on_paying(patch: pytest.MonkeyPatch) -> None:
    right = running.Running.after

    def pay(self: object, t: int, sums: ad.SequenceState, *rest: object) -> Tensor:
        late = torch.where(sums.finished, t + 1 - sums.length, 0)
        return right(self, t, sums, *rest) - 0.4 * late

    patch.setattr(running.Running, "after", pay)
    patch.setattr(
        running.Running, "final", lambda self, sums, rest: pay(self, T - 1, sums, None, rest)
    )


def uniform_particle(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        smc, "sir", lambda weight, n, **kwargs: imh.sir(torch.zeros_like(weight), n, **kwargs)
    )


MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "no length term": (without_lengths, "suffix"),
    "a cut from 0 to L": (cut_after_the_end, "suffix"),
    "a resampling that forgets log_z_hat": (forgets_the_mean, "pimh 4"),
    "finished particles that go on paying": (finished_go_on_paying, "pimh 4"),
    "a final particle drawn uniformly": (uniform_particle, "pimh 4"),
}


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_show(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, method = MISTAKES[mistake]
    make(monkeypatch)
    if mistake == "a cut from 0 to L":
        # Whoever is cut after the end goes on: strings that do not exist.
        monkeypatch.setattr(continuations.Strings, "cut", roomy(continuations.Strings.cut))
    assert agreement_or_nothing("chain", "power .5", method) < LEVEL


def roomy(cut: Callable) -> Callable:
    return lambda self, at, pad: cut(self, at.clamp(max=T - 1), pad)


def agreement_or_nothing(model: str, law: str, method: str) -> float:
    """The p-value; 0 where some string is not one of the model's."""
    try:
        return agreement(model, law, method)
    except KeyError:
        return 0.0


def estimates(seed: int = 3, n: int = 4) -> Tensor:
    adaptor = LAWS["power .5"][0]
    given = sampler(MODELS["chain"], adaptor, method="smc", n_particles=n, threshold=1.0)
    return given.sample([PROMPT], n_samples=1, n_chains=6_000, seed=seed).log_z_hat[0].exp()


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("n", [1, 4])
def test_the_estimate_of_the_normaliser_is_unbiased(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = MODELS["chain"]
    strings = ad.testing.enumerate_strings(logits, PROMPT, T)
    exact = float((strings.log_p / 0.5).exp().sum())

    def error() -> float:
        z = estimates(n=n)
        return abs(float(z.mean()) - exact) / float(z.std() / math.sqrt(len(z)))

    assert error() < 4.5
    if n > 1:
        forgets_the_mean(monkeypatch)
        assert error() > 20


def test_effective_sizes_do_not_depend_on_the_scale_of_the_weights() -> None:
    weight = torch.randn(50, 8, dtype=torch.float64)
    for shift in (0.0, -300.0, 40.0):
        out = imh.smc_resample(weight + shift, threshold=0.5)
        w = weight.softmax(1)
        assert torch.allclose(out.ess, 1 / w.square().sum(1), rtol=1e-12)
        assert torch.equal(out.due, out.ess < 4)
        assert 0 < int(out.due.sum()) < 50
        # The mistake: weights that were not normalised.
        wrong = 1 / (weight + shift).exp().square().sum(1)
        assert not torch.allclose(out.ess, wrong, rtol=0.1)
