"""The unattended run on a GPU, tried without one: its order, its limits, what it leaves behind."""

import json
import sys
import types
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import aligndec as ad

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="needs the source tree")


@pytest.fixture
def gpu_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    return __import__("gpu_check")


@pytest.fixture
def bench_cuda(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return __import__("bench_cuda")


def test_what_decides_comes_home_first(gpu_check: ModuleType, tmp_path: Path) -> None:
    """A result within three minutes of the build, nine minutes in all, time for the benchmarks."""
    build, smoke, row, *rest = gpu_check.steps(tmp_path)
    assert [s.name for s in (build, smoke, row)] == ["build", "smoke", "row"]
    assert smoke.limit + row.limit <= 180
    assert [s.name for s in rest] == ["tests", "memcheck", "racecheck", "benchmarks"]
    assert rest[-1].limit == 0  # all that is left
    spent = sum(s.limit for s in (build, smoke, row, *rest))
    assert spent + gpu_check.LEAST <= gpu_check.BUDGET <= 540


@pytest.mark.slow
def test_a_dry_run_takes_every_turn_and_goes_on(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: None
) -> None:
    """The whole run on the CPU; cut short in its last step, it does the rest alone."""
    known = gpu_check.describe
    monkeypatch.setattr(gpu_check, "describe", lambda dry: known(dry) | {"changed": False})
    assert gpu_check.check(tmp_path, 3600, True) == 0
    path, rows_at = tmp_path / "gpu-check.json", tmp_path / "adaptor_step-cuda.json"
    record, measured = json.loads(path.read_text()), json.loads(rows_at.read_text())
    assert {s["status"] for s in record["steps"]} == {0}
    for step in record["steps"]:
        assert (tmp_path / f"gpu-check-{step['name']}.log").read_text().endswith(step["tail"])
    sections = {row["section"] for row in measured["rows"]}
    assert {"cuda, roofline", "cuda, eager", "cuda, torch.compile", "cuda, score_grid"} <= sections
    assert not measured["failed"]
    assert not measured["left"]
    # What is not installed is said; what is was measured.
    peers = {row["against"] for row in measured["rows"]} | set(measured["absent"])
    assert {"FlashInfer, from logits", "FlashInfer, cake", "Triton of vLLM"} <= peers

    record["steps"][-1]["status"] = "out of time"
    path.write_text(json.dumps(record))
    first, kept = measured["rows"][0], len(measured["rows"]) // 2
    rows_at.write_text(json.dumps(measured | {"rows": measured["rows"][:kept]}))
    assert gpu_check.check(tmp_path, 3600, True) == 0
    again = json.loads(path.read_text())
    assert [s["status"] for s in again["steps"]] == [0, *[gpu_check.DONE] * 5, 0]
    rows = json.loads(rows_at.read_text())["rows"]
    assert rows[0] == first
    assert len(rows) == len(measured["rows"])


def test_another_commit_starts_anew(gpu_check: ModuleType, tmp_path: Path) -> None:
    path, record = tmp_path / "gpu-check.json", gpu_check.describe(True) | {"changed": False}
    steps = [{"name": "tests", "status": 0}, {"name": "row", "status": 1}]
    path.write_text(json.dumps(record | {"steps": steps}))
    assert list(gpu_check.passed_before(path, record)) == ["tests"]
    for other in ({"commit": "0" * 40}, {"gpu": "another"}, {"changed": True}):
        assert not list(gpu_check.passed_before(path, record | other))


def test_a_step_that_is_stopped_leaves_its_output(gpu_check: ModuleType, tmp_path: Path) -> None:
    script = "import time; print('seen', flush=True); time.sleep(60)"
    step = gpu_check.Step("slow", [sys.executable, "-c", script], 3)
    step.run({}, 100.0, tmp_path / "log")
    assert (step.status, step.tail, step.ok) == ("out of time", "seen\n", False)
    step = gpu_check.Step("none", ["a-tool-that-nobody-has"], 2)
    step.run({}, 100.0, tmp_path / "log")
    assert (step.status, step.ok) == ("absent", True)


def case_of(gpu_cases: Any, name: str, build: Any) -> Any:
    return gpu_cases.Case("cuda, eager", name, "N(0,3)", (1, 2), name, build)


def test_a_row_that_fails_loses_no_other(bench_cuda: ModuleType, tmp_path: Path) -> None:
    """Each row is in the file before the next one starts."""
    gpu_cases = sys.modules["gpu_cases"]
    seen = []

    def good() -> tuple[Any, float]:
        seen.append(len(bench_cuda.load_rows(path)))
        return lambda: 1e-6, 1.0

    def bad() -> Any:
        raise ValueError("no such thing")

    def absent() -> Any:
        raise ModuleNotFoundError("No module named 'x'")

    path = tmp_path / "rows.json"
    builds = {"a": good, "b": bad, "c": absent, "d": good}
    listed = [case_of(gpu_cases, name, build) for name, build in builds.items()]
    run = bench_cuda.Run(path)
    run.measure(listed, 2, 100.0)
    assert seen == [0, 1]
    written = json.loads(path.read_text())
    assert [row["adaptor"] for row in written["rows"]] == ["a", "d"]
    assert list(written["failed"].values()) == ["ValueError: no such thing"]
    assert written["absent"] == {"c": "No module named 'x'"}
    assert not written["left"]

    again = bench_cuda.Run(path, bench_cuda.load_rows(path))
    again.measure(listed, 2, -1.0)
    assert len(again.rows) == 2
    assert again.left == [str(listed[1]), str(listed[2])]
    assert seen == [0, 1]


def test_other_samplers_are_called_as_they_are_declared(
    bench_cuda: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against stand-ins with the signatures of FlashInfer 0.7 and vLLM 0.22."""
    calls = []

    def softmax(logits, temperature=None, enable_pdl=None):
        return logits.softmax(-1)

    def from_logits(
        logits, top_k, top_p, indices=None, filter_apply_order="top_k_first", deterministic=True
    ):
        calls.append(("logits", top_k, top_p, filter_apply_order))

    def from_probs(
        probs, top_k, top_p, indices=None, filter_apply_order="top_k_first", deterministic=True
    ):
        calls.append(("joint", top_k, top_p, filter_apply_order))

    def top_p(probs, top_p, indices=None, deterministic=True, generator=None):
        calls.append(("top_p", top_p))

    def cake(probs, top_k, top_p, *, top_k_max=None, generator=None):
        calls.append(("cake", top_k, top_p))

    def triton(logits, k, p, mask_value=float("-inf")):
        calls.append(("triton", k is not None, p.tolist()))
        return logits

    modules: dict[str, dict[str, Any]] = {
        "flashinfer": {},
        "flashinfer.sampling": {
            "softmax": softmax,
            "top_k_top_p_sampling_from_logits": from_logits,
            "top_k_top_p_sampling_from_probs": from_probs,
            "top_p_sampling_from_probs": top_p,
        },
        "flashinfer.cake_sampling": {
            "cake_sampling_route": lambda probs, top_k, top_k_max=None: "pipeline",
            "top_k_top_p_sampling_from_probs": cake,
        },
        "vllm.v1.sample.ops.topk_topp_triton": {"apply_top_k_top_p_triton": triton},
    }
    for name in ("vllm", "vllm.v1", "vllm.v1.sample", "vllm.v1.sample.ops"):
        modules[name] = {}
    for name, members in modules.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    logits = torch.randn(2, 9)
    for _, chosen, peer in sys.modules["gpu_peers"].PEERS:
        peer(logits, chosen)()
    half = pytest.approx(0.9)
    assert ("logits", 50, 0.9, "top_k_first") in calls
    assert ("joint", 50, 0.9, "joint") in calls
    assert {("top_p", 0.9), ("cake", 50, 0.9)} <= {c for c in calls if c[0] != "triton"}
    assert [c[1:] for c in calls if c[0] == "triton"] == [(False, [half] * 2), (True, [half] * 2)]
    vars(sys.modules["flashinfer.cake_sampling"])["cake_sampling_route"] = lambda *_: "fallback:k"
    with pytest.raises(ImportError, match="does not serve this GPU: fallback:k"):
        dict((name, peer) for name, _, peer in sys.modules["gpu_peers"].PEERS)["FlashInfer, cake"](
            logits, ad.Adaptor(top_k=50, top_p=0.9)
        )
