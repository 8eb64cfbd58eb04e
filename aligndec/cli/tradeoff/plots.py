"""The figures of a study."""

from __future__ import annotations

import math
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aligndec.cli.tradeoff.corpora import LAWS
from aligndec.cli.tradeoff.schemes import ALL_FAMILIES
from aligndec.plots import tradeoff
from aligndec.shared import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aligndec.cli.tradeoff.results import StudiedScheme

__all__ = ["draw"]

_EDGE: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.6}
_MARKERS = "osD^vPX*"


def draw(found: list[StudiedScheme], results: dict[str, Any], out: Path) -> list[Path]:
    """Write all figures."""
    figures = {
        "string_level.png": _string_level(found),
        "corpus_level.png": _corpus_level(found, results),
        "acceptance.png": _acceptance(found, results),
    }
    for name, figure in figures.items():
        with replacing(out / name) as partial:
            figure.savefig(partial, format="png", dpi=130)
    return [out / name for name in figures]


def _styles(found: list[StudiedScheme]) -> list[dict[str, Any]]:
    """Marker by family, colour by temperature."""
    from matplotlib import colormaps

    given = [s.scheme.family for s in found if s.scheme.family not in ALL_FAMILIES]
    markers = dict(zip(dict.fromkeys([*ALL_FAMILIES, *given]), cycle(_MARKERS), strict=False))
    temperatures = sorted({studied.scheme.temperature for studied in found})
    shades = colormaps["plasma"](np.linspace(0.0, 0.85, len(temperatures)))
    return [
        {
            "color": [shades[temperatures.index(studied.scheme.temperature)]],
            "marker": markers[studied.scheme.family],
        }
        for studied in found
    ]


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * panels, 4.0), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _legend(figure: Figure, found: list[StudiedScheme]) -> None:
    """Families by marker, temperatures by colour, beside the panels."""
    from matplotlib.lines import Line2D

    handles: dict[str, Line2D] = {}
    for studied, style in zip(found, _styles(found), strict=True):
        plain = {"linestyle": "none", "markeredgecolor": "black", "markeredgewidth": 0.6}
        family = {"marker": style["marker"], "color": "white", **plain}
        heat = {"marker": "o", "color": style["color"][0], **plain}
        handles.setdefault(studied.scheme.family, Line2D([], [], **family))
        handles.setdefault(f"τ = {studied.scheme.temperature:g}", Line2D([], [], **heat))
    figure.legend(list(handles.values()), list(handles), loc="outside right upper")


def _scatter(axes: Axes, found: list[StudiedScheme], columns: list[tuple[Any, Any]]) -> None:
    label = torch.arange(len(found)).repeat_interleave(torch.tensor([len(c[0]) for c in columns]))
    x, y = (torch.from_numpy(np.concatenate([c[i] for c in columns])) for i in (0, 1))
    tradeoff(x, y, label, styles=_styles(found), axes=axes)


def _string_level(found: list[StudiedScheme]) -> Figure:
    figure, (sums, rates) = _figure(2)
    pools = [studied.pool for studied in found]
    flat = [(p.log_p.flatten(), p.reward.flatten(), p.length.flatten()) for p in pools]
    _scatter(sums, found, [(x.numpy(), y.numpy()) for x, y, _ in flat])
    _scatter(rates, found, [((x / n).numpy(), y.numpy()) for x, y, n in flat])
    rates.set_xlabel("log prior per token (nats)")
    figure.suptitle("Strings as drawn; large: centre of a scheme")
    _legend(figure, found)
    return figure


def _corpus_level(found: list[StudiedScheme], results: dict[str, Any]) -> Figure:
    figure, panels = _figure(len(LAWS))
    for axes, law in zip(panels, LAWS, strict=True):
        drawn = [studied.drawn[law] for studied in found]
        _scatter(axes, found, [(d["log_prior"], d["reward"]) for d in drawn])
        pair = results["laws"][law]["none"]["between"]
        axes.set_title(f"{law}: between centres r = {_text(pair['pearson'])}", fontsize="medium")
    figure.suptitle("Corpora: means of log prior and reward; large: centre of a scheme")
    _legend(figure, found)
    return figure


def _acceptance(found: list[StudiedScheme], results: dict[str, Any]) -> Figure:
    """Draw the acceptance of the chains against the spread of the log-weight."""
    figure, panels = _figure(2)
    for axes, law in zip(panels, ("global", "aligned"), strict=True):
        rows = [row for row in results["schemes"] if row["law"] == law]
        for row, style in zip(rows, _styles(found), strict=True):
            axes.scatter(row["log_weight_sd"], row["acceptance"], **style, **_EDGE)
        spread = np.linspace(0.0, max([1.0, *(row["log_weight_sd"] for row in rows)]), 200)
        normal = [math.erfc(s / 2.0) for s in spread]
        axes.plot(spread, normal, color="0.5", linestyle="--", label="log-normal weights")
        axes.set_title(law, fontsize="medium")
        axes.set_xlabel("sd of the log-weight (nats)")
        axes.set_ylabel("acceptance")
        axes.legend()
    _legend(figure, found)
    return figure


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"
