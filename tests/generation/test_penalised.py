"""Penalties of a run: equal to those of whole histories at every step, and their books."""

import math

import pytest
import torch

import aligndec as ad
from aligndec.step import RunningPenalties
from aligndec.testing.table_lm import TableLM

V = 9
LM = TableLM.random(V, order=2, eos_token_id=0, seed=5)
PROMPTS = [[1, 2, 1, 2, 3, 1, 2], [3, 4, 5, 1]]
INF = math.inf
WHAT = {
    "repetition": {"repetition": 1.7},
    "counts": {"frequency": 0.4, "presence": 0.9, "repetition": 1.2, "ignore_prompt": 3},
    "ngrams": {"no_repeat_ngram": 2},
    "unigrams": {"no_repeat_ngram": 1},
    "dry": {"dry": (1.5, 1.75, 1, [4])},
    "bias": {"logit_bias": {2: 1.5, (1, 2): -2.0, (3, 4, 5): -INF, (7,): -INF}},
    "all": {
        "repetition": 1.3,
        "frequency": 0.2,
        "dry": (0.8, 1.5, 2, [0, 5]),
        "no_repeat_ngram": 3,
        "logit_bias": {(1, 1): -INF, 6: 0.7},
    },
}


def run(what, **kwargs):
    kwargs = dict(max_new_tokens=12, num_return_sequences=4, seed=3) | kwargs
    return ad.generate(LM, PROMPTS, penalties=ad.Penalties(**what), **kwargs)


def logits_of(history):
    ids = torch.tensor([history])
    return LM.prefill(ids, torch.ones_like(ids).bool())[0]


@pytest.mark.parametrize("name", WHAT)
@pytest.mark.parametrize("adaptor", [ad.Adaptor(), ad.Adaptor(temperature=0.7, top_p=0.8)])
def test_every_token_is_drawn_under_the_penalties_of_its_history(name, adaptor):
    out = run(WHAT[name], adaptor=adaptor, per_token=True, batch_size=5)
    plain = ad.generate(
        LM, PROMPTS, adaptor=adaptor, max_new_tokens=12, num_return_sequences=4, seed=3
    )
    assert out.completions() != plain.completions()
    rows = zip(out.prompts(), out.completions(), out.sequence_ids, strict=True)
    for i, (prompt, text, name_) in enumerate(rows):
        for t, token in enumerate(text):
            x = logits_of(prompt + text[:t])
            step = ad.sample(
                *(x, adaptor),
                bias=ad.penalties(x, [prompt + text[:t]], **WHAT[name]),
                seed=3,
                sequence_ids=name_[None],
                positions=t,
            )
            assert int(step.token) == token
            assert float(step.log_q) == float(out.token_log_q[i, t])
            assert float(step.log_p) == float(out.token_log_p[i, t])


def test_the_base_law_stays_that_of_the_model():
    out = run(WHAT["all"])
    again = ad.score_strings(LM, out.prompts(), out.completions())
    torch.testing.assert_close(again.log_p[0], out.log_p, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(again.log_q[0], out.log_q, atol=1e-2)


@pytest.mark.parametrize("name", WHAT)
def test_histories_that_go_on_are_whole_histories(name):
    """Also of gathered rows, and of histories longer than what was there at first."""
    g = torch.Generator().manual_seed(1)
    said = torch.randint(0, 5, (6, 150), generator=g)
    said[0] = 3
    what = ad.Penalties(**WHAT[name])
    running = RunningPenalties.start(what, said[:, :3], V)
    for t in range(3, 150):
        if t == 60:
            index = torch.tensor([5, 0, 0, 3, 1, 2, 4])
            running, said = running.select(index), said[index]
        x = torch.randn(len(said), V, generator=g)
        if t % 7 == 0 or t > 140:
            mine, theirs = running.bias(x), ad.penalties(x, said[:, :t], **WHAT[name])
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
        running.append(said[:, t])


def test_no_string_ends_too_early():
    free = ad.generate(LM, PROMPTS, max_new_tokens=20, num_return_sequences=40, seed=1)
    assert int(free.length.min()) < 5
    held = run({"min_new_tokens": 5}, max_new_tokens=20, num_return_sequences=40, seed=1)
    assert int(held.length.min()) >= 6
    assert "eos" in held.finish_reason
    x = logits_of([1, 2, 3])
    at = {"min_new_tokens": 2, "eos_token_id": 0, "prompt_length": 2}
    assert ad.penalties(x, [[1, 2, 3]], **at).ids.tolist() == [0]
    assert ad.penalties(x, [[1, 2, 3, 4]], **at).ids.tolist() == []


def test_a_prompt_that_is_not_counted():
    """Any number beyond the prompt means the prompt, of each prompt its own."""
    what = {"presence": 1.0, "frequency": 0.5}
    far = run({**what, "ignore_prompt": 99})
    each = run({**what, "ignore_prompt": torch.tensor([7, 4])})
    assert far.completions() == each.completions()
    assert torch.equal(far.log_q, each.log_q)
    assert run(what).completions() != far.completions()


def test_a_bias_of_each_prompt():
    rows = ad.LogitBias(
        torch.tensor([3, 5]).int(), torch.tensor([0, 1, 2]), torch.tensor([99.0] * 2)
    )
    out = run({"logit_bias": rows}, max_new_tokens=2, batch_size=3)
    assert set(out.tokens[:4].reshape(-1).tolist()) == {3}
    assert set(out.tokens[4:].reshape(-1).tolist()) == {5}


def test_a_row_that_may_say_nothing_ends_alone():
    ids = torch.arange(V).int()
    bias = ad.LogitBias(ids, torch.tensor([0, V, V]), torch.full((V,), -INF))
    out = run({"logit_bias": bias})
    assert out.finish_reason[:4] == ["error"] * 4
    assert "error" not in out.finish_reason[4:]
    assert out.status[:4].tolist() == [2] * 4


def test_sets_and_files_of_a_penalised_run(tmp_path):
    pytest.importorskip("pyarrow")
    what = {**WHAT["all"], "ignore_prompt": torch.tensor([1, 2]), "min_new_tokens": 2}
    out = run(what, keep_sets=True, adaptor=ad.Adaptor(top_p=0.7))
    out.save(tmp_path / "run.parquet")
    back = ad.Generation.load(tmp_path / "run.parquet")
    for name in ("repetition", "frequency", "no_repeat_ngram", "logit_bias", "min_new_tokens"):
        assert getattr(back.penalties, name) == getattr(out.penalties, name)
    assert back.penalties.ignore_prompt.tolist() == [1, 2]
    assert list(back.penalties.dry) == [0.8, 1.5, 2, (0, 5)]
    again = ad.generate(
        *(LM, PROMPTS),
        adaptor=back.adaptors[0],
        penalties=back.penalties,
        max_new_tokens=12,
        num_return_sequences=4,
        seed=back.seed,
    )
    assert again.completions() == out.completions()
    with pytest.raises(ValueError, match="kept must be of a run without penalties"):
        ad.score_strings(LM, out.prompts(), out.completions(), kept=back.kept)
    plain = ad.KeptSets(*back.kept)
    assert not bool(ad.score_strings(LM, out.prompts(), out.completions(), kept=plain).status.any())


def test_what_is_refused():
    with pytest.raises(TypeError, match="generate: penalties must be a Penalties, got"):
        ad.generate(LM, PROMPTS, max_new_tokens=1, penalties={"repetition": 2.0})
    with pytest.raises(ValueError, match=r"ignore_prompt must be an int or int64 \[P\] = \[2\]"):
        run({"ignore_prompt": torch.tensor([1, 2, 3])})
    with pytest.raises(ValueError, match="min_new_tokens must be >= 0, got -1"):
        ad.Penalties(min_new_tokens=-1)
    with pytest.raises(ValueError, match=r"logit_bias must be of tuples of >= 1 ids, got \(\)"):
        run({"logit_bias": {(): 1.0}})
