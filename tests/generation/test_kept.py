"""The kept sets of a run: what `generate` keeps, its file, and the replay by `score_strings`."""

import math

import pytest
import torch

import aligndec as ad
from aligndec.models import FunctionLM
from aligndec.testing.table_lm import TableLM

V = 7
LM = TableLM.random(V, order=2, eos_token_id=0, seed=5)
OTHER = TableLM.random(V, order=2, eos_token_id=0, seed=6)
PROMPTS = [[1, 2], [3, 4, 5, 1]]
BOOKS = ("log_p", "log_q", "log_z", "log_kept", "kl")
LAWS = {
    "cut": ad.Adaptor(temperature=0.8, top_p=0.7),
    "xtc": ad.Adaptor(min_p=0.02, xtc=(0.1, 0.5)),
    "mirostat": ad.Adaptor(mirostat_tau=1.0, mirostat_lr=0.5),
    "own": [ad.Adaptor(top_k=2), ad.Adaptor(temperature=1.5, top_k=4)],
}


def run(adaptor=LAWS["cut"], lm=LM, **kwargs):
    kwargs = dict(max_new_tokens=9, num_return_sequences=5, seed=3, keep_sets=True) | kwargs
    return ad.generate(lm, PROMPTS, adaptor=adaptor, **kwargs)


def lists(generation):
    """Per string the set of each token up to its end, and what stands behind."""
    width, every = generation.tokens.shape[1], generation.kept.lists()
    rows = [every[i * width : (i + 1) * width] for i in range(len(generation))]
    lengths = generation.length.tolist()
    return [r[:n] for r, n in zip(rows, lengths, strict=True)], [
        r[n:] for r, n in zip(rows, lengths, strict=True)
    ]


def logits_at(lm, prompt, text):
    return torch.stack([lm.prefill(*whole(prompt + text[:t]))[0][0] for t in range(len(text))])


def whole(ids):
    ids = torch.tensor([ids])
    return ids, torch.ones_like(ids).bool()


@pytest.mark.parametrize("name", LAWS)
def test_the_sets_are_those_of_the_adaptor(name):
    out = run(LAWS[name])
    plain = run(LAWS[name], keep_sets=False)
    assert plain.kept is None
    assert torch.equal(out.tokens, plain.tokens)
    assert torch.equal(out.log_q, plain.log_q)
    assert out.kept.batch == out.tokens.numel()
    assert bool(out.kept.complete.all())
    sets, behind = lists(out)
    assert not any(any(rest) for rest in behind)
    for i, (prompt, text) in enumerate(zip(out.prompts(), out.completions(), strict=True)):
        assert all(token in own for token, own in zip(text, sets[i], strict=True))
        adaptor = LAWS[name][out.prompt_index[i]] if name == "own" else LAWS[name]
        if name in ("xtc", "mirostat"):
            continue
        assert sets[i] == ad.kept_sets(logits_at(LM, prompt, text), adaptor).lists()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_and_ended_rows_change_nothing(batch_size):
    out = run(max_new_tokens=12)
    assert 0 < int(out.finished.sum()) < len(out)
    other = run(max_new_tokens=12, batch_size=batch_size)
    assert all(torch.equal(a, b) for a, b in zip(out.kept, other.kept, strict=True))


@pytest.mark.parametrize("name", LAWS)
def test_a_replay_has_the_books_of_the_run(name):
    """Whatever cut the sets: coins and thresholds are in them."""
    out = run(LAWS[name], per_token=True)
    laws = LAWS[name] if name == "own" else [LAWS[name]]
    taus = [ad.Adaptor(temperature=a.temperature) for a in laws]
    again = ad.score_strings(
        *(LM, out.prompts(), out.completions(), taus), kept=out.kept, per_token=True
    )
    for i in range(len(taus)):
        mine = out.prompt_index == i if name == "own" else slice(None)
        for book in BOOKS:
            for prefix in ("", "token_"):
                a, b = getattr(again, prefix + book)[i][mine], getattr(out, prefix + book)[mine]
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert again.token_log_q.shape == (len(taus), *out.tokens.shape)


def test_a_replay_under_another_model_is_its_law_on_the_sets():
    out = run()
    new = ad.score_strings(
        *(OTHER, out.prompts(), out.completions(), [ad.Adaptor(temperature=0.8)]), kept=out.kept
    )
    sets, _ = lists(out)
    outside = 0
    for i, (prompt, text) in enumerate(zip(out.prompts(), out.completions(), strict=True)):
        x = logits_at(OTHER, prompt, text).double()
        token = torch.tensor(text)[:, None]
        mask = torch.full_like(x, -math.inf)
        for row, own in zip(mask, sets[i], strict=True):
            row[own] = 0.0
        log_q = (x / 0.8 + mask).log_softmax(1).gather(1, token).sum()
        log_p = x.log_softmax(1).gather(1, token).sum()
        torch.testing.assert_close(new.log_q[0, i], log_q, rtol=0, atol=1e-5)
        torch.testing.assert_close(new.log_p[0, i], log_p, rtol=0, atol=1e-5)
        outside += int(new.status[0, i])
    assert outside == 0  # a token of the run is in the set of the run
    # The control: sets that the other model makes itself are others.
    own = ad.score_strings(OTHER, out.prompts(), out.completions(), [LAWS["cut"]])
    assert not torch.allclose(own.log_kept, new.log_kept, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_batch_of_a_replay_changes_nothing(batch_size):
    out = run()
    args = (LM, out.prompts(), out.completions(), [ad.Adaptor(temperature=0.8)])
    one = ad.score_strings(*args, kept=out.kept, per_token=True)
    other = ad.score_strings(*args, kept=out.kept, per_token=True, batch_size=batch_size)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(one.token_kl, other.token_kl)


def test_sets_that_are_too_large_say_so():
    out = run(ad.Adaptor(top_p=0.7), keep_sets=2)
    width = out.tokens.shape[1]
    there = torch.arange(width) < out.length[:, None]
    complete = out.kept.complete.reshape(-1, width)
    assert bool(complete[~there].all())
    some = (~complete).any(1)
    assert 0 < int(some.sum())
    scores = ad.score_strings(LM, out.prompts(), out.completions(), kept=out.kept, per_token=True)
    assert torch.equal(scores.status[0], torch.where(some, 5, 0))
    torch.testing.assert_close(scores.log_p[0], out.log_p, rtol=1e-12, atol=1e-12)
    assert torch.equal(scores.log_q[0].isnan(), some)
    assert torch.equal(scores.token_log_q[0].isnan(), ~complete)
    # A token outside of its set is less than an unknown set, bad logits are more.
    broken = FunctionLM(lambda ids, mask: torch.full((len(ids), V), math.nan), vocab_size=V)
    bad = ad.score_strings(broken, out.prompts(), out.completions(), kept=out.kept)
    assert bool((bad.status == 1).all())
    none = ad.KeptSets.from_lists([[], []])._replace(complete=torch.tensor([True, False]))
    assert ad.score_strings(LM, [[1, 1]], [[1, 2]], kept=none).status.tolist() == [[2]]
    wrong = ad.KeptSets.from_lists([[3], []])._replace(complete=torch.tensor([True, False]))
    assert ad.score_strings(LM, [[1, 1]], [[1, 2]], kept=wrong).status.tolist() == [[5]]


def test_one_bad_row_harms_no_other():
    def fn(ids, mask):
        x = LM.prefill(ids, mask)[0].clone()
        x[(ids == 5).any(1) & (ids.shape[1] > 5)] = math.nan
        return x

    out = run(lm=FunctionLM(fn, vocab_size=V, eos_token_id=0))
    good = run()
    bad = torch.tensor([reason == "error" for reason in out.finish_reason])
    assert 0 < int(bad.sum()) < len(out)
    mine, theirs = lists(out)[0], lists(good)[0]
    for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        assert a == (b[: len(a)] if bad[i] else b)
    assert not any(any(rest) for rest in lists(out)[1])


def test_rows_are_selected_with_their_sets():
    out = run()
    every = lists(out)[0]
    for index in (torch.tensor([7, 0, 7]), torch.arange(len(out)) % 3 == 1):
        some = out.select(index)
        chosen = torch.arange(len(out))[index].tolist()
        assert lists(some)[0] == [every[i] for i in chosen]
        assert some.kept.batch == some.tokens.numel()
    assert torch.equal(out.to("cpu").kept.ids, out.kept.ids)


@pytest.mark.parametrize("chunk", [2**30, 5])
def test_the_file_keeps_the_sets(tmp_path, monkeypatch, chunk):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("aligndec.generation.parquet._CHUNK", chunk)
    for out in (run(keep_sets=2), run(max_new_tokens=1), run().select(torch.tensor([], dtype=int))):
        out.save(tmp_path / "run.parquet")
        back = ad.Generation.load(tmp_path / "run.parquet")
        for a, b in zip(out.kept, back.kept, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        assert back.kept.scales == out.kept.scales
    out = run(keep_sets=2)
    out.save(tmp_path / "run.parquet")
    table = parquet.read_table(tmp_path / "run.parquet")
    kind = table.schema.field("kept_ids").type
    assert kind.value_type.value_type == pa.int32()
    assert pa.types.is_list(kind)
    width, known = out.tokens.shape[1], out.kept.complete.tolist()
    expected = [
        [own if known[i * width + t] else None for t, own in enumerate(row)]
        for i, row in enumerate(lists(out)[0])
    ]
    assert table["kept_ids"].to_pylist() == expected
    # A file without the sets loads as before.
    run(keep_sets=False).save(tmp_path / "run.parquet")
    assert ad.Generation.load(tmp_path / "run.parquet").kept is None


def test_coins_of_a_run_and_their_mixture():
    adaptor = LAWS["xtc"]
    out = run(adaptor)
    args = (LM, out.prompts(), out.completions(), [ad.Adaptor(), adaptor])
    at = torch.arange(out.tokens.shape[1])
    coins = ad.xtc_coin(
        adaptor, seed=out.seed, sequence_ids=out.sequence_ids[:, None], positions=at
    )
    assert 0 < int(coins.sum()) < coins.numel()
    again = ad.score_strings(*args, xtc_coin=coins)
    for book in BOOKS:
        torch.testing.assert_close(
            getattr(again, book)[1], getattr(out, book), rtol=1e-12, atol=1e-12
        )
    assert torch.equal(again.log_q[0], again.log_p[0])
    wrong = ad.score_strings(*args, xtc_coin=~coins)
    assert not torch.allclose(wrong.log_q[1], out.log_q)
    mixed = ad.score_strings(*args, xtc_coin="marginal")
    text = out.completions()[0]
    x = logits_at(LM, out.prompts()[0], text)
    each = ad.score(x, torch.tensor(text), adaptor, xtc_coin="marginal")
    torch.testing.assert_close(mixed.log_q[1, 0], each.log_q.sum(), rtol=1e-12, atol=1e-12)
    assert bool(mixed.log_z[1].isnan().all())
    with pytest.raises(ValueError, match="adaptors must be without xtc where xtc_coin is not"):
        ad.score_strings(*args)
    with pytest.raises(ValueError, match="xtc_coin must be 'marginal' or bool"):
        ad.score_strings(*args, xtc_coin=coins[:, :1])


def test_what_is_refused():
    out = run()
    args = (LM, out.prompts(), out.completions())
    with pytest.raises(ValueError, match=r"score_strings: adaptors must be of the temperature"):
        ad.score_strings(*args, kept=out.kept)
    ad.score_strings(*args, kept=ad.KeptSets(*out.kept))
    with pytest.raises(ValueError, match=r"adaptors must be of a temperature alone .* top_p=0.7"):
        ad.score_strings(*args, [LAWS["cut"]], kept=out.kept)
    tau = [ad.Adaptor(temperature=0.8)]
    with pytest.raises(ValueError, match=r"kept must be of N · T rows"):
        ad.score_strings(*args, tau, kept=out.kept.select(torch.arange(out.kept.batch - 1)))
    with pytest.raises(TypeError, match="kept must be KeptSets"):
        ad.score_strings(*args, tau, kept=out.kept.mask(V))
    with pytest.raises(ValueError, match="keep_sets must be >= 1, got 0"):
        run(keep_sets=0)
    with pytest.raises(TypeError, match="keep_sets must be an int"):
        run(keep_sets=2.0)
