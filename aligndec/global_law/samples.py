"""What whole-string samplers return."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from aligndec.generation import Generation
from aligndec.imh import Diagnostics
from aligndec.step import SUMS

__all__ = ["GlobalSamples"]


class GlobalSamples(NamedTuple):
    """Samples of the target for P prompts, and everything that they were made from.

    Attributes
    ----------
    generation : Generation
        The proposals, prompt-major. By rejection the accepted strings only: the others stop at
        the token that rejects them.
    index : int64 [P, n_samples]
        Rows of `generation`; a string that was held or drawn several times comes several times.
        −1 (only in what `NotEnoughSamples` carries): there is no such sample.
    accepted : bool [P, n_proposals]
        By proposal: "imh", whether it replaced the state (the first of a chain always does);
        "rejection", whether it was accepted; "sir", whether it was drawn.
    log_weight : float64 [P, n_proposals]
        ln target − ln proposal law. By rejection what is left of it after the test: 0 for accepted
        proposals, −inf for the others, NaN where a prompt needed fewer than n_proposals.
    diagnostics : Diagnostics
        Fields [P].
    """

    generation: Generation
    index: Tensor  # type: ignore[assignment]  # the name hides tuple.index
    accepted: Tensor
    log_weight: Tensor
    diagnostics: Diagnostics

    def strings(self) -> Generation:
        """Gather the samples themselves: P · n_samples rows, prompt-major."""
        return self.generation.select(self.index.reshape(-1))

    def to_arviz(self, *, n_chains: int = 1) -> Any:
        """Return the sums and lengths of the samples for arviz; needs the extra `stats`.

        Parameters
        ----------
        n_chains : int
            As given to `sample`. R-hat needs more than one.

        Returns
        -------
        xarray.DataTree
            Group "posterior": `log_p`, `log_q`, `log_z`, `log_kept`, `kl` and `length`, each
            (chain, draw, prompt).
        """
        return _to_arviz(self.generation, self.index, n_chains)


def _to_arviz(generation: Generation, index: Tensor, n_chains: int) -> Any:
    """Return rows `index` [P, n_samples] of a generation as a DataTree (chain, draw, prompt)."""
    try:
        from arviz_base import from_dict  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ImportError(
            "GlobalSamples.to_arviz needs arviz-base: pip install 'aligndec[stats]'"
        ) from error
    prompts, samples = index.shape
    if n_chains < 1 or samples % n_chains:
        raise ValueError(
            f"GlobalSamples.to_arviz: n_chains must divide n_samples = {samples}, got {n_chains}"
        )
    rows = generation.select(index.reshape(-1))
    shape = (prompts, samples // n_chains, n_chains)
    values = {
        name: getattr(rows, name).view(shape).permute(2, 1, 0).cpu().numpy()
        for name in (*SUMS, "length")
    }
    names = generation.prompt_ids.tolist()
    return from_dict(
        {"posterior": values},
        coords={"prompt": names},
        dims={name: ["prompt"] for name in values},
    )
