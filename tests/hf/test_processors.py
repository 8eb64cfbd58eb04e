"""Kept sets and numbers against transformers' processors on float64 scores, and a second oracle.

The large grids run on the backend of the build, a part of them on both.
"""

import pytest
import torch
from support.cases import LARGE_SIZES, distinct
from support.oracle import STAGES, kept
from support.rows import SHAPES, SMALL, check_numbers
from torch import Tensor

import aligndec as ad

transformers = pytest.importorskip("transformers")

TEMPERATURES = (0.5, 0.7, 1.0, 1.3)
CHAINS: dict[str, dict[str, float | int]] = {
    "top_k": {"top_k": 10},
    "top_p_low": {"top_p": 0.3},
    "top_p": {"top_p": 0.9},
    "min_p": {"min_p": 0.05},
    "typical_low": {"typical_p": 0.2},
    "typical": {"typical_p": 0.9},
    "epsilon": {"epsilon_cutoff": 1e-3},
    "eta": {"eta_cutoff": 2e-3},
    "top_k_top_p": {"top_k": 20, "top_p": 0.8},
    "top_k_min_p": {"top_k": 20, "top_p": 0.95, "min_p": 0.1},
    "top_p_typical": {"top_p": 0.95, "typical_p": 0.8},
    "cutoffs": {"epsilon_cutoff": 3e-4, "eta_cutoff": 3e-3},
    "all": {
        "top_k": 200,
        "top_p": 0.97,
        "min_p": 0.002,
        "typical_p": 0.95,
        "epsilon_cutoff": 1e-4,
        "eta_cutoff": 1e-3,
    },
}


def processors(fields: dict[str, float | int]) -> list:
    """The warpers of transformers in the order of its generate."""
    from transformers import (
        EpsilonLogitsWarper,
        EtaLogitsWarper,
        MinPLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
        TypicalLogitsWarper,
    )

    classes = dict(
        zip(
            STAGES,
            (
                TopKLogitsWarper,
                TopPLogitsWarper,
                MinPLogitsWarper,
                TypicalLogitsWarper,
                EpsilonLogitsWarper,
                EtaLogitsWarper,
            ),
            strict=False,
        )
    )
    chain = [classes[name](fields[name]) for name in STAGES if name in fields]
    for warper in chain:
        if isinstance(warper, EtaLogitsWarper):
            # It holds the float32 neighbour of the number; the number itself is meant.
            warper.epsilon = torch.tensor(fields["eta_cutoff"], dtype=torch.float64)
    return chain


def transformers_mask(x: Tensor, fields: dict[str, float | int], tau: float) -> Tensor:
    scores = x.double() / tau
    for warper in processors(fields):
        scores = warper(None, scores)
    return scores.isfinite()


def compare(x: Tensor, fields: dict[str, float | int], tau: float, cut_on: str) -> tuple[int, int]:
    """Compare one batch; returns the numbers of rows and of rows left out at the margin."""
    adaptor = ad.Adaptor(temperature=tau, cut_on=cut_on, **fields)
    expected = transformers_mask(x, fields, 1.0 if cut_on == "base" else tau)
    second = kept(x.double(), temperature=tau, cut_on=cut_on, **fields)
    assert torch.equal(second.mask[second.safe], expected[second.safe])
    actual = ad.kept_mask(x, adaptor)
    wrong = ((actual != expected).any(1) & second.safe).nonzero()[:, 0].tolist()
    assert not wrong, f"rows {wrong} of {tuple(x.shape)} differ at temperature {tau}"
    check_numbers(x[second.safe], expected[second.safe], adaptor)
    return len(x), int((~second.safe).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_kept_sets_of_transformers(name: str) -> None:
    rows = unsafe = 0
    for i, tau in enumerate(TEMPERATURES):
        for j, (count, vocab, scale) in enumerate(SHAPES):
            x = distinct(count, vocab, seed=100 * i + j, scale=scale)
            done, left_out = compare(x, CHAINS[name], tau, "scaled")
            rows, unsafe = rows + done, unsafe + left_out
    assert rows >= 1000
    assert unsafe <= 0.02 * rows, f"{unsafe} of {rows} rows are too close to the cut to compare"


@pytest.mark.slow
@pytest.mark.parametrize("vocab", LARGE_SIZES)
@pytest.mark.parametrize("name", CHAINS)
def test_kept_sets_of_transformers_in_large_vocabularies(name: str, vocab: int) -> None:
    x = distinct(1, vocab, seed=vocab, scale=2.5)
    compare(x, CHAINS[name], 0.7, "scaled")


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", CHAINS)
def test_kept_sets_of_transformers_on_both_backends(name: str) -> None:
    for count, vocab, scale in SMALL:
        compare(distinct(count, vocab, seed=vocab, scale=scale), CHAINS[name], 0.7, "scaled")


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("tau", [0.5, 1.3])
@pytest.mark.parametrize("name", CHAINS)
def test_kept_sets_taken_before_the_scale(name: str, tau: float) -> None:
    for count, vocab, scale in SMALL:
        x = distinct(count, vocab, seed=vocab, scale=scale)
        compare(x, CHAINS[name], tau, "base")


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"top_n_sigma": 1.0}, {"top_k": 30, "top_n_sigma": 2.1}])
@pytest.mark.parametrize("tau", TEMPERATURES)
def test_top_n_sigma_against_float64(fields: dict[str, float], tau: float) -> None:
    rows = unsafe = 0
    for count, vocab, scale in (*SHAPES, (2, LARGE_SIZES[1], 2.0)):
        x = distinct(count, vocab, seed=vocab + 1, scale=scale)
        expected = kept(x.double(), temperature=tau, **fields)
        actual = ad.kept_mask(x, ad.Adaptor(temperature=tau, **fields))
        assert torch.equal(actual[expected.safe], expected.mask[expected.safe])
        check_numbers(
            x[expected.safe],
            expected.mask[expected.safe],
            ad.Adaptor(temperature=tau, **fields),
        )
        rows, unsafe = rows + count, unsafe + int((~expected.safe).sum())
    assert unsafe <= 0.02 * rows


def test_half_types_have_the_numbers_of_their_values() -> None:
    """A half logit is its float32 value; ties are kept, so the oracle is the float32 result."""
    for dtype in (torch.float16, torch.bfloat16):
        x = distinct(8, 500, 3).to(dtype)
        for fields in CHAINS.values():
            adaptor = ad.Adaptor(temperature=0.7, **fields)
            assert torch.equal(ad.kept_mask(x, adaptor), ad.kept_mask(x.float(), adaptor))


def test_the_margin_sees_a_cut_on_the_boundary() -> None:
    """Control of the oracle: a row with its cut on a boundary is unsafe, its neighbour is safe."""
    x = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64).log()
    assert not kept(x, top_p=0.7).safe.item()
    assert kept(x, top_p=0.701).safe.item()
    assert not kept(x, min_p=0.5).safe.item()
    assert kept(x, min_p=0.501).safe.item()
    assert kept(x, typical_p=0.31).mask.tolist() == [[False, True, True, False]]
