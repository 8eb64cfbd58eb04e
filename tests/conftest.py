"""Fixtures of the suite: random-state guard, backends, devices."""

import itertools
import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from support import host_cuda

import aligndec as ad
from aligndec.ops import library
from aligndec.shared import seeds

pytest_plugins = ["support.third_party_warnings"]

HAS_NATIVE = library.NATIVE


def _require_native() -> None:
    """Skip without the extension; fail instead where the environment promises it."""
    if HAS_NATIVE:
        return
    if os.environ.get("ALIGNDEC_REQUIRE_NATIVE") == "1":
        pytest.fail(f"ALIGNDEC_REQUIRE_NATIVE=1, but {library.problem}")
    pytest.skip(library.problem)


def _without_cuda() -> str:
    """What keeps a test from a GPU, or nothing."""
    if not torch.cuda.is_available():
        return "no CUDA device"
    return "" if ad.build_info()["cuda_architectures"] else "the extension has no CUDA kernels"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A GPU job must not pass by skipping: FAIL_WITHOUT_CUDA turns the skip into a failure."""
    if item.get_closest_marker("cuda") and (reason := _without_cuda()):
        if os.environ.get("FAIL_WITHOUT_CUDA"):
            pytest.fail(f"FAIL_WITHOUT_CUDA is set: {reason}")
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _guard_global_state() -> Iterator[None]:
    """Restore the random states and the thread count, so that no test depends on another."""
    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _backend_of_the_build() -> Iterator[None]:
    """Without the extension the default backend warns; the suite then names the reference."""
    if HAS_NATIVE:
        yield
    else:
        with ad.use_backend("reference"):
            yield


@pytest.fixture(autouse=True)
def _fresh_seeds_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without a seed get 0, 1, 2, … in each test: a suite gives the same numbers twice."""
    monkeypatch.setattr(seeds, "fresh_seed", itertools.count().__next__)


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on every build of the CPU kernels that this machine can run."""
    _require_native()
    before = library.extension.instruction_set()
    try:
        library.extension.set_instruction_set(request.param)
    except ValueError:
        pytest.skip(f"this machine lacks {request.param}")
    yield request.param
    library.extension.set_instruction_set(before)


@pytest.fixture
def native() -> None:
    """For tests that call the extension themselves."""
    _require_native()


@pytest.fixture(params=["reference", "native"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test under both backends."""
    if request.param == "native":
        _require_native()
    with ad.use_backend(request.param):
        yield request.param


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def native_device(request: pytest.FixtureRequest) -> str:
    """Devices of the native kernel; the reference it is compared with stays on the CPU."""
    _require_native()
    return request.param


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> host_cuda.Kernels:
    """The CUDA kernels, compiled for the host."""
    return host_cuda.Kernels(host_cuda.compile_library(tmp_path_factory.mktemp("cuda_host")))


@pytest.fixture(params=host_cuda.MACHINES)
def device(kernels: host_cuda.Kernels, request: pytest.FixtureRequest) -> host_cuda.Kernels:
    """The CUDA kernels on each kind of machine."""
    kernels.configure(host_cuda.MACHINES[request.param])
    return kernels
