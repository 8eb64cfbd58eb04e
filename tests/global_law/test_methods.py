"""Rejection, importance resampling and restarts against enumeration; who is refused, and why."""

import math

import pytest
import torch
from support.whole_strings import ADAPTORS, LEVEL, MODELS, PROMPT, T, enumerated, p_value, sampler
from torch import Tensor

import aligndec as ad
from aligndec import global_law, imh
from aligndec.testing import TableLM, enumerate_strings

COOL = [a for a in ADAPTORS if a.temperature <= 1]
SAMPLES = 6_000


def exact_log_z(model: str, adaptor: ad.Adaptor) -> float:
    """Global normaliser of target "power": the base law of the kept strings, to the power 1/τ."""
    kept = enumerated(MODELS[model], adaptor, "power")[1] > 0
    log_p = enumerate_strings(MODELS[model], PROMPT, T).log_p[kept]
    return float((log_p / adaptor.temperature).logsumexp(0))


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("adaptor", COOL, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_rejection_is_exact(model: str, adaptor: ad.Adaptor) -> None:
    strings, law = enumerated(MODELS[model], adaptor, "power")
    exact = sampler(MODELS[model], adaptor, method="rejection")
    one = exact.sample([PROMPT], n_samples=SAMPLES, seed=5)
    assert p_value(one.samples().completions(), strings, law) > LEVEL
    many = exact.sample([PROMPT] * SAMPLES, n_samples=1, seed=6)
    assert p_value(many.samples().completions(), strings, law) > LEVEL
    z = exact_log_z(model, adaptor)
    assert abs(one.diagnostics.log_z.item() - z) < 5 * one.diagnostics.log_z_se.item() + 1e-12
    assert abs(one.diagnostics.acceptance_rate.item() - math.exp(z)) < 0.03


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("model", MODELS)
def test_rejection_for_the_kept_mass(model: str) -> None:
    adaptor = ad.Adaptor(temperature=1.4, top_p=0.8)  # above 1: the kept mass alone is below it
    strings, law = enumerated(MODELS[model], adaptor, "kept_mass")
    exact = sampler(MODELS[model], adaptor, target="kept_mass", method="rejection")
    out = exact.sample([PROMPT], n_samples=SAMPLES, seed=7)
    assert p_value(out.samples().completions(), strings, law) > LEVEL
    wrong = enumerated(MODELS[model], adaptor, "power")[1]
    assert p_value(out.samples().completions(), strings, wrong) < LEVEL


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("adaptor", ADAPTORS, ids=str)
def test_resampling_by_weight(adaptor: ad.Adaptor) -> None:
    strings, law = enumerated(MODELS["chain"], adaptor, "power")
    pools = sampler(MODELS["chain"], adaptor, method="sir", max_proposals=120)
    out = pools.sample([PROMPT] * 4000, n_samples=1, seed=8)  # one sample per independent pool
    assert p_value(out.samples().completions(), strings, law) > LEVEL
    pooled = imh.diagnostics(out.log_weight.reshape(-1))
    z = exact_log_z("chain", adaptor)
    assert abs(float(pooled.log_z) - z) < 5 * float(pooled.log_z_se) + 1e-12


@pytest.mark.slow
@pytest.mark.statistical
def test_controls() -> None:
    model, adaptor = "chain", ad.Adaptor(temperature=0.7, top_p=0.8)
    strings, law = enumerated(MODELS[model], adaptor, "power")

    def p(method: str, **kwargs: object) -> float:
        made = sampler(MODELS[model], adaptor, method=method, **kwargs)
        out = made.sample([PROMPT] * SAMPLES, n_samples=1, seed=9)
        return p_value(out.samples().completions(), strings, law)

    assert p("rejection") > LEVEL
    assert p("rejection", target="kept_mass") < LEVEL  # another target
    assert p("sir", max_proposals=1) < LEVEL  # a pool of one string is the local law
    assert p("imh") < LEVEL  # a chain of one state too


@pytest.mark.slow
@pytest.mark.statistical
def test_one_normaliser_per_prompt() -> None:
    # Two prompts of one pool by weight: the prompts come in proportion to their normalisers.
    adaptor, prompts = ad.Adaptor(temperature=0.7, top_p=0.8), [[1], [3]]
    out = sampler(MODELS["chain"], adaptor).sample(prompts, n_samples=20_000, seed=3)
    drawn = imh.sir(out.log_weight.reshape(-1), 20_000, seed=1) // 20_000
    share = out.diagnostics.log_z.softmax(0)[1].item()
    assert abs(drawn.double().mean().item() - share) < 0.02
    assert abs(share - 0.5) > 0.1  # so that the prompts of a pooled chain are tilted


def test_what_is_accepted_does_not_depend_on_the_batch() -> None:
    class Counted(TableLM):
        rows = steps = 0

        def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            self.rows += len(tokens)
            self.steps += 1
            return super().step(tokens, state)

    class Alone:  # the same model without `join`
        def __init__(self, lm: TableLM) -> None:
            for name in ("vocab_size", "eos_token_id", "device", "prefill", "step", "select"):
                setattr(self, name, getattr(lm, name))

    table = torch.randn(5, 5, generator=torch.Generator().manual_seed(1)) * 1.5
    adaptor, runs = ad.Adaptor(temperature=0.6, top_k=3), {}
    for size in (None, 7, 64):
        for joins in (True, False):
            lm = Counted(table, eos_token_id=0)
            given = lm if joins else Alone(lm)
            made = ad.GlobalSampler(
                given, adaptor, method="rejection", max_new_tokens=6, batch_size=size
            )
            out = made.sample([[1], [3], [2]], n_samples=40, seed=2)
            runs[size, joins] = out, lm.rows / lm.steps, lm.rows
    first = runs[None, True][0]
    for out, _, _ in runs.values():
        assert out.samples().completions() == first.samples().completions()
        assert torch.equal(out.accepted, first.accepted)
        assert torch.equal(out.generation.log_p, first.generation.log_p)
        assert torch.equal(out.log_weight.nan_to_num(1.0), first.log_weight.nan_to_num(1.0))
    # Rows that go on, per step of the model: refilled slots keep it busy.
    assert runs[64, True][1] > 1.3 * runs[64, False][1]
    # A rejected string stops early: fewer rows are stepped than whole strings would take.
    proposals = int((~first.log_weight.isnan()).sum())
    assert runs[7, True][2] < 0.5 * 5 * proposals


def test_samples_of_rejection() -> None:
    adaptor = ad.Adaptor(top_p=0.6)
    made = sampler(MODELS["chain"], adaptor, method="rejection")
    out = made.sample([[1], [3]], n_samples=5, seed=3)
    assert out.index.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert out.accepted.sum(1).tolist() == [5, 5]
    assert torch.equal(out.accepted, out.log_weight == 0)
    drawn = (~out.log_weight.isnan()).sum(1)
    assert drawn.amax().item() == out.accepted.shape[1]
    torch.testing.assert_close(out.diagnostics.acceptance_rate, 5 / drawn.double())
    torch.testing.assert_close(out.diagnostics.log_z, (5 / drawn.double()).log())
    # The strings are those that `generate` draws under the same numbers.
    local = ad.generate(
        *(MODELS["chain"], [[1], [3]]),
        adaptor=adaptor,
        max_new_tokens=T,
        seed=3,
        num_return_sequences=int(drawn.max()),
    )
    rows = local.select(out.accepted.reshape(-1).nonzero()[:, 0])
    assert rows.completions() == out.samples().completions()
    assert torch.equal(rows.log_z, out.generation.log_z)
    assert torch.equal(rows.draw, out.generation.draw)
    assert rows.finish_reason == out.generation.finish_reason
    # More samples continue, and a prompt depends on its name alone.
    more = made.sample([[3]], n_samples=8, seed=3, prompt_ids=[1])
    assert more.samples().completions()[:5] == out.samples().completions()[5:]


def test_rejection_gives_up_with_what_it_has() -> None:
    made = sampler(MODELS["chain"], ad.Adaptor(temperature=0.5), method="rejection")
    made.max_proposals = 12
    with pytest.raises(ad.NotEnoughSamples) as error:
        made.sample([[1], [3]], n_samples=10, seed=3)
    got = error.value.samples
    assert error.value.n_proposals == 24
    assert got.index.shape == (2, 10)
    kept = (got.index >= 0).sum(1)
    assert 0 < int(kept.sum()) == len(got.generation) < 20
    assert torch.equal(got.accepted.sum(1), kept)
    never = TableLM(torch.full((3, 3), math.nan), eos_token_id=0)
    made = ad.GlobalSampler(never, method="rejection", max_new_tokens=3, max_proposals=4)
    with pytest.raises(ad.NotEnoughSamples):
        made.sample([[1]], n_samples=1)


def test_rejected_unfinished_strings() -> None:
    made = sampler(MODELS["chain"], ad.Adaptor(), method="rejection", unfinished="reject")
    out = made.sample([[1]], n_samples=30, seed=1)
    assert set(out.samples().finish_reason) == {"eos"}
    assert out.diagnostics.acceptance_rate.item() < 1


def test_restarts() -> None:
    made = sampler(MODELS["chain"], ad.Adaptor(top_p=0.7))
    out = made.sample([[1], [3]], n_samples=12, burn_in=2, thin=2, n_chains=4, seed=5)
    assert out.accepted.shape == (2, 4 * (2 + 2 * 3))
    weight = out.log_weight.view(2, 8, 4)
    for p in range(2):
        for c in range(4):
            name = torch.tensor([p + c * 2**32])
            states = imh.chain(weight[p, :, c], seed=5, sequence_ids=name)
            held = states.index[[3, 5, 7]] * 4 + c + 32 * p
            assert torch.equal(out.index[p].view(3, 4)[:, c], held)
            assert torch.equal(out.accepted[p].view(8, 4)[:, c], states.accepted)
    assert bool((out.diagnostics.longest_hold <= 8).all())
    first = made.sample([[1], [3]], n_samples=8, burn_in=2, thin=2, n_chains=4, seed=5)
    assert first.samples().completions()[:8] == out.samples().completions()[:8]
    with pytest.raises(ValueError, match="n_samples must be a multiple of n_chains = 4, got 6"):
        made.sample([[1]], n_samples=6, n_chains=4)


def test_one_pool_serves_many_targets() -> None:
    out = ad.generate(
        *(MODELS["chain"], [[1], [3]]),
        adaptor=ad.Adaptor(temperature=0.8, top_p=0.8),
        max_new_tokens=T,
        num_return_sequences=50,
    )
    assert torch.equal(global_law.log_weight(out), out.log_z)
    assert torch.equal(global_law.log_weight(out, "kept_mass"), out.log_kept)
    assert torch.equal(global_law.log_weight(out, "base"), out.log_p - out.log_q)
    doubled = global_law.log_weight(out, lambda g: 2 * g.log_p)
    assert torch.equal(doubled, 2 * out.log_p - out.log_q)
    ended = global_law.log_weight(out, unfinished="reject")
    assert torch.equal(ended == -math.inf, ~out.finished)
    with pytest.raises(ValueError, match=r"global_law.log_weight: target must be one of"):
        global_law.log_weight(out, "global")


HOT, GREEDY = ad.Adaptor(temperature=1.2), ad.Adaptor(temperature=0)


@pytest.mark.parametrize(
    ("adaptor", "target", "message"),
    [
        (HOT, "power", r'temperature must be <= 1 .*, got 1.2 .*; use method="imh" or "sir"'),
        (ad.Adaptor(), "base", 'target must be .*, got \'base\'; use method="imh" or "sir"'),
        (ad.Adaptor(), lambda out: out.log_p, "target must be .*, got a callable; use method="),
        (GREEDY, "power", 'temperature must be > 0 for target "power"'),
        ([ad.Adaptor(), HOT], "power", "temperature must be <= 1"),
    ],
)
def test_what_cannot_be_corrected_is_refused(adaptor: object, target: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^GlobalSampler: {message}"):
        ad.GlobalSampler(
            MODELS["chain"], adaptor, target=target, method="rejection", max_new_tokens=T
        )


def test_a_target_without_mass_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aligndec.global_law.rejection.run.PATIENCE", 20)
    endless = TableLM(torch.zeros(3, 3))
    made = ad.GlobalSampler(endless, method="rejection", unfinished="reject", max_new_tokens=3)
    with pytest.raises(ad.NotEnoughSamples) as error:
        made.sample([[1]], n_samples=2)
    assert error.value.n_proposals == 40
    assert error.value.samples.diagnostics.log_z.item() == -math.inf
