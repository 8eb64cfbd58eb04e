"""Rules of the tree: layers, sizes, names, documentation."""

import dataclasses
import inspect
import re
import subprocess
from pathlib import Path

import pytest

import aligndec as ad
from aligndec import asymptotics, best_of_n, tilting

ROOT = Path(__file__).parents[1]
CSRC, PACKAGE = ROOT / "csrc", ROOT / "aligndec"
STD = re.compile(r"^[a-z0-9_]+$")
IN_CHECKOUT = CSRC.is_dir() and PACKAGE.is_dir()

pytestmark = pytest.mark.skipif(not IN_CHECKOUT, reason="needs the source tree")


def files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes and p.is_file())


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*([<"][^>"]+[>"])', path.read_text(), re.M)


def tracked() -> list[Path]:
    """Text files of the project: what git knows, else nothing to say."""
    run = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        pytest.skip("needs a git checkout")
    suffixes = {".py", ".h", ".cpp", ".cu", ".cuh", ".md", ".toml", ".yaml", ".yml", ".cfg", ""}
    paths = (ROOT / name for name in run.stdout.splitlines())
    return [p for p in paths if p.suffix in suffixes and p.is_file()]


CORE = files(CSRC / "core", ".h", ".cuh")


def test_the_core_is_found() -> None:
    assert len(CORE) >= 4


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.relative_to(CSRC / "core").as_posix())
def test_core_stands_alone(path: Path) -> None:
    """core/ includes core/ and the standard library only: no torch, no CUDA, no vendor header."""
    names = {p.relative_to(CSRC / "core").as_posix() for p in CORE}
    for name in includes(path):
        inner = name[1:-1]
        local = inner.removeprefix("core/")
        assert (name[0] == "<" and STD.match(inner)) or local in names, f"{path.name}: {name}"
    if path.name != "hd.h":
        conditions = re.findall(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*", path.read_text(), re.M)
        assert not conditions, f"{path.name}: {conditions}"


def test_device_code_knows_no_torch() -> None:
    """Any machine with nvcc can compile the kernels, with any torch."""
    allowed = re.compile(r"^(cuda_|cooperative_groups)")
    for path in files(CSRC, ".cu", ".cuh"):
        for name in includes(path):
            inner = name[1:-1]
            known = (CSRC / inner).is_file() and inner.startswith(("core/", "launch/", "cuda/"))
            assert known or STD.match(inner) or allowed.match(inner), f"{path.name}: {name}"


def test_kernels_stand_on_the_primitives_alone() -> None:
    """Only block.cuh knows the machine, so that the host can run every other line."""
    machine = re.compile(
        r"\b(?:__\w*sync\w*|__shared__|__global__|__shfl\w*|__ballot\w*|atomic\w+|cuda[A-Z]\w*"
        r"|threadIdx|blockIdx|blockDim|gridDim|asm|cooperative_groups)\b"
    )
    kernels = [p for p in files(CSRC / "cuda", ".cu", ".cuh") if p.name != "block.cuh"]
    assert len(kernels) >= 4
    found = {p.name: machine.findall(p.read_text()) for p in kernels}
    assert not any(found.values()), found


def test_torch_is_seen_through_its_stable_abi() -> None:
    """One library serves every torch and every Python: a handful of files says what it uses."""
    seen = {}
    for path in files(CSRC, ".h", ".cpp", ".cu", ".cuh"):
        for name in includes(path):
            inner = name[1:-1]
            assert not inner.startswith(("ATen/", "c10/")), f"{path.name}: {name}"
            if inner.startswith("torch/"):
                assert inner.startswith(("torch/csrc/stable/", "torch/headeronly/")), inner
                seen.setdefault(path.relative_to(CSRC).as_posix(), []).append(inner)
            if inner.startswith(("pybind11/", "Python")):
                assert path.name == "bindings.cpp", f"{path.name}: {name}"
    allowed = {"tensor.h", "box.h", "parallel.h", "device.h", "library.cpp", "launch/half.h"}
    assert set(seen) == allowed


def test_row_loops_know_no_python() -> None:
    for path in files(CSRC / "cpu", ".h", ".cpp"):
        for name in includes(path):
            assert not name[1:].startswith(("torch/", "pybind11/")), f"{path.name}: {name}"


def test_one_stem_per_op() -> None:
    """An op is csrc/ops/<stem>.cpp, csrc/cpu/<stem>.cpp, csrc/cuda/<stem>.cu, reference.<op>."""
    ops = {p.stem for p in (CSRC / "ops").glob("*.cpp")}
    assert "adaptor_step" in ops
    for stem in ops:
        assert (CSRC / "cpu" / f"{stem}.cpp").is_file(), stem
    for path in (CSRC / "cuda").glob("*.cu"):
        assert (CSRC / "cpu" / f"{path.stem}.cpp").is_file(), path.name


BUDGET = {".h": 150, ".cuh": 150, ".cpp": 300, ".cu": 300}


def test_sizes() -> None:
    """A file beyond its budget says in its head comment why it is not split."""
    over = []
    for path in tracked():
        top = path.relative_to(ROOT).parts[0]
        limit = {"csrc": BUDGET.get(path.suffix), "tests": 300, "bench": 300}.get(top)
        if top == "aligndec" and path.suffix == ".py":
            limit = 250
        if path.name == "setup.py":
            limit = 120
        text = path.read_text()
        count = len(text.splitlines())
        if limit and count > limit and "not split" not in text[:1500].lower():
            over.append(f"{path.relative_to(ROOT)}: {count} > {limit}")
    assert not over, over


def test_every_field_of_the_adaptor_is_documented_with_its_source() -> None:
    """Each field has an entry in the docstring that names a publication or a program."""
    text = ad.Adaptor.__doc__ or ""
    names = [f.name for f in dataclasses.fields(ad.Adaptor)]
    starts = {name: re.search(rf"^[\w, ]*\b{name}\b[^\n:]*:", text, re.M) for name in names}
    missing = [name for name, found in starts.items() if found is None]
    assert not missing, missing
    order = sorted((m.start(), name) for name, m in starts.items() if m)
    ends = [start for start, _ in order[1:]]
    tail = re.search(r"^\s*(Notes|References|Examples|Raises)\s*\n\s*-+", text, re.M)
    ends.append(tail.start() if tail and tail.start() > order[-1][0] else len(text))
    source = re.compile(r"\b(19|20)\d\d\b|\[\d+\]|arXiv|Eq\.|llama\.cpp|transformers")
    for (start, name), end in zip(order, ends, strict=True):
        assert source.search(text[start:end]), f"{name} has no source"


def test_public_names() -> None:
    assert len(ad.__all__) <= 30
    assert len(set(ad.__all__)) == len(ad.__all__)
    for name in ad.__all__:
        item = getattr(ad, name)
        assert (item.__doc__ or "").strip(), f"{name} has no docstring"
    fused = {"Adaptor", "Step", "SequenceState", "sample", "score", "score_grid", "kept_mask"}
    others = {"pack", "use_backend", "build_info", "BadLogitsError", "reference"}
    assert fused | others <= set(ad.__all__)


def test_every_beta_says_what_it_multiplies() -> None:
    """Two conventions are in use for one letter: each function names its own."""
    found = 0
    for module in (asymptotics, best_of_n, tilting):
        for name in module.__all__:
            item = getattr(module, name)
            if not inspect.isfunction(item) or "beta" not in inspect.signature(item).parameters:
                continue
            found += 1
            assert "multiplies" in (item.__doc__ or ""), f"{module.__name__}.{name}"
    assert found >= 9


# Written in pieces, so that this file is not its own finding.
FOREIGN = re.compile(
    r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|(?<![\w.])/(?:wo" r"rk|t" r"mp)/|\bissue #?\d"
)


def test_no_leftovers() -> None:
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if FOREIGN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found, found


def test_step_is_the_only_python_that_sees_the_vocabulary() -> None:
    """The algorithms stand on [B], [N], [B, k]; they call the step, never torch.ops directly."""
    callers = [p for p in files(PACKAGE, ".py") if "torch.ops.aligndec" in p.read_text()]
    assert callers
    assert {path.relative_to(PACKAGE).parts[0] for path in callers} == {"ops"}
