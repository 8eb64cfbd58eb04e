"""The vectorised exp32 of the kernel: every float in [-60, 0], on every instruction set."""

import numpy as np
import pytest
import torch

from aligndec.ops import library
from aligndec.reference import exact

pytestmark = pytest.mark.skipif(library.extension is None, reason="needs the compiled kernels")

LAST = int(np.float32(-60.0).view(np.uint32))
FIRST = 0x80000000  # -0.0
CHUNK = 1 << 24


def instruction_sets() -> list[str]:
    """Those that this machine and this build have."""
    before = library.extension.instruction_set()
    found = []
    for name in ("baseline", "avx2", "avx512"):
        try:
            library.extension.set_instruction_set(name)
        except ValueError:
            continue
        found.append(name)
    library.extension.set_instruction_set(before)
    return found


@pytest.fixture(autouse=True)
def restore_instruction_set():
    before = library.extension.instruction_set()
    yield
    library.extension.set_instruction_set(before)


def exp32(name: str, t: np.ndarray) -> np.ndarray:
    out = np.empty_like(t)
    library.extension.set_instruction_set(name)
    library.extension.exp32_array(t.ctypes.data, out.ctypes.data, t.size)
    return out


def every_float(stride: int = 1):
    """All floats from -0 down to -60 in chunks, neighbours in order, padded to whole vectors."""
    for first in range(FIRST, LAST + 1, CHUNK * stride):
        bits = np.arange(first, min(first + CHUNK * stride, LAST + 1), stride, dtype=np.uint32)
        yield np.pad(bits, (0, -bits.size % 16), mode="edge").view(np.float32)


@pytest.mark.slow
def test_every_float_on_every_build() -> None:
    """Monotone over all 1 114 636 289 floats, the same bits on every build of this machine."""
    names = instruction_sets()
    last = np.float32(1.0)
    count = 0
    for t in every_float():
        first = exp32(names[0], t)
        for other in names[1:]:
            assert np.array_equal(first.view(np.uint32), exp32(other, t).view(np.uint32))
        assert first[0] <= last
        assert not (first[1:] > first[:-1]).any()
        last = first[-1]
        count += t.size
    assert count >= LAST - FIRST + 1


def test_builds_equal_the_specification() -> None:
    """Every build, every 997th float, against the eager torch twin and float64's exp."""
    for t in every_float(stride=997):
        twin = exact.exp32(torch.from_numpy(t)).numpy()
        true = np.exp(t.astype(np.float64))
        assert (np.abs(twin / true - 1.0) <= 1e-7).all()
        for name in instruction_sets():
            assert np.array_equal(exp32(name, t).view(np.uint32), twin.view(np.uint32)), name


def test_a_wrong_exponential_is_noticed() -> None:
    """Negative control: float32 exp of numpy differs in the bits."""
    t = next(iter(every_float(stride=997)))
    assert not np.array_equal(exp32(instruction_sets()[-1], t), np.exp(t))
