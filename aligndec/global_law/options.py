"""Options that belong to some methods of `GlobalSampler`; given to another one they are refused."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from aligndec.global_law.targets import Target
from aligndec.imh import Scheme, check_scheme, check_threshold
from aligndec.shared import at_least, at_least_if_given, plain_fields

__all__ = ["Options"]

_WHERE = "GlobalSampler"
_FILTERS = ("smc", "pimh")
_USED_BY = {
    "n_particles": _FILTERS,
    "threshold": _FILTERS,
    "resampling": _FILTERS,
    "bridge": _FILTERS,
    "keep_particles": _FILTERS,
    "moves": ("suffix",),
    "block_size": ("suffix",),
}


@dataclass(frozen=True)
class Options:
    """See `GlobalSampler`."""

    n_particles: int = 64
    threshold: float = 0.5
    resampling: Scheme = "systematic"
    bridge: int = 0
    moves: int = 10
    block_size: int | None = None
    keep_particles: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)

    def check(self, method: str, target: Target) -> None:
        """Refuse values out of range and what the method would ignore."""
        at_least(_WHERE, 1, n_particles=self.n_particles, moves=self.moves)
        at_least(_WHERE, 0, bridge=self.bridge)
        at_least_if_given(_WHERE, 1, block_size=self.block_size)
        check_threshold(_WHERE, self.threshold)
        check_scheme(_WHERE, self.resampling)
        if not isinstance(self.keep_particles, bool):
            raise TypeError(f"{_WHERE}: keep_particles must be a bool, got {self.keep_particles!r}")
        for option in fields(self):
            given, users = getattr(self, option.name), _USED_BY[option.name]
            if given != option.default and method not in users:
                _refuse(option.name, option.default, f'method "{method}", which ignores it', given)
        if self.block_size is None and self.moves != type(self).moves:
            _refuse("moves", type(self).moves, "block_size None, which ignores it", self.moves)
        if self.bridge and target != "power":
            name = "a callable" if callable(target) else repr(target)
            raise ValueError(
                f'{_WHERE}: bridge must be 0 for targets other than "power", got {self.bridge} '
                f"for {name}"
            )
        if self.n_particles >= 2**31:
            raise ValueError(f"{_WHERE}: n_particles must be < 2^31, got {self.n_particles}")


def _refuse(name: str, default: Any, reason: str, given: Any) -> None:
    users = " and ".join(f'"{user}"' for user in _USED_BY[name])
    raise ValueError(
        f"{_WHERE}: {name} must be {default!r}, its default, for {reason}, got {given!r}; it is "
        f"for {users}"
    )
