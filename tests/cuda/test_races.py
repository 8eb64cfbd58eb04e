"""The search for races of the CUDA kernels: what it can tell, and that it looks everywhere."""

from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / ".ci"

pytestmark = pytest.mark.skipif(not CI.is_dir(), reason="needs the source tree")

LACKS = ["block barrier", "warp barrier", "group barrier", "last barrier", "atomic", "own place"]
LACKS += ["launch between", "rest of a barrier"]


@pytest.fixture(scope="module")
def races() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CI))
        return __import__("cuda_races")


@pytest.fixture(scope="module")
def controls(races: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of kernels that each lack one thing; no ThreadSanitizer, no tests of it."""
    try:
        program = races.compile_program(
            races.PROGRAMS / "controls.cpp", tmp_path_factory.mktemp("races")
        )
    except (RuntimeError, FileNotFoundError) as error:
        if "tsan" not in str(error) and not isinstance(error, FileNotFoundError):
            raise
        pytest.skip("no compiler with ThreadSanitizer")
    return program


def test_what_is_sound_has_no_race(races: ModuleType, controls: Path) -> None:
    outcome = races.run_program(controls, "nothing")
    assert outcome.complaint == ""
    assert {case for _, case in outcome.hashes} == {"nothing"}


@pytest.mark.parametrize("lack", LACKS)
def test_what_is_missing_is_seen(lack: str, races: ModuleType, controls: Path) -> None:
    """Storage of a block, storage of a peer, device memory; barriers of every size."""
    outcome = races.run_program(controls, lack)
    if lack == "rest of a barrier":
        assert outcome.failure == "a barrier was not reached by all threads"
    else:
        assert outcome.failure == ""
        assert {kind for kind, _ in outcome.races} == {"data race"}


def test_a_deleted_barrier_is_noticed(races: ModuleType, controls: Path, tmp_path: Path) -> None:
    """The whole path for the smallest file, and its control: a program that lacks the barrier."""
    (site,) = races.barriers([races.CUDA / "imh_chain.cu"])
    words = ["quick"]
    source = races.PROGRAMS / "imh_chain.cpp"
    assert races.run_program(races.compile_program(source, tmp_path), *words).complaint == ""
    assert races.noticed(site, [source], tmp_path, words).startswith("imh_chain: data race at ")
    assert races.noticed(site, [races.PROGRAMS / "rescore.cpp"], tmp_path, words) == ""


def test_barriers_are_found_in_the_text(races: ModuleType, tmp_path: Path) -> None:
    """Whatever the line, the arguments and the name; comments are no code."""
    source = tmp_path / "a.cuh"
    source.write_text(
        "// block::sync() is not one\n"
        "void f() {\n"
        "  block::sync();  // block::sync_warp();\n"
        "  if (last) block::sync_peers();\n"
        "  block::arrive_peers(slot); block::wait_peers(slot);\n"
        "  block::storage(); block::from_lane(1, 2); synchronize(); a.synced();\n"
        "  team.sync(); sync();\n"
        "}\n"
        "static void sync() {}\n"
    )
    found = races.barriers([source])
    names = ["sync()", "sync_peers()", "arrive_peers(slot)", "wait_peers(slot)"]
    names = [*(f"block::{name}" for name in names), "team.sync()", "sync()"]
    assert [site.text for site in found] == names
    assert str(found[1]) == "a.cuh:4 block::sync_peers()"
    lines = found[1].deleted().splitlines()
    assert lines[3] == "  if (last) (void)0;"
    assert lines[2] == "  block::sync();  // block::sync_warp();"
    assert races.one_of_each(found) == found[:1]


def test_every_kernel_is_looked_at(races: ModuleType) -> None:
    """A header belongs to all that include it, in whatever folder of the kernels it stands."""
    sources = races.programs()
    assert {s.stem for s in sources} == {p.stem for p in races.CUDA.glob("*.cu")}
    sites = races.barriers(races.kernel_files())
    assert len(sites) >= 10
    assert {"cuda", "core"} <= {site.path.parent.name for site in sites}
    for site in sites:
        having = races.who_has(site, sources)
        assert having, site
        assert all(site.path.stem != s.stem or s is having[0] for s in having)


def test_an_order_that_changes_outputs_is_a_fault(races: ModuleType) -> None:
    outcome = races.Outcome(hashes={("clusters", "step"): ["1", "1"]})
    assert outcome.complaint == ""
    outcome.hashes["one block", "step"] = ["1", "2"]
    assert outcome.complaint == races.WRONG
