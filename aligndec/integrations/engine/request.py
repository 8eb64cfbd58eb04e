"""What a request carries: how its tokens are drawn, and which random numbers are its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aligndec.shared import at_least, integers, whole
from aligndec.step import Adaptor

__all__ = ["KEY", "DrawRequest", "request_of"]

KEY = "aligndec"
"""Name under which engines carry our dict beside their own parameters."""

_TUPLES = ("dynamic_temperature", "xtc")


@dataclass(frozen=True)
class DrawRequest:
    """How the tokens of one string are drawn.

    Parameters
    ----------
    adaptor : Adaptor
        Without mirostat: an engine may draw a token twice, which a state would count.
    sequence : int
        Name of the string in the random-number scheme: prompt_id · 2^32 + draw, in [0, 2^63).
    seed : int
        Seed of the run, mod 2^64.
    force : tuple of int, optional
        Tokens to be taken instead of drawn, with the books that a draw of them would have; beyond
        them tokens are drawn. Not with xtc, whose coin is unknown then.
    keep_sets : int, optional
        Keep the sets of at most so many ids that tokens were drawn from; not with `force`.
    run : str
        Name under which the books are taken.
    children : bool
        The engine makes several strings of one request; each has a number that counts as draw.
    """

    adaptor: Adaptor
    sequence: int
    seed: int = 0
    force: tuple[int, ...] | None = None
    keep_sets: int | None = None
    run: str = ""
    children: bool = False

    def __post_init__(self) -> None:
        name = "DrawRequest"
        if not isinstance(self.adaptor, Adaptor):
            raise TypeError(f"{name}: adaptor must be an Adaptor, got {self.adaptor!r}")
        if self.adaptor.stateful:
            raise ValueError(
                f"{name}: adaptor must have no state inside an engine, got mirostat_tau = "
                f"{self.adaptor.mirostat_tau}"
            )
        if not 0 <= whole(name, "sequence", self.sequence) < 2**63:
            raise ValueError(f"{name}: sequence must be in [0, 2^63), got {self.sequence}")
        whole(name, "seed", self.seed)
        if not isinstance(self.run, str):
            raise TypeError(f"{name}: run must be a str, got {self.run!r}")
        if self.force is not None:
            given = tuple(integers(f"{name}: force", self.force))
            object.__setattr__(self, "force", given)
            if any(token < 0 for token in given):
                raise ValueError(f"{name}: force must be token ids >= 0, got {min(given)}")
            if self.adaptor.xtc is not None:
                raise ValueError(f"{name}: force must be None with xtc, got {len(given)} tokens")
        if self.keep_sets is not None:
            at_least(name, 1, keep_sets=self.keep_sets)
            if self.force is not None:
                raise ValueError(f"{name}: keep_sets must be None with force, got {self.keep_sets}")

    def to_dict(self) -> dict[str, Any]:
        """Return what `request_of` reads: plain values, fit for JSON."""
        out = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        out["adaptor"] = dataclasses.asdict(self.adaptor)
        if self.force is not None:
            out["force"] = list(self.force)
        off = {"force": None, "keep_sets": None, "run": "", "children": False}
        return {name: x for name, x in out.items() if name not in off or x != off[name]}

    def child(self, number: int) -> DrawRequest:
        """Return the request of child `number` of one for several strings."""
        return dataclasses.replace(self, sequence=self.sequence + number, children=False)


def request_of(given: Any) -> DrawRequest:
    """Read the dict that a request carries; refuse what is unknown or out of range."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{KEY}: extra_args[{KEY!r}] must be a dict, got {given!r}")
    known = {f.name for f in dataclasses.fields(DrawRequest)}
    values = dict(given)
    for name in values:
        if name not in known:
            raise ValueError(f"{KEY}: fields must be of {', '.join(sorted(known))}, got {name!r}")
    for name in ("adaptor", "sequence"):
        if name not in values:
            raise ValueError(f"{KEY}: {name} must be given, got {sorted(values)}")
    adaptor = values["adaptor"]
    if isinstance(adaptor, Mapping):
        fields: dict[str, Any] = {
            k: tuple(v) if k in _TUPLES and isinstance(v, list) else v for k, v in adaptor.items()
        }
        try:
            values["adaptor"] = Adaptor(**fields)
        except TypeError as error:
            raise ValueError(f"{KEY}: adaptor must hold fields of Adaptor ({error})") from error
    return DrawRequest(**values)
