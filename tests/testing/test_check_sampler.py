"""The referee lets a right sampler pass and finds every planted bug."""

import json

import pytest
import torch
from support.samplers import PLANTED, ROWS, inverse_cdf, law

from aligndec import Adaptor, sample
from aligndec.testing import check_sampler

DRAWS = 20_000


def own(logits, seeds):
    return sample(logits, seed=seeds, sequence_ids=torch.zeros_like(seeds), positions=0).token


def test_the_step_itself_passes() -> None:
    """Three laws at once, one of ties, seeds by row."""
    adaptors = [Adaptor(temperature=0.8, top_p=0.9), Adaptor(top_k=5), Adaptor(min_p=0.05)]

    def draw(row, seeds, ids=None):
        ids = torch.zeros_like(seeds) if ids is None else ids
        own = [adaptors[i] for i in row.tolist()]
        return sample(ROWS[row], own, seed=seeds, sequence_ids=ids, positions=0).token

    report = check_sampler(draw, ROWS, adaptors, draws=2000, by_row=True, seed=1)
    assert report.passed, report

    # Names that are places in the batch: the right law, and bound to the batch.
    def placed(row, seeds):
        return draw(row, seeds, torch.arange(len(row)))

    bound = check_sampler(placed, ROWS, adaptors, draws=512, by_row=True, seed=1)
    assert [t.name for t in bound.failures] == ["free of batch mates"]
    assert {t.name for t in report.tests} == {
        "support",
        "law",
        "mean surprise",
        "rows of a batch",
        "successive calls",
        "seeds honoured",
        "free of batch mates",
    }


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.statistical
def test_planted_bugs_are_found(name: str) -> None:
    bug = PLANTED[name]
    right = check_sampler(bug.right, bug.logits, bug.adaptor, draws=DRAWS, seed=7)
    assert right.passed, right
    report = check_sampler(bug.wrong, bug.logits, bug.adaptor, draws=DRAWS, seed=7)
    assert {t.name for t in report.failures} >= set(bug.found_by), report
    with pytest.raises(AssertionError, match="law must be the claimed one"):
        report.raise_if_failed()


@pytest.mark.slow
@pytest.mark.statistical
def test_false_alarms_are_as_rare_as_stated() -> None:
    """At α = 0.2 so that 120 runs tell; the bound of 0.2 would be passed by more than 40 alarms."""
    q = law(ROWS[0], Adaptor(top_p=0.9))
    alarms = 0
    for run in range(120):
        report = check_sampler(
            lambda logits, seeds: inverse_cdf(q.expand(len(logits), -1), seeds),
            *(ROWS[0], Adaptor(top_p=0.9)),
            draws=2000,
            alpha=0.2,
            seed=run,
        )
        alarms += not report.passed
    assert 0 < alarms <= 40


def test_few_cells_are_simulated_and_rare_ones_pooled() -> None:
    report = check_sampler(
        own,
        torch.tensor([2.0, 1.0, -9.0, -9.5]),
        draws=512,
        seed=0,
    )
    found = next(t for t in report.tests if t.name == "law")
    assert (found.note, found.df) == ("simulated", 2)
    assert report.passed


def test_a_point_law_leaves_only_its_support() -> None:
    greedy = Adaptor(temperature=0)
    logits = torch.tensor([0.0, 3.0, 1.0])
    report = check_sampler(lambda x, s: x.argmax(1), logits, greedy, draws=64, seed=0)
    assert report.passed
    assert not check_sampler(lambda x, s: x.argmin(1), logits, greedy, draws=64, seed=0).passed


def test_the_report_is_a_table_and_json() -> None:
    report = check_sampler(own, ROWS[0], draws=512, seed=3)
    read = json.loads(report.to_json())
    assert read["passed"] is report.passed
    assert read["family_wise_error"] == 1e-3
    assert len(report.table().splitlines()) == 1 + len(read["tests"])
    assert "family-wise error <= 0.001 (Bonferroni over 4 tests)" in str(report)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (dict(logits=torch.zeros(0, 3)), r"logits must be \[R, V\] or \[V\]"),
        (dict(adaptor=[Adaptor()] * 2), r"adaptor must be an Adaptor or R = 3"),
        (dict(adaptor=Adaptor(mirostat_tau=2.0)), "adaptor must have no state"),
        (dict(draws=0), "draws must be >= 1"),
        (dict(alpha=0.0), r"alpha must be in \(0, 1\)"),
        (dict(seeding="batch"), "seeding must be row, call or none"),
        (dict(draw=lambda x, s: x[:, 0]), r"draw must return int64 \[B\]"),
        (
            dict(draw=lambda x, s: torch.full((len(x),), 99)),
            r"draw must return tokens in \[0, 12\)",
        ),
    ],
)
def test_bad_arguments_are_refused(change, error) -> None:
    given = dict(draw=lambda x, s: x.argmax(1), logits=ROWS, adaptor=Adaptor(), draws=64) | change
    draw, logits, adaptor = (given.pop(k) for k in ("draw", "logits", "adaptor"))
    with pytest.raises(ValueError, match=error):
        check_sampler(draw, logits, adaptor, **given)
