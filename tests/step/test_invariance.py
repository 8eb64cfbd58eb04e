"""The same row gives the same bits whatever stands around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.cases import (
    ADAPTORS,
    DTYPES,
    HOSTILE,
    LAYOUTS,
    adaptors,
    bits,
    check_step,
    crossed,
    hostile,
    randn,
    rows_of,
)
from support.cases import uniforms as make_uniforms
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

CAPABILITIES = ("default", "avx2", "avx512")
# Prints a digest of decisions, floats and masses, and the instruction set that was used. The inputs
# come from a file: torch.randn itself depends on the instruction set.
DIGEST = """
import hashlib, sys
import torch
from support.cases import adaptors, crossed, uniforms
import aligndec as ad
from aligndec.testing import masses
digest = hashlib.sha256()
with ad.use_backend("native"):
    for rows in torch.load(sys.argv[1]):
        x, every = crossed(rows)
        step = ad.sample(x, every, uniforms=uniforms(len(x)))
        score = ad.score(x, torch.arange(len(x)) % x.shape[1], every)
        mass = [m for a in adaptors() for m in masses(rows, a)]
        for field in (*step, *score, *mass):
            digest.update(field.numpy().tobytes())
    print(digest.hexdigest(), *(f"{k}={v}" for k, v in sorted(ad.build_info().items())), sep="|")
"""


@pytest.fixture
def batch(backend: str) -> tuple[Tensor, list[ad.Adaptor], Tensor]:
    x, every = crossed(randn(2, 1031 if backend == "native" else 131))
    return x, every, make_uniforms(len(x), 3)


def test_threads(batch: tuple[Tensor, list[ad.Adaptor], Tensor], backend: str) -> None:
    x, every, u = batch
    large = randn(2, 128256 if backend == "native" else 3001, 1)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert torch.get_num_threads() == threads
        results.append(
            (
                ad.sample(x, every, uniforms=u),
                ad.sample(large, every[:2], uniforms=u[:2]),
                ad.sample(large[:1], every[-1], uniforms=u[:1]),
                masses(large, every[-1]),
            )
        )
    (*steps, mass), (*others, other_mass) = results
    for step, other in zip(steps, others, strict=True):
        check_step(step, other)
    assert [m.tolist() for m in mass] == [m.tolist() for m in other_mass]


def test_instruction_sets(native: None, tmp_path: Path) -> None:
    rows = [hostile(name, dtype) for name in HOSTILE for dtype in DTYPES]
    torch.save(rows, tmp_path / "rows.pt")
    outputs = []
    for capability in CAPABILITIES:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", DIGEST, str(tmp_path / "rows.pt")],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[1],
            env={
                **os.environ,
                "ATEN_CPU_CAPABILITY": capability,
                "PYTHONPATH": str(Path(ad.__file__).parents[1]),
            },
        )
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.strip().split("|", 1))
    assert len({digest for digest, _ in outputs}) == 1, outputs
    # The comparison is empty unless different code ran.
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    here = 1 + (" avx2 " in flags) + (" avx512f " in flags)
    assert len({info for _, info in outputs}) >= here, outputs


@pytest.mark.usefixtures("backend")
def test_one_row_and_sixty_four() -> None:
    x, u = randn(64, 300), make_uniforms(64)
    for adaptor in adaptors():
        together = ad.sample(x, adaptor, uniforms=u)
        for i in (0, 1, 31, 63):
            alone = ad.sample(x[i : i + 1], adaptor, uniforms=u[i : i + 1])
            check_step(alone, rows_of(together, slice(i, i + 1)))


@pytest.mark.usefixtures("backend")
def test_permuted_rows() -> None:
    """Random bits follow the sequence id, not the place in the batch."""
    x, every = crossed(randn(2, 90))
    ids = torch.arange(len(x)) * 3 + 2**40
    order = torch.randperm(len(x))
    expected = ad.sample(x, every, seed=11, sequence_ids=ids, positions=4)
    actual = ad.sample(
        x[order],
        [every[i] for i in order.tolist()],
        seed=11,
        sequence_ids=ids[order],
        positions=4,
    )
    check_step(actual, rows_of(expected, order))
    # Control: without the ids the draws do change.
    other = ad.sample(x[order], [every[i] for i in order.tolist()], seed=11, positions=4)
    assert not torch.equal(other.token, expected.token[order])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("vocab", [1, 31, 33, 500])
@pytest.mark.parametrize("padding", [1, 1060])
def test_padded_vocabulary(vocab: int, padding: int) -> None:
    x, every = crossed(randn(1, vocab, vocab))
    u = make_uniforms(len(x))
    expected = ad.sample(x, every, uniforms=u)
    padded = torch.cat((x, torch.full((len(x), padding), float("nan"))), 1)
    check_step(ad.sample(padded, every, uniforms=u, valid_vocab=vocab), expected)
    padded[:, vocab:] = -float("inf")
    check_step(ad.sample(padded, every, uniforms=u), expected)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("vocab", [33, 1031])
def test_layouts(layout: str, dtype: torch.dtype, vocab: int) -> None:
    x, every = crossed(randn(1, vocab).to(dtype))
    u, token = make_uniforms(len(x)), torch.arange(len(x)) % vocab
    odd = LAYOUTS[layout](x)
    assert torch.equal(odd, x)
    check_step(ad.sample(odd, every, uniforms=u), ad.sample(x, every, uniforms=u))
    check_step(ad.score(odd, token, every), ad.score(x, token, every))
    assert torch.equal(ad.kept_mask(odd, every[-1]), ad.kept_mask(x, every[-1]))


@pytest.mark.usefixtures("backend")
def test_one_row_shared_by_all() -> None:
    x = randn(1, 500)
    every = adaptors()
    u, token = make_uniforms(len(every)), torch.arange(len(every))
    shared, copied = x.expand(len(every), 500), x.repeat(len(every), 1)
    assert shared.stride(0) == 0
    check_step(ad.sample(shared, every, uniforms=u), ad.sample(copied, every, uniforms=u))
    check_step(ad.score(shared, token, every), ad.score(copied, token, every))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_dtype_paths(dtype: torch.dtype) -> None:
    """The same values in half and in float32 decide alike."""
    x, every = crossed(randn(1, 1031, 5).to(dtype))
    u = make_uniforms(len(x))
    check_step(ad.sample(x, every, uniforms=u), ad.sample(x.float(), every, uniforms=u))
    for adaptor in adaptors():
        half, full = masses(x[:1], adaptor), masses(x[:1].float(), adaptor)
        assert [m.tolist() for m in half] == [m.tolist() for m in full]


@pytest.mark.usefixtures("backend")
def test_mixed_adaptors_and_packed() -> None:
    x, every, u = randn(len(ADAPTORS), 257), adaptors(), make_uniforms(len(ADAPTORS))
    mixed = ad.sample(x, every, uniforms=u)
    for i, adaptor in enumerate(every):
        alone = ad.sample(x[i : i + 1], adaptor, uniforms=u[i : i + 1])
        check_step(alone, rows_of(mixed, slice(i, i + 1)))
    check_step(ad.sample(x, ad.pack(every, len(every)), uniforms=u), mixed)
    one = ad.pack(every[-1], len(every))
    check_step(ad.sample(x, one, uniforms=u), ad.sample(x, every[-1], uniforms=u))


@pytest.mark.usefixtures("backend")
def test_score_of_a_sampled_token(batch: tuple[Tensor, list[ad.Adaptor], Tensor]) -> None:
    x, every, u = batch
    step = ad.sample(x, every, uniforms=u)
    check_step(ad.score(x, step.token, every), step)
    grid = ad.score_grid(x[:1], step.token[:1], every)
    check_step(
        rows_of(grid, (slice(None), 0)),
        ad.score(x[:1].expand(len(every), -1), step.token[:1].expand(len(every)), every),
    )


@pytest.mark.usefixtures("backend")
def test_score_with_state_rebuilds_the_sums() -> None:
    every = adaptors()
    drawn = ad.SequenceState.start(len(every), eos_token_id=3, pad_token_id=1)
    scored = ad.SequenceState.start(len(every), eos_token_id=3, pad_token_id=1)
    for t in range(12):
        x = randn(len(every), 12, t)
        step = ad.sample(x, every, state=drawn, seed=5)
        check_step(ad.score(x, step.token, every, state=scored), step)
    assert drawn.finished.any()
    for name in ("sum_log_p", "sum_log_q", "sum_log_z", "sum_log_kept", "sum_kl", "length"):
        assert torch.equal(getattr(drawn, name), getattr(scored, name)), name


@pytest.mark.usefixtures("backend")
def test_bool_mask_and_bit_mask(batch: tuple[Tensor, list[ad.Adaptor], Tensor]) -> None:
    x, every, u = batch
    allowed = randn(len(x), x.shape[1], 9) > 0
    expected = ad.sample(x, every, uniforms=u, allowed=allowed)
    check_step(ad.sample(x, every, uniforms=u, allowed=bits(allowed)), expected)
