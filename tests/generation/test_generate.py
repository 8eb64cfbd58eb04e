"""generate: prompts, ends, errors and the fields that come back."""

import importlib
import math

import torch

import aligndec as ad
from aligndec.models import FunctionLM
from aligndec.testing.table_lm import TableLM


def chain(eos=0, vocab=6, order=2, seed=3):
    return TableLM.random(vocab, order=order, eos_token_id=eos, seed=seed)


def run(lm=None, prompts=((1, 2), (3, 4)), **kwargs):
    kwargs = {"max_new_tokens": 8, "seed": 0} | kwargs
    return ad.generate(chain() if lm is None else lm, [list(p) for p in prompts], **kwargs)


def test_rows_are_prompt_major():
    out = run(num_return_sequences=3, first_draw=5)
    assert len(out) == 6
    assert out.prompt_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert out.draw.tolist() == [5, 6, 7, 5, 6, 7]
    assert out.sequence_ids.tolist() == [5, 6, 7, 2**32 + 5, 2**32 + 6, 2**32 + 7]
    assert out.sequences[:, :2].tolist() == [[1, 2]] * 3 + [[3, 4]] * 3
    assert out.prompts() == [[1, 2]] * 3 + [[3, 4]] * 3


def test_sums_are_those_of_the_step_loop():
    # The same loop by hand, through the public step.
    lm, adaptor = chain(), ad.Adaptor(temperature=0.7, top_p=0.8)
    out = run(lm, adaptor=adaptor, seed=11)
    ids = torch.tensor([[1, 2], [3, 4]])
    logits, state = lm.prefill(ids, ids > 0)
    names = torch.tensor([0, 2**32])
    sums = ad.SequenceState.start(2, eos_token_id=0, pad_token_id=0, sequence_ids=names)
    tokens = []
    for _ in range(8):
        step = ad.sample(logits, adaptor, seed=11, state=sums)
        tokens.append(step.token)
        logits, state = lm.step(step.token, state)
    width = int(sums.length.max())
    assert torch.equal(out.tokens, torch.stack(tokens, 1)[:, :width])
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl"):
        assert torch.equal(getattr(out, name), getattr(sums, f"sum_{name}")), name
    assert torch.equal(out.length, sums.length)


def test_eos_counts_and_pad_follows():
    out = run(chain(eos=(0, 5)), num_return_sequences=50, pad_token_id=4)
    assert set(out.finish_reason) == {"eos", "length"}
    for row, length, reason in zip(
        out.tokens.tolist(), out.length.tolist(), out.finish_reason, strict=True
    ):
        assert all(token not in (0, 5) for token in row[: length - 1])
        assert (row[length - 1] in (0, 5)) == (reason == "eos")
        assert all(token == 4 for token in row[length:])
        assert reason == "eos" or length == 8


def test_pad_may_be_the_end_token():
    out = run(num_return_sequences=40)
    assert out.pad_token_id == 0
    assert out.eos_token_id == (0,)
    ended = torch.tensor([reason == "eos" for reason in out.finish_reason])
    assert torch.equal((out.tokens == 0).any(1), ended)
    assert torch.equal(out.length[ended], (out.tokens[ended] != 0).sum(1) + 1)


def test_eos_of_the_call_replaces_the_models():
    out = run(num_return_sequences=40, eos_token_id=())
    assert out.length.tolist() == [8] * 80
    assert set(out.finish_reason) == {"length"}
    assert bool((out.tokens == 0).any())
    again = run(num_return_sequences=40, eos_token_id=3)
    first = [row.index(3) + 1 if 3 in row else 8 for row in again.tokens.tolist()]
    assert again.length.tolist() == first


def test_width_is_the_longest_length():
    lm = TableLM(torch.tensor([9.0, -math.inf, -math.inf]), eos_token_id=0)
    out = run(lm, prompts=[[1]], max_new_tokens=100)
    assert out.tokens.tolist() == [[0]]
    assert out.max_new_tokens == 100


def test_per_token_fields_sum_to_the_sums():
    out = run(
        adaptor=ad.Adaptor(top_k=3), num_return_sequences=9, per_token=True, reference=chain()
    )
    past = torch.arange(out.tokens.shape[1]) >= out.length[:, None]
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl", "log_p_ref"):
        tokens = getattr(out, f"token_{name}")
        assert tokens.shape == out.tokens.shape
        assert bool((tokens[past] == 0).all())
        torch.testing.assert_close(tokens.sum(1), getattr(out, name), rtol=1e-12, atol=1e-12)


def test_one_adaptor_per_prompt():
    adaptors = [ad.Adaptor(top_k=1), ad.Adaptor(temperature=1.5)]
    both = run(adaptor=adaptors, num_return_sequences=7)
    for row, adaptor in enumerate(adaptors):
        alone = run(adaptor=adaptor, num_return_sequences=7).select(both.prompt_index == row)
        chosen = both.select(both.prompt_index == row)
        assert alone.completions() == chosen.completions()
        assert torch.equal(alone.log_q, chosen.log_q)
    assert both.adaptors == tuple(adaptors)


def test_reference_scores_the_same_tokens():
    other = chain(seed=8)
    out = run(reference=other, num_return_sequences=20)
    again = ad.score_strings(other, out.prompts(), out.completions())
    torch.testing.assert_close(out.log_p_ref, again.log_p[0], rtol=1e-12, atol=1e-12)
    assert run().log_p_ref is None
    assert torch.equal(run(reference=chain()).log_p_ref, run().log_p)


def test_on_token_streams_every_counted_token():
    seen = {}

    def on_token(rows, tokens):
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            seen.setdefault(row, []).append(token)

    out = run(num_return_sequences=15, on_token=on_token, batch_size=7)
    assert [seen[row] for row in range(30)] == out.completions()


def test_greedy_takes_the_lowest_of_equal_tokens():
    table = torch.tensor([0.0, 1.0, 1.0])
    out = run(TableLM(table), prompts=[[0]], adaptor=ad.Adaptor(temperature=0), max_new_tokens=3)
    assert out.tokens.tolist() == [[1, 1, 1]]
    assert out.log_q.tolist() == [0.0]


def fragile(ids, mask):
    """Rows break once they hold token 3 after the prompt: NaN for odd prompts, else no token."""
    assert bool((ids >= 0).all()), "a negative token was fed to the model"
    count = (ids * mask).sum(1, keepdim=True)
    logits = torch.sin(count * torch.arange(1, 7) * 0.71)
    broken = (ids[:, 2:] == 3).any(1)
    fault = torch.where(ids[:, 1] % 2 == 1, math.nan, -math.inf)
    return torch.where(broken[:, None], fault[:, None], logits)


def test_bad_rows_end_alone():
    lm = FunctionLM(fragile, vocab_size=6, eos_token_id=0)
    kwargs = dict(prompts=[[1, 1], [1, 2]], num_return_sequences=40, per_token=True, pad_token_id=5)
    out = run(lm, **kwargs)
    error = torch.tensor([reason == "error" for reason in out.finish_reason])
    assert 0 < int(error.sum()) < 80
    assert set(out.status[error & (out.prompt_index == 0)].tolist()) == {1}
    assert set(out.status[error & (out.prompt_index == 1)].tolist()) == {2}
    assert not bool(out.status[~error].any())
    # What was drawn before the fault stands, with its sums; then padding.
    for row in error.nonzero()[:, 0].tolist():
        length = int(out.length[row])
        assert int(out.tokens[row, length - 1]) == 3
        assert set(out.tokens[row, length:].tolist()) <= {5}
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl"):
        tokens = getattr(out, f"token_{name}")
        assert bool(tokens.isfinite().all())
        torch.testing.assert_close(tokens.sum(1), getattr(out, name), rtol=1e-12, atol=1e-12)


def test_bad_rows_change_no_other_row():
    lm = FunctionLM(fragile, vocab_size=6, eos_token_id=0)
    out = run(lm, prompts=[[1, 1], [1, 2]], num_return_sequences=40)
    good = (out.status == 0).nonzero()[:, 0].tolist()
    for row in good[::9]:
        alone = run(
            lm,
            prompts=[[1, 1 + int(out.prompt_index[row])]],
            prompt_ids=[int(out.prompt_index[row])],
            first_draw=int(out.draw[row]),
        )
        assert alone.completions()[0] == out.completions()[row]
        assert torch.equal(alone.log_p[0], out.log_p[row])


def test_a_prompt_whose_first_logits_are_bad():
    lm = FunctionLM(lambda ids, mask: torch.full((len(ids), 3), math.nan), vocab_size=3)
    out = run(lm, prompts=[[1]], num_return_sequences=2, reference=chain(vocab=6, order=1))
    assert out.finish_reason == ["error", "error"]
    assert out.length.tolist() == [0, 0]
    assert out.log_p.tolist() == [0.0, 0.0]
    assert out.log_p_ref.tolist() == [0.0, 0.0]


def test_a_bad_reference_shows_in_its_own_field():
    bad = FunctionLM(lambda ids, mask: torch.full((len(ids), 6), math.nan), vocab_size=6)
    out = run(reference=bad)
    assert bool(out.log_p_ref.isnan().all())
    assert torch.equal(out.log_p, run().log_p)


def test_progress_counts_every_row_to_its_cap(monkeypatch):
    # The package attribute of that name is the function.
    module = importlib.import_module("aligndec.generation.generate")

    class Bar:
        n = 0

        def update(self, n):
            self.n += n

        def close(self):
            self.closed = True

    bar = Bar()
    monkeypatch.setattr(
        module, "token_bar", lambda what, total: setattr(bar, "total", total) or bar
    )
    run(num_return_sequences=30, progress=True, batch_size=11)
    assert (bar.n, bar.closed) == (bar.total, True)
