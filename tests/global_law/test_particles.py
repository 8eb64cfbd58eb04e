"""Particle filters bit by bit: whose numbers a slot draws with, what a batch may not change."""

import math

import pytest
import torch
from support.whole_strings import T, sampler
from torch import Tensor

import aligndec as ad
from aligndec import imh, rng
from aligndec.testing import TableLM

COLD = ad.Adaptor(temperature=0.5, top_p=0.95)
LONG = 9
FREE = TableLM.random(7, order=1, eos_token_id=0, scale=1.5, seed=9)


def filters(lm: TableLM = FREE, adaptor: ad.Adaptor = COLD, **more: object) -> ad.GlobalSampler:
    options = {"method": "smc", "n_particles": 8, "threshold": 0.8, "max_new_tokens": LONG}
    return sampler(lm, adaptor, **{**options, **more})


def equal(a: ad.GlobalSampler, b: ad.GlobalSampler) -> None:
    for name in ("index", "log_weight", "accepted", "log_z_hat"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    for name in ("tokens", "length", "log_q", "log_p"):
        assert torch.equal(getattr(a.generation, name), getattr(b.generation, name)), name


def test_a_slot_draws_its_own_numbers_whatever_its_ancestor() -> None:
    given = filters(keep_particles=True, threshold=1.0)
    out = given.sample([[1], [3, 2]], n_samples=2, n_chains=3, seed=4)
    moved = out.ancestors != torch.arange(8)
    assert moved.any(3).sum() > 6
    checked = 0
    for p in range(2):
        for r in range(3):
            for slot in range(8):
                row = (p * 3 + r) * 8 + slot
                string = out.generation.completions()[row]
                # Back through the ancestors: the slot that drew each token.
                by, where = [0] * LONG, slot
                for t in reversed(range(LONG)):
                    where = int(out.ancestors[p, r, t, where])
                    by[t] = where
                for t, token in enumerate(string):
                    prefix = torch.tensor([[[1], [3, 2]][p] + string[:t]])
                    logits = FREE.prefill(prefix, torch.ones_like(prefix).bool())[0]
                    name = torch.tensor([p * 2**32 + r * 8 + by[t]])
                    step = ad.sample(logits, COLD, seed=4, sequence_ids=name, positions=t)
                    assert int(step.token) == token
                    checked += by[t] != slot
    assert checked > 20


def test_estimates_and_weights_are_what_the_steps_leave() -> None:
    """From the kept ancestors alone: sums of log_z since the last time, and means in between."""
    out = filters(keep_particles=True).sample([[1]], n_samples=1, n_chains=4, seed=6)
    scores = out.generation
    for r in range(4):
        rows = torch.arange(8) + 8 * r
        strings = [scores.completions()[i] for i in rows.tolist()]
        assert out.ancestors.shape == (1, 4, LONG, 8)
        spent = scores.log_z[rows] - out.log_weight[0, rows] + 0.0
        # All particles of a filter have left the same mean behind, up to their own last anchor.
        total = out.log_weight[0, rows].logsumexp(0) - math.log(8)
        assert float(total) == pytest.approx(float(out.log_z_hat[0, r]), abs=1e-12)
        assert len(strings) == 8
        assert spent.isfinite().all()
    never = filters(threshold=0.0).sample([[1]], n_samples=1, n_chains=4, seed=6)
    assert torch.equal(never.log_weight.view(-1), never.generation.log_z)
    plain = ad.generate(
        FREE, [[1]], adaptor=COLD, max_new_tokens=LONG, seed=6, num_return_sequences=32
    )
    assert torch.equal(never.generation.tokens, plain.tokens)


@pytest.mark.parametrize("method", ["smc", "pimh", "suffix", "imh", "sir", "rejection"])
@pytest.mark.parametrize("options", ["plain", "special"])
def test_batches_and_the_order_of_prompts_change_nothing(method: str, options: str) -> None:
    special = {
        "smc": {"bridge": 3, "resampling": "residual", "threshold": 1.0},
        "pimh": {"threshold": 1.0, "resampling": "multinomial", "keep_particles": True},
        "suffix": {"block_size": 4, "moves": 3, "target": lambda s: 2 * s.log_p},
    }.get(method, {})
    more = special if options == "special" else {}
    kept = {"n_particles": 8} if method in ("smc", "pimh") else {}
    chain = {} if method == "smc" else {"burn_in": 2, "thin": 2}
    adaptor = COLD
    if method in ("sir", "rejection"):
        chain, adaptor = {}, ad.Adaptor(temperature=0.9)
    prompts, names = [[1], [3, 2], [4, 4, 5]], [0, 1, 2]

    def run(prompts: list, names: list[int], **batch: int) -> ad.GlobalSampler:
        given = sampler(FREE, adaptor, method=method, max_new_tokens=LONG, **kept, **more, **batch)
        return given.sample(prompts, n_samples=4, n_chains=2, seed=7, prompt_ids=names, **chain)

    whole = run(prompts, names)
    strings = whole.samples().completions()
    for size in (1, 3, 8, 16, 50):
        again = run(prompts, names, batch_size=size)
        assert again.samples().completions() == strings
        assert torch.equal(again.index, whole.index)
        assert torch.equal(again.log_weight.nan_to_num(), whole.log_weight.nan_to_num())
        assert again.model_forwards >= whole.model_forwards or method == "rejection"
    turned = run(prompts[::-1], names[::-1], batch_size=20)
    assert turned.samples().completions() == strings[8:] + strings[4:8] + strings[:4]
    alone = run(prompts[1:2], [1])
    assert alone.samples().completions() == strings[4:8]


def test_one_particle_is_the_chain_over_strings() -> None:
    for target in ("power", "kept_mass", "base", lambda strings: -strings.length.double()):
        given = {"target": target, "max_new_tokens": LONG}
        one = sampler(FREE, COLD, method="imh", **given)
        other = sampler(FREE, COLD, method="pimh", n_particles=1, threshold=0.0, **given)
        call = {"n_samples": 12, "n_chains": 3, "burn_in": 4, "thin": 2, "seed": 2}
        a, b = (s.sample([[1], [3, 2]], **call) for s in (one, other))
        assert torch.equal(a.index, b.index)
        assert torch.equal(a.accepted, b.accepted)
        assert torch.equal(a.log_weight, b.log_weight)
        assert torch.equal(a.generation.tokens, b.generation.tokens)
        assert (a.model_tokens, a.model_forwards) == (b.model_tokens, b.model_forwards)
        assert 0 < float(a.diagnostics.acceptance_rate[0]) < 1


def test_the_chosen_particle_is_the_scheme_s() -> None:
    call = {"n_samples": 5, "seed": 3}
    chosen = filters(method="pimh").sample([[1]], **call)
    kept = filters(method="pimh", keep_particles=True).sample([[1]], **call)
    assert chosen.samples().completions() == kept.samples().completions()
    assert len(kept.generation) == 8 * len(chosen.generation) == 40
    draws = chosen.generation.draw - 8 * torch.arange(5)
    weight = filters(method="smc", n_particles=8).sample([[1]], n_samples=1, n_chains=5, seed=3)
    bits = rng.philox(3, torch.arange(5) * 8, 0, 7)[0]
    u = rng.uniform(bits)[:, None]
    assert torch.equal(imh.sir(weight.log_weight.view(5, 8), 1, uniforms=u)[:, 0], draws)
    assert torch.equal(weight.log_z_hat[0], chosen.log_z_hat[0])


@pytest.mark.parametrize("method", ["smc", "suffix"])
def test_mirostat_goes_with_the_string(method: str) -> None:
    """Books of every string equal those of a reading from the start."""
    miro = ad.Adaptor(mirostat_tau=1.0, mirostat_lr=0.5)
    options = {"n_particles": 8, "threshold": 1.0} if method == "smc" else {}
    given = sampler(FREE, miro, method=method, target="base", max_new_tokens=LONG, **options)
    call = {"burn_in": 20} if method == "suffix" else {}
    out = given.sample([[1], [3, 2]], n_samples=2, n_chains=2, seed=5, **call)
    strings = out.generation
    read = ad.score_strings(FREE, strings.prompts(), strings.completions(), [miro])
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl"):
        assert torch.allclose(getattr(read, name)[0], getattr(strings, name), atol=1e-12), name
    assert out.accepted.any()


def test_bad_logits_and_dead_filters() -> None:
    table = torch.zeros(4, 4)
    table[2] = math.nan  # whoever draws 2 ends with an error
    lm = TableLM(table, eos_token_id=0)
    out = filters(lm, ad.Adaptor(), threshold=1.0).sample([[1], [3]], n_samples=20, n_chains=2)
    bad = out.generation.status != 0
    assert bad.any()
    assert out.log_weight.view(-1)[bad].eq(-math.inf).all()
    assert set(out.samples().finish_reason) <= {"eos", "length"}
    assert not out.diagnostics.flags["dead"].any()
    with pytest.raises(ad.NotEnoughSamples) as error:
        filters(lm, ad.Adaptor()).sample([[1], [2]], n_samples=3, n_chains=2)
    found = error.value.samples
    assert found.index[1].tolist() == [-1, -1, -1]
    assert found.index[0].ge(0).all()
    assert found.log_z_hat[1].tolist() == [-math.inf] * 2
    assert found.diagnostics.flags["dead"].tolist() == [False, True]
    assert not found.log_weight.isnan().any()
    with pytest.raises(ad.NotEnoughSamples):
        filters(lm, ad.Adaptor(), method="suffix", n_particles=64, threshold=0.5).sample(
            [[2]], n_samples=3
        )


def test_partial_targets_are_asked_for_what_is_open() -> None:
    seen: list[ad.Generation] = []

    def short(strings: ad.Generation) -> Tensor:
        seen.append(strings)
        four = strings.tokens.eq(4).any(1)
        return torch.where(four, -math.inf, strings.log_z + strings.log_q)

    short.partial = True
    out = filters(target=short).sample([[1]], n_samples=30, n_chains=2, seed=8)
    assert all(4 not in string for string in out.samples().completions())
    assert len(seen) <= LONG
    ended = [s.finished.sum() for s in seen]
    assert sum(map(int, ended)) >= int(out.generation.finished.sum()) - 8
    assert all(s.length.eq(t + 1).all() for t, s in enumerate(seen))
    # Where nothing is forbidden it is the target that it spells.
    short.partial = True
    same = filters(target=spelt).sample([[1]], n_samples=3, n_chains=2, seed=8)
    power = filters().sample([[1]], n_samples=3, n_chains=2, seed=8)
    assert torch.equal(same.generation.tokens, power.generation.tokens)
    assert torch.allclose(same.log_z_hat, power.log_z_hat, atol=1e-12)


def spelt(strings: ad.Generation) -> Tensor:
    return strings.log_z + strings.log_q


spelt.partial = True


def test_collapsed() -> None:
    out = filters(threshold=1.0, n_particles=16, max_new_tokens=T).sample(
        [[1], [2]], n_samples=2, n_chains=3, seed=1
    )
    kept = filters(threshold=1.0, n_particles=16, max_new_tokens=T, keep_particles=True).sample(
        [[1], [2]], n_samples=2, n_chains=3, seed=1
    )
    root = torch.arange(16).expand(2, 3, 16)
    for t in range(T):
        root = root.gather(2, kept.ancestors[:, :, t])
    most = torch.nn.functional.one_hot(root, 16).sum(2).amax(2)
    assert torch.equal(out.diagnostics.flags["collapsed"], (most > 8).any(1))
    one = filters(n_particles=1).sample([[1]], n_samples=1)
    assert not one.diagnostics.flags["collapsed"].any()


def test_normaliser_over_filters() -> None:
    out = filters().sample([[1], [3]], n_samples=2, n_chains=5, seed=2)
    z = out.log_z_hat.exp()
    assert torch.allclose(out.diagnostics.log_z, z.mean(1).log())
    assert torch.allclose(out.diagnostics.log_z_se, z.std(1) / z.mean(1) / 5**0.5)
    assert filters().sample([[1]], n_samples=2).diagnostics.log_z_se.isnan().all()
    strings = [tuple(s) for s in out.samples().completions()]
    assert out.diagnostics.n_unique.tolist() == [len(set(strings[:2])), len(set(strings[2:]))]
