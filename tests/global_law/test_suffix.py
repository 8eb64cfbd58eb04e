"""Suffix resampling bit by bit, its series' diagnostics, and what the methods cost."""

import math

import pytest
import torch
from support.whole_strings import MODELS, sampler
from torch import Tensor

import aligndec as ad
from aligndec import rng
from aligndec.imh.series import integrated_time, split_r_hat
from aligndec.reference import exact
from aligndec.testing import TableLM

LONG = 8
LM = TableLM.random(6, order=1, eos_token_id=0, scale=1.2, seed=7)
COLD = ad.Adaptor(temperature=0.6, top_p=0.95)


def continued(prefix: list[int], start: list[int], cap: int, draw: dict) -> list[int]:
    """Tokens drawn one by one after a prefix: `draw(t)` names the numbers of position t."""
    tokens = list(prefix)
    while len(tokens) < cap and not (tokens and tokens[-1] == 0):
        ids = torch.tensor([start + tokens])
        logits = LM.prefill(ids, torch.ones_like(ids).bool())[0]
        step = ad.sample(logits, COLD, positions=len(tokens), **draw)
        tokens.append(int(step.token))
    return tokens


def weight(start: list[int], tokens: list[int]) -> float:
    return float(ad.score_strings(LM, [start], [tokens], [COLD]).log_z)


@pytest.mark.parametrize("block", [None, 3])
def test_every_step_by_hand(block: int | None) -> None:
    """Streams 0, 9 and 10, the cut, the suffix and the acceptance, one string at a time."""
    options = {} if block is None else {"block_size": block, "moves": 4}
    given = sampler(LM, COLD, method="suffix", max_new_tokens=LONG, **options)
    out = given.sample([[1], [3, 2]], n_samples=24, n_chains=2, burn_in=0, seed=6)
    strings = out.generation.completions()
    for p, start in enumerate([[1], [3, 2]]):
        for c in range(2):
            chain = torch.tensor([p + c * 2**32])
            local = {"seed": 6, "sequence_ids": torch.tensor([p * 2**32 + c])}
            step = 0

            def move(state: list[int], cap: int, step: int, start=start, chain=chain):
                r, r2 = rng.philox(6, chain, step, 9)
                cut = ((int(r) % 2**64) * len(state)) >> 64
                child = rng.philox(6, chain, step, 10)[0]
                draw = {"seed": child, "sequence_ids": torch.tensor([0])}
                new = continued(state[:cut], start, cap, draw)
                ratio = weight(start, new) - weight(start, state)
                ratio += math.log(len(state)) - math.log(len(new))
                return new, float(exact.log(rng.uniform(r2))) < ratio

            state: list[int] = []
            for cap in [LONG] if block is None else [3, 6, LONG]:
                state = continued(state, start, cap, local)
                for _ in range(0 if block is None else 4):
                    step += 1
                    new, taken = move(state, cap, step)
                    state = new if taken else state
            first = p * 24 + c
            assert strings[first] == state
            for n in range(1, 12):
                step += 1
                new, taken = move(state, LONG, step)
                assert strings[first + 2 * n] == new
                assert bool(out.accepted[p, c + 2 * n]) is taken
                state = new if taken else state
                assert strings[int(out.index[p, c + 2 * n])] == state
    assert 0.1 < float(out.accepted.double().mean()) < 1


def test_books_are_those_of_a_reading() -> None:
    given = sampler(LM, COLD, method="suffix", target="base", max_new_tokens=LONG, block_size=5)
    strings = given.sample([[1], [3, 2]], n_samples=20, n_chains=4, seed=2).generation
    read = ad.score_strings(LM, strings.prompts(), strings.completions(), [COLD])
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl"):
        assert torch.allclose(getattr(read, name)[0], getattr(strings, name), atol=1e-12), name
    ended = [s[-1] == 0 for s in strings.completions()]
    assert strings.finished.tolist() == ended
    assert strings.length.eq(LONG).logical_or(strings.finished).all()


def test_a_state_without_weight_yields_and_never_replaces() -> None:
    def no_four(strings: ad.Generation) -> Tensor:
        return torch.where(strings.tokens.eq(4).any(1), -math.inf, strings.log_p)

    given = sampler(LM, ad.Adaptor(), method="suffix", target=no_four, max_new_tokens=LONG)
    out = given.sample([[4]] * 40, n_samples=1, burn_in=30, seed=1)
    assert all(4 not in string for string in out.samples().completions())
    started = out.log_weight[:, 0] == -math.inf
    assert 0 < int(started.sum()) < 40
    live = (out.log_weight > -math.inf).long().cummax(1).values.bool()
    assert not (out.accepted[:, 1:] & (out.log_weight[:, 1:] == -math.inf)).any()
    assert out.accepted[live.diff(dim=1, prepend=live[:, :1] * 0 > 0) != 0].all()


def test_series_of_independent_and_of_held_numbers() -> None:
    x = torch.randn(3, 4, 4000, dtype=torch.float64)
    assert torch.allclose(integrated_time(x), torch.ones(3).double(), atol=0.15)
    assert torch.allclose(split_r_hat(x), torch.ones(3).double(), atol=0.01)
    y = torch.zeros_like(x)
    for t in range(1, 4000):  # autoregression: (1 + a)/(1 − a)
        y[..., t] = 0.8 * y[..., t - 1] + x[..., t]
    assert torch.allclose(integrated_time(y), torch.full((3,), 9.0).double(), rtol=0.25)
    apart = x + 3 * torch.arange(4)[:, None]
    assert (split_r_hat(apart) > 2).all()
    assert (integrated_time(apart) > 100).all()
    assert integrated_time(x[..., :3]).isnan().all()
    assert split_r_hat(x[:, :1]).isnan().all()
    assert integrated_time(torch.ones(2, 9).double()).isnan()


def test_what_it_says_of_itself() -> None:
    given = sampler(LM, COLD, method="suffix", max_new_tokens=LONG)
    out = given.sample([[1], [3]], n_samples=160, n_chains=4, seed=3)
    judged = out.diagnostics
    assert torch.allclose(judged.acceptance_rate * 4 * 39, (out.accepted.sum(1) - 4).double())
    assert judged.log_z.isnan().all()
    assert judged.r_hat.shape == (2,)
    assert (judged.ess_chain < 161 * 3).all()
    assert not judged.flags["dead"].any()
    one = given.sample([[1]], n_samples=2, n_chains=2)
    assert one.diagnostics.flags["stuck"].eq(False).all()
    strings = out.samples().completions()
    assert judged.n_unique.tolist() == [
        len({tuple(s) for s in strings[:160]}), len({tuple(s) for s in strings[160:]})
    ]  # fmt: skip


class Watched:
    """A model that notes how many rows, and which of them, it was asked for."""

    def __init__(self, lm: TableLM) -> None:
        self.lm, self.vocab_size, self.device = lm, lm.vocab_size, lm.device
        self.eos_token_id: tuple[int, ...] = ()
        self.read, self.calls = 0, 0

    def prefill(self, ids: Tensor, mask: Tensor):
        self.read, self.calls = self.read + int(mask.sum()), self.calls + 1
        return self.lm.prefill(ids, mask)

    def step(self, tokens: Tensor, state: object):
        self.read, self.calls = self.read + len(tokens), self.calls + 1
        return self.lm.step(tokens, state)

    def select(self, state: object, index: Tensor) -> object:
        return self.lm.select(state, index)


@pytest.mark.parametrize("method", ["imh", "sir", "rejection", "smc", "pimh", "suffix"])
def test_model_tokens_are_what_the_model_read(method: str) -> None:
    """Without end tokens every row that is read is real; with them fewer are."""
    lm = Watched(LM)
    options = {"n_particles": 6, "threshold": 1.0} if method in ("smc", "pimh") else {}
    warm = ad.Adaptor(temperature=0.95)
    given = sampler(lm, warm, method=method, max_new_tokens=5, **options)
    out = given.sample([[1], [3, 2, 2]], n_samples=4, seed=2)
    if method != "rejection":  # a rejected row stays in its batch for a while
        assert (out.model_tokens, out.model_forwards) == (lm.read, lm.calls)
    else:
        assert out.model_forwards == lm.calls
        assert out.model_tokens <= lm.read
    if method in ("imh", "smc"):
        rows = 8 if method == "imh" else 12
        assert out.model_tokens == 4 + rows * 4
    lm = Watched(LM)
    lm.eos_token_id = (0, 1, 2)
    given = sampler(lm, warm, method=method, max_new_tokens=5, **options)
    out = given.sample([[1], [3, 2, 2]], n_samples=4, seed=2)
    assert 4 <= out.model_tokens <= lm.read


@pytest.mark.parametrize("method", ["imh", "sir", "rejection", "smc", "pimh", "suffix"])
def test_bars_have_the_method_s_name(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, float] = {}

    class Bar:
        def __init__(self, what: str, total: int) -> None:
            seen.update(total=total, done=0, name=what)

        def update(self, n: int) -> None:
            seen["done"] += n

        def close(self) -> None:
            seen["closed"] = True

    def bar(what: str, total: int, unit: str = "tok") -> Bar:
        return Bar(what, total)

    monkeypatch.setattr("aligndec.global_law.request.token_bar", bar)
    module = __import__("sys").modules["aligndec.generation.generate"]
    monkeypatch.setattr(module, "token_bar", bar)
    options = {"block_size": 3} if method == "suffix" else {}
    given = sampler(MODELS["chain"], ad.Adaptor(), method=method, max_new_tokens=7, **options)
    given.sample([[1], [3]], n_samples=4, n_chains=2, progress=True)
    assert seen["name"] == method
    assert seen["closed"]
    assert seen["done"] == seen["total"]
