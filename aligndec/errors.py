"""Errors that aligndec raises beyond ValueError and TypeError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aligndec.shared import lazily

__all__ = ["AligndecError", "NotEnoughSamples", "RewardError"]


class AligndecError(Exception):
    """Base class of the package's own errors."""


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


# It carries a `Step`, so it stands beside it, above this module.
__getattr__, __dir__ = lazily(
    __name__, {"BadLogitsError": "aligndec.step.types"}, (*__all__, "BadLogitsError")
)
