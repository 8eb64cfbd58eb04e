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
from aligndec.plots import save, shades, tradeoff

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aligndec.cli.tradeoff.results import StudiedScheme

__all__ = ["draw"]

_EDGE: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.6}
_MARKERS = "osD^vPX*"


def draw(
    found: list[StudiedScheme], results: dict[str, Any], out: Path, kind: str = "png"
) -> list[Path]:
    """Write all figures."""
    figures = {
        "string_level": _string_level(found),
        "corpus_level": _corpus_level(found, results),
        "acceptance": _acceptance(found, results),
    }
    for name, figure in figures.items():
        save(figure, out / f"{name}.{kind}")
    return [out / f"{name}.{kind}" for name in figures]


def _styles(found: list[StudiedScheme]) -> list[dict[str, Any]]:
    """Marker by family, colour by temperature."""
    given = [s.scheme.family for s in found if s.scheme.family not in ALL_FAMILIES]
    markers = dict(zip(dict.fromkeys([*ALL_FAMILIES, *given]), cycle(_MARKERS), strict=False))
    temperatures = sorted({studied.scheme.temperature for studied in found})
    colours = shades(len(temperatures))
    return [
        {
            "color": [colours[temperatures.index(studied.scheme.temperature)]],
            "marker": markers[studied.scheme.family],
        }
        for studied in found
    ]


def _figure(panels: int, *, sharex: bool = True) -> tuple[Figure, list[Axes]]:
    """Return panels that are compared, and so have the same scales."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * panels + 1.4, 4.2), layout="constrained")
    panes = figure.subplots(1, panels, squeeze=False, sharex=sharex, sharey=True)
    for axes in panes[0]:
        axes.locator_params(axis="x", nbins=6)
    return figure, list(panes[0])


def _legend(figure: Figure, found: list[StudiedScheme]) -> None:
    """Adaptors by marker and temperatures by colour, in two groups beside the panels."""
    from matplotlib.lines import Line2D

    families: dict[str, Line2D] = {}
    heats: dict[float, Line2D] = {}
    for studied, look in zip(found, _styles(found), strict=True):
        hollow = {"marker": look["marker"], "color": "black", "markerfacecolor": "none"}
        filled = {"marker": "o", "color": look["color"][0]}
        families.setdefault(studied.scheme.family, Line2D([], [], linestyle="none", **hollow))
        heats.setdefault(studied.scheme.temperature, Line2D([], [], linestyle="none", **filled))
    ordered = sorted(heats)
    figure.legend(
        *(list(families.values()), list(families)), title="adaptor", loc="outside right upper"
    )
    figure.legend(
        *([heats[t] for t in ordered], [f"{t:g}" for t in ordered]),
        title="temperature",
        loc="outside right lower",
    )


def _scatter(axes: Axes, found: list[StudiedScheme], columns: list[tuple[Any, Any]]) -> None:
    label = torch.arange(len(found)).repeat_interleave(torch.tensor([len(c[0]) for c in columns]))
    x, y = (torch.from_numpy(np.concatenate([c[i] for c in columns])) for i in (0, 1))
    tradeoff(x, y, label, styles=_styles(found), axes=axes)


def _string_level(found: list[StudiedScheme]) -> Figure:
    figure, (sums, rates) = _figure(2, sharex=False)
    pools = [studied.pool for studied in found]
    flat = [(p.log_p.flatten(), p.reward.flatten(), p.length.flatten()) for p in pools]
    _scatter(sums, found, [(x.numpy(), y.numpy()) for x, y, _ in flat])
    _scatter(rates, found, [((x / n).numpy(), y.numpy()) for x, y, n in flat])
    sums.set_xlabel("log prior (nats per string)")
    rates.set_xlabel("log prior (nats per token)")
    rates.set_ylabel("")
    figure.suptitle("Strings as drawn; large: centre of a scheme")
    _legend(figure, found)
    return figure


def _corpus_level(found: list[StudiedScheme], results: dict[str, Any]) -> Figure:
    figure, panels = _figure(len(LAWS))
    for axes, law in zip(panels, LAWS, strict=True):
        drawn = [studied.drawn[law] for studied in found]
        _scatter(axes, found, [(d["log_prior"], d["reward"]) for d in drawn])
        axes.set_xlabel("mean log prior (nats per string)")
        axes.set_ylabel("mean reward (in its own units)" if axes is panels[0] else "")
        pair = results["laws"][law]["none"]["between"]
        axes.set_title(f"{law}: r = {_text(pair['pearson'], pair['interval'])}", fontsize="medium")
    figure.suptitle(
        f"Corpora; large: centre of a scheme; r between {len(found)} centres, 95 % interval"
    )
    _legend(figure, found)
    return figure


def _acceptance(found: list[StudiedScheme], results: dict[str, Any]) -> Figure:
    """Draw the acceptance of the chains against the spread of the log-weight."""
    figure, panels = _figure(2)
    for axes, law in zip(panels, ("global", "aligned"), strict=True):
        rows = [row for row in results["schemes"] if row["law"] == law]
        for row, look in zip(rows, _styles(found), strict=True):
            axes.scatter(row["log_weight_sd"], row["acceptance"], **look, **_EDGE)
        spread = np.linspace(0.0, max([1.0, *(row["log_weight_sd"] for row in rows)]), 200)
        normal = [math.erfc(s / 2.0) for s in spread]
        axes.plot(spread, normal, color="0.5", linestyle="--", label="log-normal weights")
        axes.set_title(law, fontsize="medium")
        axes.set_xlabel("sd of the log-weight (nats)")
        axes.set_ylabel("acceptance (share of proposals)" if law == "global" else "")
        axes.legend(loc="upper right")
    _legend(figure, found)
    return figure


def _text(value: float | None, interval: list[list[float]]) -> str:
    """Write a coefficient with its interval; `interval` holds those of Pearson's and Spearman's."""
    if value is None:
        return "undefined"
    low, high = interval[0]
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
