"""The trade-off figure: one cloud and one centre per scheme."""

import sys

import pytest
import torch

import aligndec as ad

pytest.importorskip("matplotlib")

X = torch.tensor([-3.0, -1.0, -9.0, -7.0, -5.0])
Y = torch.tensor([0.0, 1.0, 2.0, 4.0, 3.0])
LABEL = torch.tensor([4, 4, 2, 2, 2])


def test_clouds_and_centres() -> None:
    axes = ad.plots.tradeoff(X, Y, LABEL)
    points = [cloud.get_offsets().tolist() for cloud in axes.collections]
    assert points == [
        [[-9.0, 2.0], [-7.0, 4.0], [-5.0, 3.0]],
        [[-7.0, 3.0]],
        [[-3.0, 0.0], [-1.0, 1.0]],
        [[-2.0, 0.5]],
    ]
    assert axes.get_xlabel() == "log prior (nats)"
    assert len(ad.plots.tradeoff(X, Y).collections) == 2


def test_styles_slope_and_given_axes() -> None:
    axes = ad.plots.tradeoff(X, Y, LABEL)
    styles = [{"color": "red", "marker": "s", "label": "two"}, {"color": "blue"}]
    again = ad.plots.tradeoff(X, Y, LABEL, styles=styles, slope=-0.5, axes=axes)
    assert again is axes
    assert axes.get_legend_handles_labels()[1] == ["two"]
    (line,) = axes.lines
    assert line.get_slope() == -0.5
    assert line.get_xy1() == pytest.approx((-4.5, 1.75))  # the mean of the centres


@pytest.mark.parametrize(
    ("args", "options", "text"),
    [
        ((X, Y[:4]), {}, r"tradeoff: reward must be \[5\], got \[4\]"),
        ((X, Y, LABEL[:4]), {}, r"tradeoff: scheme must be \[5\], got \[4\]"),
        ((X, Y, LABEL), {"styles": [{}]}, "tradeoff: styles must be 2 mappings, got 1"),
        ((X[:0], Y[:0]), {}, "tradeoff: log_prior must be .N. with N >= 1"),
    ],
)
def test_errors(args, options, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ad.plots.tradeoff(*args, **options)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'aligndec\[cli\]'"):
        ad.plots.tradeoff(X, Y)
