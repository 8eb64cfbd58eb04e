"""The laws that given strings are scored under, with what a run told about its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from aligndec.generation.kept import DrawnSets
from aligndec.reference import beyond_temperature
from aligndec.step import SUMS, Adaptor, KeptSets, SequenceState, Step, has_xtc, score, score_grid

__all__ = ["Laws", "laws"]


@dataclass(frozen=True)
class Laws:
    """A adaptors, and for the tokens [N, T] of the strings what they were drawn with.

    `kept` has N · T rows; `coins` is bool [A, N, T], "marginal", or None where no adaptor has xtc.
    """

    adaptors: list[Adaptor]
    kept: KeptSets | None
    coins: Tensor | Literal["marginal"] | None
    strings: int

    def walkers(self, batch: int, device: torch.device) -> dict[int, SequenceState]:
        """Return a state of `batch` strings for each adaptor that walks along them."""
        stateful = [i for i, adaptor in enumerate(self.adaptors) if adaptor.stateful]
        return {i: SequenceState.start(batch, device=device) for i in stateful}

    def score(
        self,
        logits: Tensor,
        tokens: Tensor,
        strings: Tensor,
        first: int,
        walkers: dict[int, SequenceState],
    ) -> tuple[Tensor, Tensor]:
        """Return log_p, log_q, log_z, log_kept, kl [5, A, B, k] and status [A, B, k] of a block.

        Parameters
        ----------
        logits, tokens : [B, k, V], int64 [B, k]
            Negative tokens are past the end of their strings and add zero.
        strings : int64 [B]
            Which of the N strings the rows are.
        first : int
            Number of the block's first token in its string.
        walkers
            States of the adaptors that walk along these rows.
        """
        tokens, n = tokens.contiguous(), len(self.adaptors)
        status = tokens.new_zeros((n, *tokens.shape))
        sums = status.new_zeros((len(SUMS), *status.shape), dtype=torch.float64)
        # Those that know nothing of the run need one read of the logits together.
        alone = [i for i, a in enumerate(self.adaptors) if self._knows(a)]
        grid = [i for i in range(n) if i not in alone]
        if grid:
            step = score_grid(logits, tokens, [self.adaptors[i] for i in grid])
            sums[:, grid], status[grid] = _sums(step), step.status
        for i in alone:
            if i in walkers:
                for c, column in enumerate(tokens.unbind(1)):
                    x, token = logits[:, c], column.contiguous()
                    step = score(x, token, self.adaptors[i], state=walkers[i], strict=False)
                    sums[:, i, :, c], status[i, :, c] = _sums(step), step.status
                continue
            told = self._told(i, strings, first, tokens)
            step = score(logits, tokens, self.adaptors[i], **told, strict=False)
            sums[:, i], status[i] = _sums(step), step.status
        return sums, status

    def sets_of(self, strings: Tensor, width: int, first: int = 0) -> KeptSets | None:
        """Return the given sets of `width` tokens of some strings from token `first` on."""
        if self.kept is None:
            return None
        of_string = self.kept.batch // self.strings
        block = first + torch.arange(width)
        return self.kept.select((strings[:, None] * of_string + block).reshape(-1))

    def _knows(self, adaptor: Adaptor) -> bool:
        return self.kept is not None or adaptor.stateful or has_xtc(adaptor)

    def _told(self, i: int, strings: Tensor, first: int, tokens: Tensor) -> dict[str, Any]:
        """Return what `score` is told about the tokens of some strings from `first` on."""
        block = first + torch.arange(tokens.shape[1])
        if (sets := self.sets_of(strings, tokens.shape[1], first)) is not None:
            return {"kept": sets.to(tokens.device)}
        if isinstance(self.coins, Tensor):
            return {"xtc_coin": self.coins[i, strings[:, None], block].to(tokens.device)}
        return {"xtc_coin": self.coins}


def laws(adaptors: list[Adaptor], kept: Any, coin: Any, length: Tensor) -> Laws:
    """Check what `score_strings` is told about the tokens of N strings of these lengths."""
    n, longest = len(length), int(length.max()) if len(length) else 0
    return Laws(adaptors, _sets(adaptors, kept, n, longest), _coins(adaptors, coin, n, longest), n)


def _sets(adaptors: list[Adaptor], kept: Any, n: int, longest: int) -> KeptSets | None:
    if kept is None:
        return None
    name = "score_strings: kept"
    if not isinstance(kept, KeptSets):
        raise TypeError(f"{name} must be KeptSets (Generation.kept), got {kept!r:.80}")
    for adaptor in adaptors:
        for field, value in beyond_temperature(adaptor).items():
            raise ValueError(
                "score_strings: adaptors must be of a temperature alone where kept is given (the "
                f"sets stand for all cuts), got {field}={value!r}"
            )
    if n and (kept.batch % n or kept.batch // n < longest):
        raise ValueError(
            f"{name} must be of N · T rows, T >= {longest} for each of N = {n} completions (row = "
            f"string · T + token), got {kept.batch}"
        )
    if isinstance(kept, DrawnSets) and kept.edited:
        raise ValueError(
            f"{name} must be of a run without penalties, got sets of one with them: their bias is "
            "not stored, so that log_q of the run is another (KeptSets(*kept) where the law "
            "without the bias is meant)"
        )
    scales = kept.scales if isinstance(kept, DrawnSets) else frozenset()
    if adaptors == [Adaptor()] and scales - {(1.0, None)}:
        drawn = ", ".join(_scale(*scale) for scale in sorted(scales, key=repr))
        raise ValueError(
            f"score_strings: adaptors must be of the temperature that kept was drawn at, {drawn}, "
            "got Adaptor() (give it; or KeptSets(*kept) where temperature 1 is meant)"
        )
    return kept


def _scale(temperature: float, dynamic: tuple[float, float, float] | None) -> str:
    return f"temperature={temperature}" if dynamic is None else f"dynamic_temperature={dynamic}"


def _coins(
    adaptors: list[Adaptor], coin: Any, n: int, longest: int
) -> Tensor | Literal["marginal"] | None:
    if not has_xtc(adaptors):
        return None
    if coin is None:
        raise ValueError(
            "score_strings: adaptors must be without xtc where xtc_coin is not given (the coins of "
            "the tokens, or 'marginal'), got one with xtc"
        )
    if isinstance(coin, str) and coin == "marginal":
        return "marginal"
    if isinstance(coin, Tensor) and coin.dtype == torch.bool and coin.dim() in (2, 3):
        width = coin.shape[-1]
        if coin.shape[-2] == n and width >= longest and coin.shape[:-2] in ((), (len(adaptors),)):
            return coin.expand(len(adaptors), n, width)
    got = f"{coin.dtype} {list(coin.shape)}" if isinstance(coin, Tensor) else repr(coin)
    raise ValueError(
        f"score_strings: xtc_coin must be 'marginal' or bool [N, T] = [{n}, >= {longest}] where an "
        "adaptor has xtc (xtc_coin(adaptor, seed=run.seed, sequence_ids=run.sequence_ids[:, None], "
        f"positions=arange(T)) gives those of a run), got {got}"
    )


def _sums(step: Step) -> Tensor:
    return torch.stack([step.log_p, step.log_q, step.log_z, step.log_kept, step.kl])
