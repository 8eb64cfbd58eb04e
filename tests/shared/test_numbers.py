"""Counts, seeds and ids of numpy and torch are those of Python, everywhere."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import aligndec as ad
from aligndec import asymptotics, best_of_n, imh, testing, tradeoff
from aligndec.transfer_q import Args, BestOfN, BlockwiseBestOfN, ControlledDecoding, TransferQ

LM = testing.TableLM.random(8, eos_token_id=0)
# Powers of two, so that each type holds them; the random one of the field's reports is beyond 2^31.
KINDS = [np.int64, np.uint8, np.int32, torch.tensor, lambda n: torch.tensor(n, dtype=torch.int32)]
KINDS += [lambda n: torch.tensor(n, dtype=torch.uint8), np.array]


def lengths(p: list[list[int]], c: list[list[int]]) -> list[float]:
    return [float(len(x)) for x in c]


def rejection(n: Callable[[int], Any]) -> Any:
    sampler = ad.GlobalSampler(
        LM, ad.Adaptor(top_k=n(4)), method="rejection", max_new_tokens=n(3), batch_size=n(2)
    )
    out = sampler.sample([[n(1)]], n_samples=n(4), seed=n(64), prompt_ids=[n(2)])
    return out.generation.tokens, out.generation.seed, out.index


def chains(n: Callable[[int], Any]) -> Any:
    sampler = ad.GlobalSampler(LM, ad.Adaptor(top_p=0.9), max_new_tokens=n(3), eos_token_id=n(1))
    out = sampler.sample(
        np.array([[1]]), n_samples=n(4), n_chains=n(2), burn_in=n(1), thin=n(1), seed=n(64)
    )
    return out.index, out.generation.eos_token_id


def filters(n: Callable[[int], Any]) -> Any:
    sampler = ad.GlobalSampler(LM, method="smc", max_new_tokens=n(3), n_particles=n(4), bridge=n(2))
    return sampler.sample([[1]], n_samples=n(4), seed=n(64)).index


def rewarded(make: Any, **options: int) -> Callable[[Callable[[int], Any]], Any]:
    def run(n: Callable[[int], Any]) -> Any:
        method = make(LM, lengths, **{name: n(value) for name, value in options.items()})
        out = method.generate(
            [[1]], max_new_tokens=n(3), seed=n(64), eos_token_id=n(0), pad_token_id=n(0)
        )
        return out.tokens, out.seed, type(out.seed)

    return run


def drawn(n: Callable[[int], Any]) -> Any:
    out = ad.generate(
        *(LM, [[1], [2]]),
        adaptor=ad.Adaptor(top_k=n(4)),
        max_new_tokens=n(4),
        seed=n(64),
        num_return_sequences=n(2),
        first_draw=n(8),
        prompt_ids=[n(1), n(2)],
        eos_token_id=[n(0), n(1)],
        pad_token_id=n(0),
        batch_size=n(1),
        valid_vocab=n(8),
        penalties=ad.Penalties(no_repeat_ngram=n(2), logit_bias={np.int64(3): 1.0}),
        keep_sets=n(8),
    )
    return out.tokens, out.seed, out.max_new_tokens, out[n(1)].tokens


def stepped(n: Callable[[int], Any]) -> Any:
    state = ad.SequenceState.start(n(2), eos_token_id=n(0), pad_token_id=n(0))
    logits = torch.zeros(2, 8)
    one = ad.sample(logits, seed=n(64), state=state, valid_vocab=n(8))
    two = ad.sample(logits, ad.pack(ad.Adaptor(), n(2)), seed=n(64), positions=n(4))
    return (
        one.token,
        two.token,
        ad.xtc_coin(ad.Adaptor(xtc=(0.1, 0.5)), seed=n(64), sequence_ids=n(2), positions=n(1)),
    )


def pools(n: Callable[[int], Any]) -> Any:
    w, r = torch.linspace(-1, 0, 8).double(), torch.linspace(0, 1, 8)
    return (
        imh.chain(w, seed=n(64)).index,
        imh.resample(w, w[:, None], n_chains=n(2), n_steps=n(4), burn_in=n(1), seed=n(64)).mean,
        imh.sir(w, n(4), seed=n(64)),
        imh.cramers_v(torch.tensor([0, 1, 0, 1, 1]), lag=n(1)),
        best_of_n.select(r, n=n(4), seed=n(64)),
        best_of_n.soft_select(r, 1.0, seed=n(64)),
        best_of_n.poisson_select(r, 1.0, seed=n(64)),
        best_of_n.rejection_select(r, 1.0, 2.0, seed=n(64)),
        best_of_n.pmf(None, r, n(4)),
        tradeoff.bootstrap_corpora(w[:, None], n_corpora=n(2), corpus_size=n(4), seed=n(64)),
        tradeoff.toy(seed=n(64)).reward,
        asymptotics.memoryless_tail(torch.tensor([0.5, 0.5]).log(), torch.arange(2.0), n(4), 0.5),
        testing.enumerate_strings(LM, [n(1)], n(2)).log_p,
    )


RUNS = [drawn, rejection, chains, filters, stepped, pools]
RUNS += [
    rewarded(ControlledDecoding, k=3, n_rollouts=2, rollout_tokens=2),
    rewarded(TransferQ, k=3, rollout_tokens=2, alpha=1),
    rewarded(BlockwiseBestOfN, n=3, block_size=2),
    rewarded(BestOfN, n=3, beta=1),
    rewarded(Args, k=3),
]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", RUNS)
def test_all_kinds_of_integers_are_the_same_numbers(run: Any, kind: Any) -> None:
    assert same(run(kind), run(int))


@pytest.mark.parametrize("seed", [np.random.default_rng(0).integers(100), np.uint64(2**64 - 1)])
def test_seeds_of_numpy(seed: Any) -> None:
    method = ControlledDecoding(LM, lengths, k=3)
    out = method.generate([[1]], max_new_tokens=3, seed=seed)
    again = method.generate([[1]], max_new_tokens=3, seed=int(seed))
    assert type(out.seed) is int
    assert torch.equal(out.tokens, again.tokens)


@pytest.mark.parametrize("wrong", [True, 1.0, np.float64(1.0), torch.tensor(1.0), np.bool_(True)])
def test_what_is_no_integer_is_refused(wrong: Any) -> None:
    for name in ("max_new_tokens", "seed", "num_return_sequences", "first_draw", "batch_size"):
        with pytest.raises(TypeError, match=f"generate: {name} must be an int"):
            ad.generate(LM, [[1]], **{"max_new_tokens": 2, name: wrong})


def test_the_footer_of_a_file_takes_them(tmp_path: Any) -> None:
    pytest.importorskip("pyarrow")
    n = np.int64
    out = ad.generate(
        *(LM, [[1]]),
        adaptor=ad.Adaptor(top_k=n(3), top_p=np.float32(0.5), xtc=None),
        max_new_tokens=torch.tensor(3),
        seed=n(5),
        eos_token_id=torch.tensor([0]),
        prompt_ids=torch.tensor([3]),
        penalties=ad.Penalties(
            no_repeat_ngram=n(2),
            dry=(np.float64(1), np.float32(2), n(1), [n(0)]),
            logit_bias={n(3): np.float32(0.5), (n(1), n(2)): -1},
            ignore_prompt=torch.tensor(1),
        ),
    )
    out.save(tmp_path / "run.parquet")
    back = ad.Generation.load(tmp_path / "run.parquet")
    assert (back.adaptors, back.penalties, back.seed) == (out.adaptors, out.penalties, 5)
    options = TransferQ(LM, lengths, k=n(3), alpha=torch.tensor(0.5), gate_entropy=n(1)).options
    json.dumps([options.k, options.alpha, options.gate_entropy])
