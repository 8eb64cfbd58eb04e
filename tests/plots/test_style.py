"""Figures that everyone can read: colours, labels, files."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aligndec import plots, tilting
from aligndec.plots.axes import new_axes
from aligndec.plots.labels import renderer_of

mpl = pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

# Machado, Oliveira, Fernandes 2009: what the whole deficiency makes of linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def lab(colour, vision):
    """CIELAB under D65 of an sRGB colour as somebody sees it."""
    c = np.array(to_rgb(colour))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one, two, vision):
    """ΔE of 1976."""
    return float(np.linalg.norm(lab(one, vision) - lab(two, vision)))


def test_the_measure_knows_confusions():
    assert lab("white", "normal") == pytest.approx([100, 0, 0], abs=0.02)
    assert lab("red", "normal") == pytest.approx([53.2, 80.1, 67.2], abs=0.1)
    # Green and red of the usual cycle: far apart for most, nearly the same for some.
    assert distance("#2ca02c", "#d62728", "normal") > 100
    assert distance("#2ca02c", "#d62728", "deuteranopia") < 15


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart(vision):
    for one, two in itertools.combinations(plots.COLOURS, 2):
        assert distance(one, two, vision) >= 15, (one, two)
    # Print: none as pale as paper.
    assert all(distance(colour, "white", vision) >= 30 for colour in plots.COLOURS)
    ordered = plots.shades(5)
    for one, two in itertools.pairwise(ordered):
        assert distance(one, two, vision) >= 15, (one, two)
    light = [lab(colour, vision)[0] for colour in ordered]
    assert light == sorted(light)  # also without any colour


def test_the_first_series_differ_in_colour_and_marker():
    looks = [plots.style(i) for i in range(56)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 56
    assert len({look["marker"] for look in looks[:8]}) == 8


def overlaps(axes):
    renderer = renderer_of(axes)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in axes.texts]
    return [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]


def test_labels_of_close_points_do_not_meet():
    axes = Figure(figsize=(6, 4), layout="constrained").subplots()
    generator = np.random.default_rng(1)
    points = [(x, y, f"adaptor {i}") for i, (x, y) in enumerate(generator.normal(size=(9, 2)))]
    points += [(0.0, 0.0, "one"), (0.01, 0.0, "two"), (0.0, 0.01, "three")]
    axes.scatter(*zip(*[p[:2] for p in points], strict=True))
    for x, y, name in points:  # the control: every label at the same side
        axes.annotate(name, (x, y), (4, 4), textcoords="offset points", fontsize=8)
    assert overlaps(axes)
    for text in list(axes.texts):
        text.remove()
    plots.label_points(axes, points)
    assert [text.get_text() for text in axes.texts] == [p[2] for p in points]
    assert overlaps(axes) == []


@pytest.mark.parametrize("size", [(6.4, 4.8), (5, 4)])
def test_no_label_of_the_frontier_is_over_another(size):
    pool = torch.randn(5, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    betas = torch.cat([torch.zeros(1), torch.logspace(-1, 2, 60)]).double()
    axes = Figure(figsize=size, layout="constrained").subplots()
    frontier = tilting.reward_kl_frontier(None, pool, beta=betas)
    points = {"a": (torch.full((5,), 0.4).double(), pool.mean(1))}
    plots.reward_kl(frontier, points, pool, axes=axes)
    assert overlaps(axes) == []


@pytest.mark.parametrize("kind", plots.FORMATS)
def test_files(kind, tmp_path):
    axes = plots.rate_function(None, torch.tensor([0.0, 1.0, 3.0]))
    for name in ("one", "two"):
        plots.save(axes.figure, tmp_path / f"{name}.{kind}")
    data = (tmp_path / f"one.{kind}").read_bytes()
    if kind != "svg":  # whose marks have names of their own
        assert data == (tmp_path / f"two.{kind}").read_bytes()
    assert data.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])
    if kind == "pdf":  # TrueType, which editors can read, and no outlines
        assert b"/CIDFontType2" in data
        assert b"/Type3" not in data
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"one.{kind}", f"two.{kind}"]


def test_another_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"plots\.save: path must end in one of png, pdf, svg"):
        plots.save(Figure(), tmp_path / "a.gif")


def test_a_notebook_shows_the_figure(monkeypatch):
    from matplotlib import pyplot

    shown = object()
    monkeypatch.setattr(pyplot, "subplots", lambda **options: (None, shown))
    assert new_axes() is not shown  # no notebook, no window
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert new_axes() is shown
