"""What whole-string samplers return."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import deprecated

from aligndec.generation import Generation, Prepared
from aligndec.imh import Diagnostics
from aligndec.shared import SHOWN, as_frame, as_html, as_text, result
from aligndec.step import SUMS

__all__ = ["GlobalSamples", "different", "strings_of"]


@result
class GlobalSamples(NamedTuple):
    """Samples of the target for P prompts, and everything that they were made from.

    Attributes
    ----------
    generation : Generation
        The proposals, prompt-major. By "rejection" the accepted strings only: the others stop at
        the token that rejects them. By "smc" all particles, filter by filter; by "pimh" the
        particle that each filter chose, or all with `keep_particles`.
    index : int64 [P, n_samples]
        Rows of `generation`; a string that was held or drawn several times comes several times.
        −1 (only in what `NotEnoughSamples` carries): there is no such sample.
    accepted : bool [P, n_proposals]
        By proposal: "imh", "pimh" and "suffix", whether it replaced the state (the first of a chain
        always does); "rejection", whether it was accepted; "sir" and "smc", whether it was drawn.
        A proposal of "pimh" is a whole filter.
    log_weight : float64 [P, n_proposals]
        ln target − ln proposal law. By rejection what is left of it after the test: 0 for accepted
        proposals, −inf for the others, NaN where a prompt needed fewer than n_proposals. By "smc"
        a particle's final weight and what its filter has put aside: the particles of all filters
        are one weighted sample. By "pimh" `log_z_hat`.
    diagnostics : Diagnostics
        Fields [P]; `n_unique` counts the different strings among the samples.
    model_tokens, model_forwards : int
        Tokens that the model read, those of prompts included and padding aside, and its calls.
    log_z_hat : float64 [P, n_chains] ("smc") or [P, n_proposals] ("pimh"), else None
        Each filter's estimate of ln Z, the target's normaliser: E exp(log_z_hat) = Z.
    ancestors : int64 [P, filters, max_new_tokens, n_particles] or None
        With `keep_particles`: the slot that each slot went on from after each step.
    """

    generation: Generation
    index: Tensor  # type: ignore[assignment]  # the name hides tuple.index
    accepted: Tensor
    log_weight: Tensor
    diagnostics: Diagnostics
    model_tokens: int = 0
    model_forwards: int = 0
    log_z_hat: Tensor | None = None
    ancestors: Tensor | None = None

    def samples(self) -> Generation:
        """Gather the samples themselves: P · n_samples rows, prompt-major."""
        return self.generation.select(self.index.reshape(-1))

    @deprecated("GlobalSamples.strings has become samples", category=None)
    def strings(self) -> Generation:
        """Do what `samples` does; the old name goes with a later minor version."""
        return self.samples()

    def texts(self, tokenizer: Any = None) -> list[str]:
        """Return the texts of the samples, prompt-major; see `Generation.texts`."""
        return self.samples().texts(tokenizer)

    def prompt_texts(self, tokenizer: Any = None) -> list[str]:
        """Return the text of each sample's prompt."""
        return self.samples().prompt_texts(tokenizer)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the samples as columns, a row for each; `sample` counts those of a prompt."""
        columns = self.samples().to_dict()
        n = self.index.shape[1]
        return {"sample": list(range(n)) * len(self.index), **columns}

    def to_pandas(self) -> Any:
        """Return the same columns as a `pandas.DataFrame`."""
        return as_frame("GlobalSamples.to_pandas", self.to_dict())

    def __repr__(self) -> str:
        return as_text(*_summary(self))

    def _repr_html_(self) -> str:
        return as_html(*_summary(self))

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


def _summary(samples: GlobalSamples) -> tuple[str, dict[str, list[Any]], int]:
    """Return a title, what the diagnostics say of the first prompts, and how many there are."""
    (prompts, n), proposals = samples.index.shape, samples.accepted.shape[1]
    judged = samples.diagnostics
    title = f"GlobalSamples: {n} samples for each of {prompts} prompts, from {proposals} proposals"
    flags = [
        [name for name, flag in judged.flags.items() if bool(flag[i])]
        for i in range(min(prompts, SHOWN))
    ]
    names = ("acceptance_rate", "n_unique", "ess", "log_z", "log_z_se")
    out: dict[str, list[Any]] = {"prompt": list(range(min(prompts, SHOWN)))}
    out |= {name: getattr(judged, name)[:SHOWN].tolist() for name in names}
    return title, out | {"flags": [", ".join(found) or "none" for found in flags]}, prompts


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


def strings_of(
    given: Prepared, prompt: Tensor, draw: Tensor, tokens: Tensor, sums: Tensor, **fields: Any
) -> Generation:
    """Return strings as a `Generation`, cut at the longest of them.

    `prompt` int64 [N]: rows of the prompts; `tokens` int64 [N, T]; `sums` float64 [5, N] in the
    order of `SUMS`; the rest as in `Generation`.
    """
    width = max(1, int(fields["length"].max()) if len(prompt) else 1)
    return Generation(
        tokens=tokens[:, :width].contiguous(),
        input_ids=given.ids.to(tokens.device),
        attention_mask=given.mask.to(tokens.device),
        prompt_ids=given.names.to(tokens.device),
        prompt_index=prompt,
        draw=draw,
        **dict(zip(SUMS, sums.contiguous(), strict=True)),
        pad_token_id=given.pad,
        eos_token_id=given.eos,
        adaptors=given.adaptors,
        **fields,
    )


def different(generation: Generation, index: Tensor) -> Tensor:
    """Count the different strings among samples [P, n]; −1 is none. int64 [P]."""
    ends = torch.stack([generation.length, generation.finished.long()], 1)
    strings = torch.cat([ends, generation.tokens], 1)
    counts = [len(torch.unique(strings[rows[rows >= 0]], dim=0)) for rows in index]
    return torch.tensor(counts, dtype=torch.int64, device=index.device)
