"""Ratios of policies with themselves and with ones that moved, and their statistics."""

import pytest
import torch

import aligndec as ad
from aligndec import rl

ADAPTOR = ad.Adaptor(temperature=0.9, top_p=0.9)
SCALE = ad.Adaptor(temperature=0.9)


def drawn(rows: int, vocab: int, copies: int = 1):
    random = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(rows, vocab, generator=random)
    ids = torch.arange(rows * copies)
    step, sets = ad.sample_with_sets(
        x.repeat_interleave(copies, 0), ADAPTOR, seed=1, sequence_ids=ids, positions=0
    )
    noise = 0.01 * torch.randn(rows, vocab, generator=random)
    return x, x.bfloat16().float() + noise, step, sets


def test_a_policy_and_itself() -> None:
    x, _, old, sets = drawn(32, 1000)
    new = ad.score(x, old.token, SCALE, kept=sets)
    out = rl.importance_ratio(new, old)
    assert float((out.ratio - 1).abs().max()) < 1e-12
    assert float((out.mean - 1).abs()) < 1e-12
    assert out.kept_mass_new == out.kept_mass_old
    assert (float(out.ess), float(out.clipped_fraction), float(out.outside_fraction)) == (32, 0, 0)


def test_another_engine_of_lower_precision() -> None:
    """64 rows of 49 152 tokens; the trainer has a bf16 head and other noise."""
    copies = 8
    _, y, old, sets = drawn(64, 49_152, copies)
    logits, tokens = y[:, None].expand(-1, copies, -1), old.token.reshape(64, copies)
    old = ad.Step(*(field.reshape(64, copies) for field in old))
    replayed = rl.importance_ratio(ad.score(logits, tokens, SCALE, kept=sets), old)
    assert abs(float(replayed.mean) - 1) < 0.002
    full = rl.importance_ratio(ad.score(logits, tokens, SCALE), old)
    assert abs(float(full.mean) - 0.90) < 0.01
    assert abs(float(full.mean) - float(full.kept_mass_old)) < 0.002


def test_statistics_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0, -torch.inf]]).repeat(4, 1)
    tokens = torch.tensor([0, 0, 1, -1])
    old = ad.score(x, tokens, kept=ad.KeptSets.from_lists([[0, 1]] * 4), strict=False)
    moved = torch.tensor([[0.0, 1.0, 0.0]]).repeat(4, 1).log()
    moved[0] = torch.tensor([0.75, 0.25, 0.0]).log()
    new = ad.score(moved, tokens, kept=ad.KeptSets.from_lists([[0, 1]] * 4), strict=False)
    out = rl.importance_ratio(new, old, clip=0.2)
    torch.testing.assert_close(out.ratio, torch.tensor([1.2, 0.8, 1.2, 1.0]).double())
    torch.testing.assert_close(out.mean, torch.tensor((1.5 + 0 + 2) / 3).double())
    torch.testing.assert_close(out.ess, torch.tensor(3.2**2 / (2 * 1.44 + 0.64)).double())
    assert float(out.clipped_fraction) == 1
    torch.testing.assert_close(out.outside_fraction, torch.tensor(1 / 3).double())
    one_sided = rl.importance_ratio(new, old, clip=(0.0, 1.4))
    torch.testing.assert_close(one_sided.ratio, torch.tensor([1.4, 0.0, 1.4, 1.0]).double())


def test_unknown_sets_do_not_count() -> None:
    x, _, old, _ = drawn(3, 50)
    sets = ad.kept_sets(x, ADAPTOR)
    sets = sets._replace(complete=torch.tensor([True, False, True]))
    out = rl.importance_ratio(ad.score(x, old.token, SCALE, kept=sets, strict=False), old)
    assert out.ratio.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(out.ess, torch.tensor(2.0).double())


def test_strings_and_tokens() -> None:
    lm = ad.FunctionLM(lambda ids, mask: torch.eye(5)[ids[:, -1]], vocab_size=5, eos_token_id=4)
    more = {"max_new_tokens": 4, "num_return_sequences": 6, "seed": 2, "keep_sets": True}
    run = ad.generate(lm, [[0]], adaptor=ADAPTOR, per_token=True, **more)
    scores = rl.replay(lm, run, gradient=False)
    tokens = rl.importance_ratio(scores, run)
    assert tokens.ratio.shape == run.tokens.shape
    assert float(tokens.ess) == pytest.approx(int(run.length.sum()))
    sums = ad.generate(lm, [[0]], adaptor=ADAPTOR, **more)
    strings = rl.importance_ratio(scores, sums)
    assert strings.ratio.shape == (6,)
    torch.testing.assert_close(strings.ratio, torch.ones(6).double())


def test_refusals() -> None:
    _, _, old, _ = drawn(3, 50)
    with pytest.raises(TypeError, match="new must be a Step, Generation or StringScores"):
        rl.importance_ratio(old.log_q, old)
    with pytest.raises(ValueError, match="clip must be a number >= 0"):
        rl.importance_ratio(old, old, clip=-1)
    with pytest.raises(ValueError, match="books of the same tokens"):
        rl.importance_ratio(old, ad.Step(*(f[:2] for f in old)))
