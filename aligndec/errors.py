"""Errors that aligndec raises beyond ValueError and TypeError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aligndec._step_types import Step

__all__ = ["AligndecError", "BadLogitsError", "NotEnoughSamples", "RewardError"]


class AligndecError(Exception):
    """Base class of the package's own errors."""


_REASONS = {1: "NaN or +inf", 2: "no token left", 5: "its kept set is not complete"}


class BadLogitsError(AligndecError, ValueError):
    """Some rows of logits hold NaN or +inf, or leave no token at all, or their set is unknown.

    Attributes
    ----------
    rows : list of int
        The bad rows, in row-major order of the leading dimensions.
    step : Step
        What was computed: status 1 (NaN or +inf), 2 (no token) or 5 (a given kept set that is not
        complete) in the bad rows, everything else as usual. Nothing was committed to a state.
    """

    def __init__(self, rows: Sequence[int], step: Step, function: str = "sample") -> None:
        self.rows = list(rows)
        self.step = step
        status = step.status.reshape(-1)
        shown = ", ".join(f"row {r}: {_REASONS[int(status[r])]}" for r in self.rows[:8])
        sets = " and kept must be complete" if any(int(status[r]) == 5 for r in self.rows) else ""
        more = f" and {len(self.rows) - 8} more" if len(self.rows) > 8 else ""
        super().__init__(
            f"{function}: logits must be finite or -inf with at least one finite value per row"
            f"{sets}, got {shown}{more} (strict=False marks such rows instead)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.rows, self.step)


class NotEnoughSamples(AligndecError):
    """Rejection sampling reached its bound of proposals.

    Attributes
    ----------
    samples : object
        What was accepted so far.
    n_proposals : int
        Proposals spent.
    """

    def __init__(self, samples: Any, n_proposals: int) -> None:
        self.samples = samples
        self.n_proposals = n_proposals
        super().__init__(f"{n_proposals} proposals did not give enough accepted samples")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.samples, self.n_proposals)


class RewardError(AligndecError):
    """A reward function raised, or returned NaN, None or a wrong number of values.

    Attributes
    ----------
    items : list of int
        Positions in the call of the items without a usable reward; all of them when the function
        raised or returned another number of values.
    """

    def __init__(self, message: str, items: Sequence[int] = ()) -> None:
        self.items = list(items)
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.items)
