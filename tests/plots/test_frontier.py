"""Figures of tilting and best-of-n, and `aligndec frontier` from records to table and plot."""

import math
from pathlib import Path

import pytest
import torch

from aligndec import best_of_n, plots, tilting
from aligndec.plots.frontier import bootstrap_mean

pytest.importorskip("matplotlib")
POOL = torch.randn(5, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
BETAS = torch.cat([torch.zeros(1), torch.logspace(-1, 2, 60)]).double()


def test_reward_kl_draws_what_was_computed(tmp_path: Path) -> None:
    frontier = tilting.reward_kl_frontier(None, POOL, beta=BETAS)
    kl, reward = torch.full((5,), 0.4).double(), POOL.mean(1)
    axes = plots.reward_kl(frontier, {"adaptor": (kl, reward)}, POOL)
    lines = {line.get_label(): line for line in axes.get_lines()}
    exact = lines["best-of-n, exact KL"]
    n = 2.0 ** torch.arange(6)
    assert exact.get_xdata().tolist() == pytest.approx(
        best_of_n.kl(None, POOL[:, None], n).mean(0).tolist()
    )
    curve = best_of_n.reward_curve(POOL, n, estimator="plugin").mean
    assert exact.get_ydata().tolist() == pytest.approx(curve.tolist())
    solid, thin = lines["optimum"], lines["optimum, ESS < 20"]
    x = [*solid.get_xdata()[:-1], *thin.get_xdata()]
    assert x == pytest.approx(frontier.kl.mean(0).tolist())
    best = tilting.solve_beta_for_kl(None, POOL, 0.4, scope="mean")
    missed = best.reward.mean() - reward.mean()
    label = next(t.get_text() for t in axes.get_legend().get_texts() if "adaptor" in t.get_text())
    shown = float(label.split()[1])
    assert shown == pytest.approx(missed.item(), abs=0.002)  # in reward, as the line is drawn
    assert "nats" not in label
    assert axes.get_legend().get_title().get_text() == "crosses: 95 % bootstrap, 5 prompts"
    assert any(text.get_text() == "ln 40" for text in axes.texts)
    axes.figure.savefig(tmp_path / "f.png")
    single = tilting.reward_kl_frontier(None, POOL[0])
    assert plots.reward_kl(single).get_lines()


def test_bootstrap_covers_the_mean() -> None:
    values = torch.randn(400, 30, generator=torch.Generator().manual_seed(2)).double()
    inside = [low <= 0 <= high for low, high in map(bootstrap_mean, values)]
    assert 0.87 < sum(inside) / 400 < 0.98
    low, high = bootstrap_mean(values[0], level=0.5)
    wide = bootstrap_mean(values[0])
    assert wide[0] < low < high < wide[1]


def test_reward_curve_and_rate_function() -> None:
    n = torch.tensor([1, 2, 8])
    curve = best_of_n.reward_curve(POOL, n)
    gold = best_of_n.reward_curve(POOL, n, evaluate=-POOL.abs())
    axes = plots.reward_curve(n, curve, gold=gold)
    assert axes.get_lines()[0].get_ydata().tolist() == curve.mean.tolist()
    assert axes.get_lines()[2].get_xdata()[0] == n[gold.mean.argmax()]
    log_p, r = torch.tensor([0.5, 0.3, 0.2]).log(), torch.tensor([0.0, 1.0, 3.0])
    axes = plots.rate_function(log_p, r, beta=0.4)
    line, zero = axes.get_lines()
    assert line.get_ydata().min() < 1e-3
    mean = tilting.tilt(log_p, r, 0.4).reward.item()
    assert zero.get_xdata()[0] == pytest.approx(mean, rel=1e-6)


def test_refusals() -> None:
    frontier = tilting.reward_kl_frontier(None, POOL)
    with pytest.raises(ValueError, match=r"^plots.reward_kl: points\['a'\] must be two tensors"):
        plots.reward_kl(frontier, {"a": (POOL[:3], POOL)})
    with pytest.raises(ValueError, match=r"^plots.reward_curve: n must be"):
        plots.reward_curve(torch.arange(3), best_of_n.reward_curve(POOL, 2))
    with pytest.raises(ValueError, match=r"^plots.rate_function: log_p and r must be \[V\]"):
        plots.rate_function(None, POOL)


def records(path: Path, columns: dict[str, list]) -> Path:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two prompts, four strings of the model and two of an adaptor each."""
    rewards = [0.0, 1.0, 2.0, 3.0, 0.0, 0.5, 1.0, 5.0, 2.0, 3.0, 1.0, 4.0]
    columns = {
        "adaptor": ["ancestral"] * 8 + ["top_p"] * 4,
        "prompt": ["a"] * 4 + ["b"] * 4 + ["a", "a", "b", "b"],
        "kl": [0.0] * 8 + [0.3, 0.5, 0.1, 0.3],
        "reward": rewards,
    }
    return records(tmp_path / "samples.parquet", columns)


def run(*arguments: object) -> object:
    testing = pytest.importorskip("typer.testing")
    from aligndec.cli import app

    return testing.CliRunner().invoke(app, ["frontier", *map(str, arguments)])


def test_frontier_command(table: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    done = run(table, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    row = pq.read_table(tmp_path / "out/frontier.parquet").to_pylist()[0]
    pool = torch.tensor([[0.0, 1.0, 2.0, 3.0], [0.0, 0.5, 1.0, 5.0]], dtype=torch.float64)
    best = tilting.solve_beta_for_kl(None, pool, 0.3, scope="mean")
    assert row["method"] == "top_p"
    assert (row["kl"], row["reward"]) == (pytest.approx(0.3), 2.5)
    assert row["optimal_reward"] == pytest.approx(best.reward.mean().item())
    away = best.beta.item() * (best.reward.mean().item() - 2.5)
    assert row["kl_to_optimal"] == pytest.approx(away)
    n = pq.read_table(tmp_path / "out/best_of_n.parquet").to_pydict()
    assert n["n"] == [1, 2, 4]
    assert n["reward"] == pytest.approx(
        [1.5625, *best_of_n.reward_curve(pool, torch.tensor([2, 4])).mean.tolist()]
    )
    assert (tmp_path / "out/frontier.png").stat().st_size > 1000
    assert f"ln 4 = {math.log(4):.2f}" in done.output


def test_frontier_command_refuses(table: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert run(table, "--base", "x", *out).exit_code == 2
    other = records(tmp_path / "none.parquet", {"prompt": ["a"], "text": ["b"]})
    assert run(other, *out).exit_code == 2
    (tmp_path / "bad.parquet").write_bytes(b"no")
    assert run(tmp_path / "bad.parquet", *out).exit_code == 2
    uneven = records(
        tmp_path / "uneven.parquet",
        {"prompt": ["a", "a", "b"], "kl": [0.0] * 3, "reward": [0.0, 1.0, 2.0]},
    )
    assert run(uneven, *out).exit_code == 2
