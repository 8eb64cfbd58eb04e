"""Q^sft, Q_soft, TQ*, ln C and the optimal policies against enumeration, to 1e-9."""

import math

import pytest
import torch
from support.tq_oracle import TOYS, Text, Toy

import aligndec as ad
from aligndec import transfer_q as tq


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def weighed(toy: Toy, policy: dict, s: Text, score: dict, ratio: dict, mode: str) -> float:
    """`value` over all continuations at once: their ln-probabilities are ln-weights."""
    ways = toy.continuations(policy, s)
    rewards = doubles([score[y] for _, y in ways])
    log_ratio = doubles([log_p + ratio[y] for log_p, y in ways])
    out = tq.value(rewards, log_ratio, mode=mode)
    return float(out.value) + (math.log(len(ways)) if mode == "log_mean_exp" else 0.0)


def branches(toy: Toy) -> list[Text]:
    return [(*s, z) for s in toy.prefixes for z in range(toy.vocab)]


@pytest.mark.parametrize("name", TOYS)
def test_values_equal_enumeration(backend: str, name: str) -> None:
    toy = TOYS[name]
    r, r_bl, beta = toy.reward, toy.baseline_reward, toy.beta
    optimum = toy.aligned(toy.sft, r)  # ρ*_r
    exact_bl = toy.aligned(toy.sft, r_bl)
    none = dict.fromkeys(toy.strings, 0.0)
    tilt = {y: r[y] / beta for y in toy.strings}
    gain = {y: (r[y] - r_bl[y]) / beta for y in toy.strings}
    for s in branches(toy):
        # Each expectation once by its definition, once by `value`.
        q_sft = sum(math.exp(lp) * r[y] for lp, y in toy.continuations(toy.sft, s))
        q_soft = beta * toy.log_mean_exp(toy.sft, s, r)
        tq_star = sum(math.exp(lp) * r[y] for lp, y in toy.continuations(optimum, s))
        log_c = toy.log_mean_exp(toy.sft, s, r) - toy.log_mean_exp(toy.sft, s, r_bl)
        q_max = max(r[y] for _, y in toy.continuations(toy.sft, s))
        assert weighed(toy, toy.sft, s, r, none, "snis") == pytest.approx(q_sft, abs=1e-9)
        soft = beta * weighed(toy, toy.sft, s, r, tilt, "log_mean_exp")
        assert soft == pytest.approx(q_soft, abs=1e-9)
        # Direct: rollouts of ρ*_r; indirect: of another baseline.
        assert weighed(toy, optimum, s, r, none, "snis") == pytest.approx(tq_star, abs=1e-9)
        assert weighed(toy, exact_bl, s, r, gain, "snis") == pytest.approx(tq_star, abs=1e-9)
        assert weighed(toy, exact_bl, s, r, gain, "log_mean_exp") == pytest.approx(log_c, abs=1e-9)
        # The link between the three, and their order.
        pairs = zip(toy.continuations(optimum, s), toy.continuations(toy.sft, s), strict=True)
        kl = sum(math.exp(a) * (a - b) for (a, _), (b, _) in pairs)
        assert tq_star == pytest.approx(q_soft + beta * kl, abs=1e-9)
        assert q_sft - 1e-12 <= q_soft <= tq_star + 1e-12 <= q_max + 2e-12


@pytest.mark.parametrize("name", TOYS)
def test_the_secret_reward_needs_no_baseline_reward(name: str) -> None:
    toy = TOYS[name]
    bl = toy.aligned(toy.sft, toy.baseline_reward)
    for s in branches(toy):
        pairs = zip(toy.continuations(bl, s), toy.continuations(toy.sft, s), strict=True)
        secret = {y: toy.reward[y] / toy.beta - (a - b) for (a, y), (b, _) in pairs}
        soft = weighed(toy, bl, s, toy.reward, secret, "log_mean_exp")
        assert soft == pytest.approx(toy.log_mean_exp(toy.sft, s, toy.reward), abs=1e-9)


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("mode", ["direct", "soft"])
def test_the_policy_at_every_state(name: str, mode: str) -> None:
    """Exact values through `value_fn` and `rescore`: log_alg is the enumerated policy."""
    toy, alpha = TOYS[name], 0.37
    optimum = toy.aligned(toy.sft, toy.reward)
    q = {}
    for s in branches(toy):
        if mode == "direct":
            q[s] = sum(math.exp(lp) * toy.reward[y] for lp, y in toy.continuations(optimum, s))
        else:
            q[s] = toy.beta * toy.log_mean_exp(toy.sft, s, toy.reward)
    reference = optimum if mode == "direct" else toy.sft
    for s in toy.prefixes:
        value = doubles([q[(*s, z)] for z in range(toy.vocab)])
        law = (reference[s] + value / alpha).log_softmax(0)
        u = (torch.arange(50).double() + 0.5) / 50
        rows = (reference[s].expand(50, -1), value.expand(50, -1))
        out = tq.rescore(*rows, alpha=alpha, uniforms=u)
        torch.testing.assert_close(out.log_alg, law[out.index], rtol=0, atol=1e-9)
        kl = (law.exp() * (law - reference[s])).sum()
        torch.testing.assert_close(out.kl, kl.expand(50), rtol=0, atol=1e-9)
        if mode == "soft":  # at α = β the optimum itself
            best = tq.rescore(*rows, alpha=toy.beta, uniforms=u)
            torch.testing.assert_close(best.log_alg, optimum[s][best.index], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", TOYS)
def test_the_policy_of_generate_at_every_state(name: str) -> None:
    """Exact values given as `value_fn`: the books of every decision, in float64."""
    toy, alpha = TOYS[name], 0.5
    lm = toy.lm(toy.sft, torch.float64)
    q = {s: toy.beta * toy.log_mean_exp(toy.sft, s, toy.reward) for s in branches(toy)}

    def value_fn(prompts, texts, ids):
        pairs = zip(texts, ids.tolist(), strict=True)
        return doubles([[q[(*text, z)] for z in row] for text, row in pairs])

    with ad.use_backend("reference"):
        decoder = tq.TransferQ(
            lm, toy.as_reward(toy.reward), k=toy.vocab, alpha=alpha, value_fn=value_fn
        )
        out = decoder.generate([[1]], max_new_tokens=toy.length, num_return_sequences=300)
    assert len({tuple(y) for y in out.completions()}) > toy.vocab
    for row, y in enumerate(out.completions()):
        log_alg = log_ref = kl = 0.0
        for t in range(len(y)):
            s = tuple(y[:t])
            # An end token is worth its reward, not its soft value: they are the same number.
            value = doubles([q[(*s, z)] for z in range(toy.vocab)])
            law = (toy.sft[s] + value / alpha).log_softmax(0)
            log_alg, log_ref = log_alg + float(law[y[t]]), log_ref + float(toy.sft[s][y[t]])
            kl += float((law.exp() * (law - toy.sft[s])).sum())
        assert float(out.log_alg[row]) == pytest.approx(log_alg, abs=1e-9)
        assert float(out.log_ref[row]) == pytest.approx(log_ref, abs=1e-9)
        assert float(out.log_p[row]) == pytest.approx(log_ref, abs=1e-9)
        assert float(out.kl[row]) == pytest.approx(kl, abs=1e-9)
        assert float(out.reward[row]) == pytest.approx(toy.reward[tuple(y)], abs=1e-12)
