"""Corpora of a small model against the exact laws of whole strings."""

import pytest
import torch

pytest.importorskip("typer")

import aligndec as ad
from aligndec.cli.tradeoff.corpora import LAWS, Pool, burn_in, corpora
from aligndec.testing import TableLM, enumerate_strings

LM = TableLM.random(5, eos_token_id=0, seed=4)
PROMPTS = [[1], [3]]
CAP, DRAWS, BETA = 4, 4000, 0.6
VALUE = torch.tensor([0.0, 1.0, -1.0, 0.5, 0.2]).double()


def reward(strings: list[list[int]]) -> torch.Tensor:
    return torch.stack([VALUE[s].mean() for s in strings])


def drawn(adaptor: ad.Adaptor) -> Pool:
    out = ad.generate(
        LM, PROMPTS, adaptor=adaptor, max_new_tokens=CAP, num_return_sequences=DRAWS, seed=0
    )
    of = {name: getattr(out, name).view(2, DRAWS) for name in ("log_p", "log_z", "length")}
    return Pool(**of, reward=reward(out.completions()).view(2, DRAWS))


def exact(adaptor: ad.Adaptor, law: str) -> torch.Tensor:
    """Mean log prior and reward under a law, by enumeration, prompts equally."""
    means = []
    for prompt in PROMPTS:
        strings = enumerate_strings(LM, prompt, CAP)
        texts = strings.completions()
        scores = ad.score_strings(LM, [prompt] * len(texts), texts, [adaptor])
        log_law = scores.log_q[0]
        if law != "local":
            log_law = strings.log_p / adaptor.temperature
            log_law = torch.where(scores.log_q[0] > -torch.inf, log_law, -torch.inf)
        if law == "aligned":
            log_law = log_law + reward(texts) / (BETA * adaptor.temperature)
        columns = torch.stack([strings.log_p, reward(texts)], 1)
        means.append(log_law.softmax(0) @ columns)
    return torch.stack(means).mean(0)


@pytest.mark.statistical
@pytest.mark.parametrize("law", list(LAWS))
@pytest.mark.parametrize(
    "adaptor",
    [ad.Adaptor(), ad.Adaptor(top_k=3, temperature=0.7), ad.Adaptor(top_p=0.8, temperature=1.4)],
    ids=["ancestral", "top-k", "nucleus"],
)
def test_centres_are_those_of_the_law(adaptor: ad.Adaptor, law: str) -> None:
    """Within four standard errors of the pool; the laws are further apart than that."""
    pool = drawn(adaptor)
    options = {"n_corpora": 40, "corpus_size": 8000, "temperature": adaptor.temperature}
    found = corpora(pool, law, beta=BETA, seed=1, **options)
    centre = torch.tensor([found[name].mean() for name in ("log_prior", "reward")])
    weight = pool.log_weight(law, adaptor.temperature, BETA).softmax(1)
    n = 1 / weight.square().sum(1).mean() * 2
    spread = pool.values()[..., :2].std((0, 1))
    error = 4 * spread / n.sqrt()
    assert bool(((centre - exact(adaptor, law)).abs() < error).all())
    others = [exact(adaptor, other) for other in LAWS if other != law]
    distance = [((centre - other).abs() / error).amax() for other in others]
    same = adaptor == ad.Adaptor() and law != "aligned"  # local and global are one law then
    assert (sum(d > 1 for d in distance)) == (1 if same else 2)


def test_resampling_a_constant_weight_accepts_everything() -> None:
    pool = drawn(ad.Adaptor())
    found = corpora(pool, "global", temperature=1.0, beta=1.0, n_corpora=3, corpus_size=100, seed=0)
    assert found["acceptance"].tolist() == [1.0] * 3


def test_prompts_count_equally_and_the_seed_decides() -> None:
    pool = Pool(*(torch.tensor([[1.0, 1.0], [3.0, 3.0]]).double() for _ in range(4)))
    options = {"temperature": 1.0, "beta": 1.0, "n_corpora": 4, "corpus_size": 10}
    for law in LAWS:
        assert corpora(pool, law, seed=0, **options)["reward"].tolist() == [2.0] * 4
    spread = drawn(ad.Adaptor(top_k=2))
    for law in LAWS:
        first, again, other = (corpora(spread, law, seed=s, **options) for s in (5, 5, 6))
        assert (first["reward"] == again["reward"]).all()
        assert (first["reward"] != other["reward"]).any()


def test_burn_in_forgets_any_start() -> None:
    assert burn_in(1) == 0
    for draws in (2, 40, 1000):
        assert (1 - 1 / draws) ** burn_in(draws) <= 1e-6 < (1 - 1 / draws) ** (burn_in(draws) - 1)
