"""`TransferQ`: costs, invariances, ends, gates, blocks and what it refuses."""

import math

import pytest
import torch

import aligndec as ad
from aligndec import transfer_q as tq
from aligndec.testing.table_lm import TableLM
from aligndec.transfer_q import decoder

LM = TableLM.random(6, order=2, eos_token_id=5, scale=1.0, seed=4)
OPEN = TableLM(LM.table.view(6, 6, 6), eos_token_id=())  # the same law, no end
PROMPTS = [[1, 2], [3, 0, 4], [2, 2, 2, 2]]


def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [sum(math.sin(3 * i + x) for i, x in enumerate(text)) for text in texts]


def other(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [0.1 * len(text) + math.cos(text[0]) for text in texts]


def same(a: ad.Generation, b: ad.Generation) -> bool:
    return torch.equal(a.tokens, b.tokens)


def run(lm=LM, prompts=PROMPTS, *, max_new_tokens=6, seed=3, **options):
    decoder = tq.TransferQ(lm, reward, **{"k": 3, "rollout_tokens": 4, **options})
    return decoder.generate(prompts, max_new_tokens=max_new_tokens, seed=seed)


# --- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("ahead", [1, 4])
def test_forwards_and_tokens_are_the_engineered_ones(n: int, ahead: int) -> None:
    k, steps = 3, 5
    out = run(OPEN, max_new_tokens=steps, k=k, n_rollouts=n, rollout_tokens=ahead, rollout="sample")
    assert out.model_forwards == 1 + steps * ahead
    read = sum(len(p) for p in PROMPTS)
    assert out.model_tokens == read + len(PROMPTS) * steps * k * (1 + n * (ahead - 1))
    assert out.reward_calls == steps + 1
    assert out.reward_items == len(PROMPTS) * (steps * k * n + 1)


def test_without_look_ahead_it_costs_what_decoding_costs() -> None:
    out = run(OPEN, max_new_tokens=5, rollout_tokens=0)
    read = sum(len(p) for p in PROMPTS)
    assert (out.model_forwards, out.model_tokens) == (5, read + 4 * len(PROMPTS))
    valued = run(OPEN, max_new_tokens=5, value_fn=lambda p, c, z: torch.zeros(z.shape))
    assert (valued.model_forwards, valued.model_tokens) == (5, read + 4 * len(PROMPTS))
    assert valued.reward_calls == 1


def test_gated_decisions_cost_one_forward() -> None:
    one = [[1, 2]]
    whole = run(OPEN, one, max_new_tokens=8, gate_entropy=100.0)
    assert (whole.model_forwards, whole.model_tokens) == (8, 2 + 7)
    assert whole.reward_items == 1
    half = run(OPEN, one, max_new_tokens=8, gate_entropy=1.55)
    spared = 8 - (half.reward_calls - 1)
    assert 0 < spared < 8
    # The last decision, if it is gated, needs no forward at all.
    assert half.model_forwards in (1 + 4 * (8 - spared) + spared - x for x in (0, 1))
    gates = [run(OPEN, **gate) for gate in ({"gate_top1": 1e-9}, {"gate_entropy": 9.0})]
    assert same(*gates)
    # What is gated is the baseline's own draw, with the random number of its position.
    plain = ad.generate(OPEN, one, max_new_tokens=8, seed=3)
    assert same(plain, whole)
    torch.testing.assert_close(whole.log_alg, plain.log_p)
    assert whole.kl.abs().max() < 1e-12


@pytest.mark.parametrize(("size", "ahead", "steps"), [(3, 2, 6), (2, 1, 6), (3, 0, 6), (4, 2, 6)])
def test_blocks_cost_what_they_read(size: int, ahead: int, steps: int) -> None:
    out = run(OPEN, [[1, 2]], max_new_tokens=steps, block_size=size, rollout_tokens=ahead)
    blocks = [min(size, steps - t) for t in range(0, steps, size)]
    if ahead:
        forwards = 1 + sum(m + ahead - 1 for m in blocks)
        tokens = 2 + sum(3 * (m + ahead - 1) for m in blocks)
    else:  # the last token of a block is read for the winner alone, the very last one never
        forwards = 1 + sum(blocks) - 1
        tokens = 2 + sum(3 * (m - 1) + 1 for m in blocks) - 1
    assert (out.model_forwards, out.model_tokens) == (forwards, tokens)
    assert out.reward_calls == len(blocks) + 1
    assert out.length.tolist() == [steps]


def test_rollouts_stop_at_the_end_token() -> None:
    certain = torch.full((6, 6), -math.inf)
    certain[:, 5] = 0.0
    certain[1] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, -math.inf])
    lm = TableLM(certain, eos_token_id=5)
    seen = []

    def record(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
        seen.append([list(text) for text in texts])
        return [float(text[0] == 3) for text in texts]

    decoder = tq.TransferQ(lm, record, k=6, rollout_tokens=50, alpha=1e-3)
    out = decoder.generate([[1]], max_new_tokens=9)
    assert out.tokens.tolist() == [[3, 5]]
    assert out.finish_reason == ["eos"]
    assert seen[0] == [[0, 5], [1, 0, 5], [2, 5], [3, 5], [4, 5]]
    assert seen[1] == [[3, 5]]  # the end as candidate: no rollout
    # The prompt; five candidates; the one rollout that goes on; nothing for the end.
    assert (out.model_forwards, out.model_tokens) == (3, 1 + 5 + 1)


# --- what does not change a string ----------------------------------------------------------------


OPTIONS = {
    "direct": {},
    "sampled": {"rollout": "sample", "n_rollouts": 2},
    "indirect": {"mode": "indirect", "rollout": "sample", "n_rollouts": 3, "beta": 0.5},
    "blocks": {"block_size": 3, "rollout": "sample", "n_rollouts": 2},
    "drawn": {"candidates": "sample", "rollout": "sample"},
    "soft": {"mode": "soft", "rollout": "sample", "n_rollouts": 3, "beta": 0.5},
    "gate": {"gate_entropy": 1.5},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_batch_order_and_repetition_change_nothing(kind: str) -> None:
    options = dict(OPTIONS[kind])
    if kind == "indirect":
        options["baseline_reward"] = other
    decoder = tq.TransferQ(LM, reward, k=3, rollout_tokens=4, **options)
    whole = decoder.generate(PROMPTS, max_new_tokens=6, seed=1)
    for i, prompt in enumerate(PROMPTS):
        alone = decoder.generate([prompt], max_new_tokens=6, seed=1, prompt_ids=[i])
        assert alone.completions() == whole.completions()[i : i + 1]
        for name in ("log_p", "log_ref", "log_alg", "kl", "reward"):
            assert torch.equal(getattr(alone, name)[0], getattr(whole, name)[i]), name
    turned = decoder.generate(PROMPTS[::-1], max_new_tokens=6, seed=1, prompt_ids=[2, 1, 0])
    assert turned.completions() == whole.completions()[::-1]
    more = decoder.generate(PROMPTS, max_new_tokens=6, seed=1, num_return_sequences=3)
    assert more.completions()[::3] == whole.completions()
    assert more.prompt_index.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_constants_in_the_rewards() -> None:
    def shifted(fn, c: float):
        return lambda p, texts: [x + c for x in fn(p, texts)]

    base = {"k": 3, "rollout_tokens": 4, "n_rollouts": 3, "rollout": "sample", "beta": 0.5}
    for mode in ("indirect", "soft"):
        outs = [
            tq.TransferQ(
                LM, shifted(reward, a), baseline_reward=shifted(other, b), mode=mode, **base
            ).generate(PROMPTS, max_new_tokens=6, seed=0)
            for a, b in ((0.0, 0.0), (0.0, 8.0), (4.0, 0.0))
        ]
        for out in outs[1:]:
            assert same(out, outs[0])
            torch.testing.assert_close(out.log_alg, outs[0].log_alg, rtol=0, atol=1e-9)
        torch.testing.assert_close(outs[2].reward, outs[0].reward + 4.0)


def test_limits_of_alpha() -> None:
    wide = run(alpha=math.inf, candidates="full")
    assert wide.kl.abs().max() < 1e-12
    torch.testing.assert_close(wide.log_alg, wide.log_p, rtol=0, atol=1e-6)
    narrow = run(alpha=1e-9)
    assert narrow.log_alg.abs().max() < 1e-6
    assert same(narrow, run(alpha=1e-9, select="greedy"))
    assert float(narrow.reward.mean()) > float(wide.reward.mean())
    top = run(k=1)
    plain = ad.generate(LM, PROMPTS, adaptor=ad.Adaptor(temperature=0.0), max_new_tokens=6)
    assert same(top, plain)


def test_books_of_a_string() -> None:
    out = run(rollout="sample")
    scores = ad.score_strings(LM, PROMPTS, out.completions())
    torch.testing.assert_close(out.log_p, scores.log_p[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(out.log_ref, out.log_p - out.log_kept, rtol=0, atol=1e-9)
    assert torch.equal(out.log_q, out.log_alg)
    assert out.reward.tolist() == reward([], out.completions())
    chosen = out.select(torch.tensor([2, 0]))
    assert chosen.reward.tolist() == out.reward[[2, 0]].tolist()
    assert chosen.model_forwards == out.model_forwards


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """What the progress bar was told; None: closed."""
    told: list[int | None] = []

    class Bar:
        def update(self, n: int) -> None:
            told.append(n)

        def close(self) -> None:
            told.append(None)

    monkeypatch.setattr(decoder, "token_bar", lambda what, total: Bar())
    return told


def test_progress_counts_every_string_to_its_cap(seen: list[int | None]) -> None:
    decoder = tq.TransferQ(LM, reward, k=2, rollout_tokens=1)
    out = decoder.generate(PROMPTS, max_new_tokens=12, progress=True, pad_token_id=4)
    assert 1 <= min(out.length.tolist()) < 12
    assert seen.pop() is None
    assert sum(seen) == 12 * len(PROMPTS)
    assert out.pad_token_id == 4
    for row, length in zip(out.tokens.tolist(), out.length.tolist(), strict=True):
        assert row[length:] == [4] * (len(row) - length)


def test_bad_logits_end_their_own_string(seen: list[int | None]) -> None:
    def broken(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = torch.cos(ids[:, -1:] + torch.arange(6.0))
        first = ids.gather(1, mask.int().argmax(1, keepdim=True))
        return torch.where((first == 3) & (ids[:, -1:] == 1), math.nan, x)

    lm = ad.FunctionLM(broken, vocab_size=6)
    decoder = tq.TransferQ(lm, reward, k=6, rollout_tokens=2)
    out = decoder.generate(PROMPTS, max_new_tokens=3, seed=0, progress=True)
    assert out.finish_reason == ["length", "error", "length"]
    assert out.length.tolist() == [3, 0, 3]
    fine = decoder.generate([PROMPTS[0], PROMPTS[2]], max_new_tokens=3, seed=0, prompt_ids=[0, 2])
    assert out.tokens[[0, 2]].tolist() == fine.tokens.tolist()
    # Without a law for the very first token a string is counted to its cap too.
    nothing = decoder.generate([[3, 1], [3, 1]], max_new_tokens=3, progress=True)
    assert nothing.finish_reason == ["error", "error"]
    mixed = decoder.generate([[3, 1], [1, 2]], max_new_tokens=3, progress=True)
    assert mixed.finish_reason == ["error", "length"]
    assert seen[-1] is None
    assert sum(n or 0 for n in seen) == 3 * (3 + 2 + 2)
