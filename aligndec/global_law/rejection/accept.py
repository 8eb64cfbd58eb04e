"""Whether strings pass their last step, fail at it, or have come to their end."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aligndec.global_law.rejection.draw import Drawn
from aligndec.global_law.rejection.strings import Strings

__all__ = ["Verdict", "accept"]


class Verdict(NamedTuple):
    """`decided` bool [B]: strings that failed or ended; `accepted` bool [B]: those that count."""

    decided: Tensor
    accepted: Tensor


def accept(strings: Strings, drawn: Drawn, *, keep_unfinished: bool) -> Verdict:
    """Judge each string by the random number of its step; unusable logits fail.

    Parameters
    ----------
    keep_unfinished : bool
        Whether a string that reaches the length cap counts.
    """
    alive, sums = strings.alive, strings.sums
    log_u = strings.log_u.gather(1, drawn.position[:, None])[:, 0]
    failed = alive & ~((log_u < drawn.log_chance) & drawn.usable)
    capped = sums.length == strings.tokens.shape[1]
    ended = alive & ~failed & (sums.finished | capped)
    return Verdict(failed | ended, ended & (sums.finished | keep_unfinished))
