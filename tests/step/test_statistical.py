"""Chi-square tests of what `sample` draws, each beside a control that must fail."""

import pytest
import torch
from support.cases import randn
from support.oracle import chi_square_p, kept
from support.tiny_tables import CAP, LMS, TinyLM, score_strings
from torch import Tensor

import aligndec as ad

# The native kernel draws here; the reference is bound to it bit for bit by test_parity.
pytestmark = [pytest.mark.statistical, pytest.mark.usefixtures("native")]

LEVEL, CONTROL = 1e-6, 1e-9
DRAWS = 100_000
LAWS = {
    "identity": {},
    "cold_top_p": {"temperature": 0.7, "top_p": 0.9},
    "typical": {"typical_p": 0.6},
    "warm_top_k": {"temperature": 1.3, "top_k": 4},
    "eta": {"eta_cutoff": 0.2},
    "top_a": {"top_a": 0.3},
    "p_less": {"p_less": 1.5},
    "cold_top_h": {"temperature": 0.8, "top_h": 0.7},
}


def exact(x: Tensor, fields: dict[str, float | int]) -> Tensor:
    """The law q [V] of one row, from the float64 oracle."""
    mask = kept(x.double(), **fields).mask
    tau = float(fields.get("temperature", 1.0))
    return (x.double() / tau).masked_fill(~mask, -torch.inf).softmax(1)[0]


def draw(x: Tensor, adaptor: ad.Adaptor, seed: int = 1, position: int = 0) -> Tensor:
    return ad.sample(x.expand(DRAWS, -1), adaptor, seed=seed, positions=position).token


def counts(token: Tensor, cells: int) -> Tensor:
    return torch.bincount(token, minlength=cells)


@pytest.mark.parametrize("name", LAWS)
def test_law_of_one_step(name: str) -> None:
    x = randn(1, 12, 3, 2.0)
    observed = counts(draw(x, ad.Adaptor(**LAWS[name])), 12)
    assert chi_square_p(observed, exact(x, LAWS[name])) > LEVEL


@pytest.mark.parametrize(
    ("drawn", "claimed"),
    [
        ({"temperature": 0.95}, {}),
        ({"temperature": 0.95, "top_k": 8}, {"top_k": 8}),
        ({"top_k": 4}, {"top_k": 3}),
        ({"top_k": 3}, {"top_k": 4}),
        ({"typical_p": 0.6}, {"top_p": 0.6}),
        ({"top_a": 0.3}, {"min_p": 0.3}),
        ({"p_less": 1.5}, {"p_less": 2.0}),
        ({"top_h": 0.5}, {"top_p": 0.5}),
    ],
)
def test_control_wrong_laws_are_seen(drawn: dict, claimed: dict) -> None:
    x = randn(1, 12, 3, 2.0)
    assert chi_square_p(counts(draw(x, ad.Adaptor(**drawn)), 12), exact(x, claimed)) < CONTROL


def test_ties_at_the_cut_are_drawn_and_dropping_one_is_seen() -> None:
    x = torch.tensor([[2.0, 1.0, 1.0, 0.0, 1.0]])
    observed = counts(draw(x, ad.Adaptor(top_k=2)), 5)
    q = torch.tensor([[2.0, 1, 1, -torch.inf, 1]]).double().softmax(1)[0]
    assert chi_square_p(observed, q) > LEVEL
    dropped = torch.tensor([[2.0, 1, -torch.inf, -torch.inf, 1]]).double().softmax(1)[0]
    assert chi_square_p(observed, dropped) < CONTROL


def test_large_vocabulary() -> None:
    """Cells of a long row, pooled by thousands of neighbouring ids."""
    x, rows, batches = randn(1, 32000, 4, 2.0), 250, 4
    q = exact(x, {"top_p": 0.95})
    cell = torch.arange(32000) // 2000
    pooled = torch.zeros(16).double().index_add(0, cell, q)
    observed = torch.zeros(16, dtype=torch.int64)
    for batch in range(batches):
        step = ad.sample(x.expand(rows, -1), ad.Adaptor(top_p=0.95), seed=2, positions=batch)
        observed += counts(cell[step.token], 16)
    assert chi_square_p(observed, pooled) > LEVEL
    # Control: the draws of another model.
    other = torch.zeros(16).double().index_add(0, cell, exact(x.flip(1).sort(1).values, {}))
    assert chi_square_p(observed, other) < CONTROL


def pair_p(first: Tensor, second: Tensor, q: Tensor) -> float:
    """P-value of two draws being independent with law q each."""
    cells = len(q)
    return chi_square_p(counts(first * cells + second, cells**2), torch.outer(q, q).flatten())


def test_draws_are_independent_across_seeds_positions_and_sequences() -> None:
    x = randn(1, 8, 5, 1.0)
    q = exact(x, {})
    here = draw(x, ad.Adaptor())
    assert pair_p(here, draw(x, ad.Adaptor(), position=1), q) > LEVEL
    assert pair_p(here, draw(x, ad.Adaptor(), seed=2), q) > LEVEL
    assert pair_p(here[:-1:2], here[1::2], q) > LEVEL
    # Control: the same uniforms twice.
    assert pair_p(here, draw(x, ad.Adaptor()), q) < CONTROL


def test_one_seed_per_row_is_honoured() -> None:
    x = randn(1, 8, 5, 1.0)
    ids = torch.zeros(DRAWS, dtype=torch.int64)
    options = {"sequence_ids": ids, "positions": 0}
    step = ad.sample(x.expand(DRAWS, -1), seed=torch.arange(DRAWS), **options)
    assert chi_square_p(counts(step.token, 8), exact(x, {})) > LEVEL
    # Control: one seed for all rows gives one token for all rows.
    same = ad.sample(x.expand(DRAWS, -1), seed=7, **options)
    assert same.token.unique().numel() == 1


def draw_strings(lm: TinyLM, adaptor: ad.Adaptor, reuse: bool = False) -> Tensor:
    """Counts of the strings of the model, in the order of its enumeration."""
    state = ad.SequenceState.start(DRAWS, eos_token_id=lm.eos, pad_token_id=lm.eos)
    vocab = lm.table.shape[1]
    table = lm.table.float()
    previous = torch.full((DRAWS,), vocab)
    number = torch.zeros(DRAWS, dtype=torch.int64)
    for _ in range(CAP):
        options = {"positions": 0} if reuse else {}
        step = ad.sample(table[previous], adaptor, seed=9, state=state, **options)
        # Finished rows are fed pad = EOS, so a string is its digits in base V + 1.
        number = number * (vocab + 1) + step.token.where(step.status == 0, vocab)
        previous = step.token
    index = {}
    for i, s in enumerate(lm.strings()):
        digits = (*s, *([vocab] * (CAP - len(s))))
        index[sum(d * (vocab + 1) ** k for k, d in enumerate(reversed(digits)))] = i
    values, n = number.unique(return_counts=True)
    observed = torch.zeros(len(index), dtype=torch.int64)
    observed[[index[v] for v in values.tolist()]] = n
    return observed


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.8, "top_k": 3}, {"typical_p": 0.7}])
def test_law_of_strings(fields: dict[str, float]) -> None:
    lm = LMS["four"]
    state = score_strings(lm, ad.Adaptor(**fields), torch.float64)
    observed = draw_strings(lm, ad.Adaptor(**fields))
    assert chi_square_p(observed, state.sum_log_q.exp()) > LEVEL


def test_control_reused_uniforms_are_seen() -> None:
    lm = LMS["four"]
    q = score_strings(lm, ad.Adaptor(), torch.float64).sum_log_q.exp()
    assert chi_square_p(draw_strings(lm, ad.Adaptor(), reuse=True), q) < CONTROL
    warm = draw_strings(lm, ad.Adaptor(temperature=0.95))
    assert chi_square_p(warm, q) < CONTROL


def test_chi_square_of_the_oracle() -> None:
    """The judge itself: known p-values, and a cell of probability zero."""
    even = torch.full((4,), 0.25).double()
    assert chi_square_p(torch.tensor([25, 25, 25, 25]), even) == 1.0
    # Statistic 7.815 with 3 degrees of freedom: the 5 % quantile.
    observed = torch.tensor([10_000, 10_000, 10_000, 10_000]) + torch.tensor([140, 140, -140, -140])
    assert chi_square_p(observed, even) == pytest.approx(0.0489, abs=0.002)
    assert chi_square_p(torch.tensor([5, 1]), torch.tensor([1.0, 0.0])) == 0.0
    # Not hidden by rare cells that are pooled.
    assert chi_square_p(torch.tensor([997, 2, 1]), torch.tensor([0.997, 0.003, 0.0])) == 0.0
