"""What the referee found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from aligndec.errors import AligndecError

__all__ = ["SamplerMismatch", "SamplerReport", "SamplerTest"]


class SamplerMismatch(AligndecError, AssertionError):
    """A sampler does not draw from the law that it claims."""


@dataclass(frozen=True)
class SamplerTest:
    """One test: what it is about, its statistic and p-value, and whether it passed.

    `row` is a row of the logits, None for all. `n` draws or pairs went in. `p` is None for a test
    that was not made, which `note` explains, 0 or 1 for one without randomness: `statistic` then
    counts what must not happen at all.
    """

    name: str
    row: int | None
    n: int
    statistic: float
    df: int | None
    p: float | None
    passed: bool
    note: str = ""


@dataclass(frozen=True)
class SamplerReport:
    """All tests of a sampler.

    `alpha` bounds the family-wise error: the probability that a right sampler fails any test, by
    Bonferroni over the `n_random` tests with a p-value in (0, 1], each at `alpha / n_random`.
    """

    tests: tuple[SamplerTest, ...]
    n_draws: int
    alpha: float
    n_random: int
    seed: int
    adaptors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no test failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[SamplerTest, ...]:
        """The tests that failed."""
        return tuple(test for test in self.tests if not test.passed)

    def raise_if_failed(self) -> SamplerReport:
        """Return the report, or raise `SamplerMismatch` (an AssertionError) with its table."""
        if not self.passed:
            raise SamplerMismatch(f"check_sampler: the law must be the claimed one, got\n{self}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {"passed": self.passed, "family_wise_error": self.alpha, **asdict(self)}

    def to_json(self) -> str:
        """Return the report as a JSON object."""
        return json.dumps(self.to_dict(), indent=1)

    def table(self) -> str:
        """Return a line for each test."""
        head = ("", "test", "row", "n", "statistic", "df", "p", "")
        lines = [head, *map(_cells, self.tests)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)]
        return "\n".join(
            "  ".join([*map(str.ljust, line[:-1], widths), line[-1]]).rstrip() for line in lines
        )

    def __str__(self) -> str:
        verdict = "passed" if self.passed else f"FAILED {len(self.failures)} tests"
        return (
            f"{self.table()}\n{verdict}: {self.n_draws} draws, family-wise error <= {self.alpha:g} "
            f"(Bonferroni over {self.n_random} tests)"
        )


def _cells(test: SamplerTest) -> tuple[str, ...]:
    mark = "ok" if test.passed else "FAIL"
    return (
        "-" if test.p is None else mark,
        test.name,
        "all" if test.row is None else str(test.row),
        str(test.n),
        f"{test.statistic:.2f}".removesuffix(".00"),
        "" if test.df is None else str(test.df),
        "" if test.p is None else f"{test.p:.3g}",
        test.note,
    )
