"""Mirostat: the threshold that a string carries, by hand, on every backend, over whole strings."""

import math

import pytest
import torch
from support.whole_strings import LEVEL, PROMPT, T, p_value, sampler
from torch import Tensor

import aligndec as ad
from aligndec.testing import TableLM, enumerate_strings

ADAPTORS = [
    ad.Adaptor(mirostat_tau=1.1),
    ad.Adaptor(mirostat_tau=2.0, mirostat_lr=0.8),
    ad.Adaptor(temperature=0.7, mirostat_tau=1.3, mirostat_lr=1.0),
    ad.Adaptor(temperature=1.6, mirostat_tau=2.0, mirostat_lr=0.4),
]


def walk(
    logits: list[Tensor], tokens: list[int], a: ad.Adaptor
) -> tuple[list[Tensor], list[float]]:
    """Kept sets before, and thresholds after each token, from the definition in float64."""
    mu, kept, path = 2 * a.mirostat_tau, [], []
    for row, y in zip(logits, tokens, strict=True):
        surprise = -(row.double() / a.temperature).log_softmax(0)
        kept.append((surprise <= mu) | (surprise == surprise.min()))
        mu -= a.mirostat_lr * (float(surprise[y]) - a.mirostat_tau)
        path.append(mu)
    return kept, path


@pytest.mark.parametrize("adaptor", ADAPTORS, ids=str)
def test_by_definition(backend: str, adaptor: ad.Adaptor) -> None:
    logits = torch.randn(12, 3, 40) * 2  # steps, rows
    state = ad.SequenceState.start(3)
    assert state.mu.isnan().all()
    steps, thresholds = [], []
    for row in logits:
        steps.append(ad.sample(row, adaptor, seed=4, state=state))
        thresholds.append(state.mu.clone())
    for b in range(3):
        tokens = [int(s.token[b]) for s in steps]
        kept, path = walk([row[b] for row in logits], tokens, adaptor)
        torch.testing.assert_close(torch.stack(thresholds)[:, b], torch.tensor(path).double())
        for t, (step, mask) in enumerate(zip(steps, kept, strict=True)):
            assert int(step.n_kept[b]) == int(mask.sum())
            assert bool(mask[tokens[t]])
            q = (logits[t, b].double() / adaptor.temperature).where(mask, -math.inf).log_softmax(0)
            assert float(step.log_q[b]) == pytest.approx(float(q[tokens[t]]), abs=2e-6)
        sizes = {int(mask.sum()) for mask in kept}
        assert len(sizes) > 2  # the threshold moves


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernel_and_reference_agree(native: None, dtype: torch.dtype) -> None:
    mixed = [*ADAPTORS, ad.Adaptor(top_p=0.7), ad.Adaptor(temperature=0, mirostat_tau=1.0)]
    packed = ad.pack(mixed, 6)
    states = {name: ad.SequenceState.start(6, eos_token_id=3) for name in ("native", "reference")}
    for t in range(25):
        logits = (torch.randn(6, 300, generator=torch.Generator().manual_seed(t)) * 3).to(dtype)
        steps = {}
        for name, state in states.items():
            with ad.use_backend(name):
                steps[name] = ad.sample(logits, packed, seed=8, state=state)
        ours, theirs = steps.values()
        assert torch.equal(ours.token, theirs.token)
        assert torch.equal(ours.n_kept, theirs.n_kept)
        a, b = (state.mu for state in states.values())
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12, equal_nan=True)
    assert states["native"].mu.isnan().tolist() == [False] * 4 + [True] * 2
    assert int(states["native"].length.min()) > 3


def test_given_tokens_and_tokens_outside(backend: str) -> None:
    adaptor = ad.Adaptor(mirostat_tau=0.2, mirostat_lr=0.5)
    logits = torch.tensor([[2.0, 1.0, -1.0, -4.0]])
    state = ad.SequenceState.start(1)
    path = []
    for y in (0, 3, 1):
        ad.score(logits, torch.tensor([y]), adaptor, state=state)
        path.append(float(state.mu[0]))
    assert path == pytest.approx(walk([logits[0]] * 3, [0, 3, 1], adaptor)[1])
    assert state.sum_log_q.item() == -math.inf  # token 3 was outside


def test_what_leaves_the_threshold_alone(backend: str) -> None:
    adaptor = ad.Adaptor(mirostat_tau=1.0)
    state = ad.SequenceState.start(3, eos_token_id=0)
    ad.score(torch.zeros(3, 4), torch.tensor([0, 1, 1]), adaptor, state=state)  # row 0 ends
    before = state.mu.clone()
    logits = torch.randn(3, 4)
    logits[2] = math.nan
    with pytest.raises(ad.BadLogitsError):
        ad.sample(logits, adaptor, state=state, strict=True)
    assert torch.equal(state.mu, before)
    ad.sample(logits, adaptor, state=state, strict=False)
    assert (state.mu != before).tolist() == [False, True, False]
    ad.sample(torch.randn(3, 4), ad.Adaptor(), state=state, strict=False)
    assert state.mu[0] == before[0]


def test_gather_and_join_carry_it() -> None:
    state = ad.SequenceState.start(2)
    ad.sample(torch.randn(2, 9), ad.Adaptor(mirostat_tau=1.0), state=state)
    picked = state.select(torch.tensor([1, 1, 0]))
    assert torch.equal(picked.mu, state.mu[[1, 1, 0]])
    assert torch.equal(picked.join(state).mu, state.mu[[1, 1, 0, 0, 1]])


def test_extremes(backend: str) -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0]])
    for tau, kept in ((1e-9, 2), (50.0, 4)):  # the most probable with ties; everything
        step = ad.sample(logits, ad.Adaptor(mirostat_tau=tau), state=ad.SequenceState.start(1))
        assert step.n_kept.item() == kept


HEATED = {"temperature": 0.9, "mirostat_tau": 1.2, "mirostat_lr": 0.5}


def law(lm: TableLM, adaptor: ad.Adaptor, fixed: bool = False) -> tuple[list[list[int]], Tensor]:
    """Strings and their globally normalised law (target "power") along their own thresholds."""
    strings = enumerate_strings(lm, PROMPT, T).completions()
    total = torch.zeros(len(strings), dtype=torch.float64)
    for i, string in enumerate(strings):
        rows = [lm.table[context] for context in [PROMPT[-1], *string][: len(string)]]
        kept = walk(rows, string, adaptor)[0]
        if fixed:
            kept = [walk([row], [0], adaptor)[0][0] for row in rows]
        for row, mask, y in zip(rows, kept, string, strict=True):
            log_p = row.double().log_softmax(0)[y] / adaptor.temperature
            total[i] += log_p if mask[y] else -math.inf
    return strings, total.softmax(0)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("method", ["rejection", "imh"])
def test_law_of_whole_strings(method: str) -> None:
    lm, adaptor = TableLM.random(5, eos_token_id=0, scale=0.9, seed=5), ad.Adaptor(**HEATED)
    made = sampler(lm, adaptor, method=method)
    burn_in = 31 if method == "imh" else 0
    out = made.sample([PROMPT] * 5000, n_samples=1, burn_in=burn_in, seed=3).samples()
    strings, exact = law(lm, adaptor)
    assert float(exact.max()) < 0.8  # several strings have a share
    assert p_value(out.completions(), strings, exact) > LEVEL
    wrong = law(lm, adaptor, fixed=True)[1]  # a threshold that stays where it starts
    assert p_value(out.completions(), strings, wrong) < LEVEL


@pytest.mark.parametrize(
    "field", [{"top_k": 3}, {"top_p": 0.9}, {"epsilon_cutoff": 0.1}, {"cut_on": "base"}]
)
def test_it_comes_alone(field: dict) -> None:
    name = next(iter(field))
    with pytest.raises(ValueError, match=f"mirostat_tau must be 0 together with {name} .*got 1.0"):
        ad.Adaptor(mirostat_tau=1.0, **field)
    for bad in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="mirostat_tau must be >= 0 and finite"):
            ad.Adaptor(mirostat_tau=bad)


def test_it_needs_a_state() -> None:
    logits, y, adaptor = torch.zeros(2, 4), torch.zeros(2).long(), ad.Adaptor(mirostat_tau=1.0)
    for given in (adaptor, [ad.Adaptor(), adaptor], ad.pack(adaptor, 2)):
        for call in (
            lambda g=given: ad.sample(logits, g, positions=0),
            lambda g=given: ad.score(logits, y, g),
            lambda g=given: ad.kept_mask(logits, g),
        ):
            with pytest.raises(ValueError, match="must be without mirostat_tau where there is no"):
                call()
    with pytest.raises(ValueError, match="score_grid: adaptors must be without mirostat_tau"):
        ad.score_grid(logits, y, [adaptor])


def test_teacher_forced_strings() -> None:
    lm = TableLM.random(5, eos_token_id=0, scale=0.9, seed=5)
    mirostat, cut = ad.Adaptor(**HEATED), ad.Adaptor(top_p=0.8)
    out = ad.generate(lm, [PROMPT], adaptor=mirostat, max_new_tokens=9, num_return_sequences=40)
    texts = out.completions()
    only = ad.score_strings(lm, [PROMPT] * 40, texts, [mirostat])
    torch.testing.assert_close(only.log_q[0], out.log_q)
    many = ad.score_strings(lm, [PROMPT] * 40, texts, [cut, mirostat, ad.Adaptor()], batch_size=16)
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl"):
        torch.testing.assert_close(getattr(many, name)[1], getattr(out, name))
    assert torch.equal(many.length[1], out.length)
    assert many.status[1].eq(0).all()
    alone = ad.score_strings(lm, [PROMPT] * 40, texts, [cut])
    torch.testing.assert_close(many.log_q[0], alone.log_q[0])
