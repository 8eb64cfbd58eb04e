"""What the fused step gives and what its public functions share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.errors import AligndecError
from aligndec.shared import as_frame, as_html, as_text, place_columns, result
from aligndec.step.adaptors import Adaptor
from aligndec.step.packed import PackedAdaptors

__all__ = ["AnyAdaptor", "BadLogitsError", "Step", "is_strict", "raise_if_bad", "warn_same_uniform"]

AnyAdaptor = Adaptor | Sequence[Adaptor] | PackedAdaptors


@result
class Step(NamedTuple):
    """What one step gives per row: int64 token, n_kept and status, the rest float64, in nats.

    `log_p` base law, `log_q` adapted law (−inf outside the kept set), `log_z` mass of the
    transform Σ_C p^{1/τ}, `log_kept` mass of the kept set under the scaled law, `entropy` of the
    base law, `kl` of the adapted law from the base law, `n_kept` the size of the kept set.
    `status`: 0 drawn, 1 NaN or +inf, 2 no token, 3 scored token outside the kept set, 4 skipped,
    5 the given kept set is not complete.
    """

    token: Tensor
    log_p: Tensor
    log_q: Tensor
    log_z: Tensor
    log_kept: Tensor
    entropy: Tensor
    kl: Tensor
    n_kept: Tensor
    status: Tensor

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the fields as columns, a row for every entry of [...] in row-major order."""
        lead = self.token.dim()
        names = ("row",) if lead == 1 else tuple(f"dim_{i}" for i in range(lead))
        fields = zip(self._fields, self, strict=True)
        entries = {name: x.detach().reshape(-1).tolist() for name, x in fields}
        return {**place_columns(names, self.token), **entries}

    def to_pandas(self) -> Any:
        """Return the same columns as a `pandas.DataFrame`."""
        return as_frame("Step.to_pandas", self.to_dict())

    def __repr__(self) -> str:
        return as_text(f"Step: [{', '.join(map(str, self.token.shape))}]", self.to_dict())

    def _repr_html_(self) -> str:
        return as_html(f"Step: [{', '.join(map(str, self.token.shape))}]", self.to_dict())


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


class _Once:
    warned = False


def warn_same_uniform() -> None:
    """Warn once a process: nothing says at which position a call draws."""
    if not _Once.warned and not torch.compiler.is_compiling():
        _Once.warned = True
        warnings.warn(
            "sample: without positions, state or uniforms every call uses position 0, that is the "
            "same random number at every step; pass positions=t or a SequenceState",
            UserWarning,
            stacklevel=3,
        )


def is_strict(strict: bool | None, logits: Tensor) -> bool:
    """Resolve `strict=None`: on the CPU, where looking costs no synchronisation."""
    if strict is None:
        return logits.is_cpu and not torch.compiler.is_compiling()
    return strict


def _any_negative(tokens: Tensor) -> bool:
    # One row is the common case of a loop; a reduction would be half of the call's overhead.
    size = tokens.numel()
    return (tokens.item() if size == 1 else int(tokens.min()) if size else 0) < 0


def raise_if_bad(function: str, step: Step, *, given: bool = False) -> Step:
    """Raise where a row is bad; `given`: a row may also lack a kept set and still have a token."""
    if given or _any_negative(step.token):
        status = step.status.reshape(-1)
        rows = ((status == 1) | (status == 2) | (status == 5)).nonzero()[:, 0].tolist()
        if rows:
            raise BadLogitsError(rows, step, function)
    return step
