"""`aligndec verify` from end to end: right samplers pass, a wrong one fails."""

import json
from pathlib import Path

import pytest

pytest.importorskip("typer")

import torch
from typer.testing import CliRunner

import aligndec as ad
from aligndec.cli.app import typer_app


def run(*args: object):
    return CliRunner().invoke(typer_app, ["verify", *map(str, args)])


def test_our_step_passes_with_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    out = run("--engine", "aligndec", "--model", "toy", "--draws", 500, "--out", path)
    assert out.exit_code == 0, out.output
    report = json.loads(path.read_text())
    assert report["passed"]
    assert len(report["laws"]) == 6
    assert report["versions"]["torch"] == torch.__version__
    assert "family-wise error <= 0.001" in out.output


def test_a_wrong_function_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import aligndec as ad\nimport torch\n"
        "def draw(logits, seeds, law, factor=1.0):\n"
        "    drawn = ad.Adaptor(temperature=law.temperature * factor)\n"
        "    zeros = torch.zeros_like(seeds)\n"
        "    return ad.sample(logits, drawn, seed=seeds, sequence_ids=zeros, positions=0).token\n"
        "def warm(logits, seeds, law):\n"
        "    return draw(logits, seeds, law, 1.3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    common = ("--engine", "callable", "--model", "toy", "--adaptor", "temperature=0.9")
    right = run(*common, "--function", "mine:draw", "--draws", 2000)
    assert right.exit_code == 0, right.output
    wrong = run(*common, "--function", "mine:warm", "--draws", 2000)
    assert wrong.exit_code == 1, wrong.output
    assert "mean surprise" in wrong.output


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--engine", "sglang"), "--engine must be one of"),
        (("--engine", "callable"), "--function must be module:name"),
        (("--engine", "callable", "--function", "nowhere:f", "--model", "toy"), "module:name"),
        (("--engine", "aligndec", "--alpha", 2), "--alpha must be in"),
        (("--engine", "aligndec", "--adaptor", "top_q=1"), "--adaptor"),
        (("--engine", "aligndec", "--adaptor", "mirostat_tau=3.0"), "must have no state"),
        (("--engine", "transformers", "--model", "toy"), "--model must be one of transformers"),
    ],
)
def test_what_is_refused(args, text) -> None:
    out = run(*args)
    assert out.exit_code == 2
    assert text in out.output


@pytest.mark.slow
@pytest.mark.statistical
def test_the_sampler_of_transformers(tmp_path: Path) -> None:
    from support.tiny_models import V, tiny

    model = tiny("Llama")
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    from aligndec.cli.verify.engines import Transformers
    from aligndec.testing import check_sampler

    engine = Transformers.__new__(Transformers)
    engine.model = model
    engine.ids = torch.tensor([[1, 5, 9], [1, 7, 40]])
    engine.mask = torch.ones_like(engine.ids, dtype=torch.bool)
    logits = model(engine.ids).logits[:, -1].detach()
    assert logits.shape == (2, V)
    law = ad.Adaptor(temperature=0.8, top_p=0.9)
    draw, kind = engine.draw(law), dict(seeding="call", by_row=True, draws=2000, seed=0)
    assert check_sampler(draw, logits, law, **kind).passed
    other = ad.Adaptor(temperature=0.7, top_p=0.9)
    assert not check_sampler(draw, logits, other, **kind).passed
