"""Builds csrc/cuda for the host (tests/cpp/cuda_kernels.cpp) and calls its launchers like ops."""

import ctypes
import os
import shutil
import subprocess
from ctypes import c_bool, c_int, c_int64, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.cpp_extension import include_paths

ROOT = Path(__file__).resolve().parent.parent
TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}


def compile_library(folder: Path, *overlay: Path) -> Path:
    """Compile the kernels for the host, warnings as errors; headers in `overlay` go first."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ (set CXX)")
    folders = [*overlay, ROOT / "tests" / "cpp" / "host_device", ROOT / "csrc"]
    library = folder / "cuda_kernels.so"
    command = [*compiler.split(), "-std=c++20", "-O1", "-shared", "-fPIC", "-ffp-contract=off"]
    command += ["-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-unknown-pragmas"]
    command += [*(f"-I{f}" for f in folders), *(f"-isystem{f}" for f in include_paths())]
    command += [str(ROOT / "tests" / "cpp" / "cuda_kernels.cpp"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


class RowBatch(ctypes.Structure):
    _fields_ = (
        ("logits", c_void_p),
        ("type", c_int),
        *((name, c_int64) for name in ("rows", "n", "stride")),
        ("allowed", c_void_p),
        ("allowed_stride", c_int64),
        ("allowed_bits", c_void_p),
        ("allowed_bits_stride", c_int64),
        ("params", c_void_p),
        ("params_stride", c_int64),
    )


class StepFields(ctypes.Structure):
    _fields_ = tuple(
        (name, c_void_p)
        for name in (
            *("token", "log_p", "log_q", "log_z", "log_kept", "entropy", "kl", "n_kept", "status"),
            *("cut", "mass"),
        )
    )


class StepArgs(ctypes.Structure):
    _fields_ = (
        ("batch", RowBatch),
        ("count", c_int64),
        ("tokens", c_void_p),
        ("row_of", c_void_p),
        ("uniforms", c_void_p),
        ("seeds", c_void_p),
        ("seed", c_int64),
        ("sequence_ids", c_void_p),
        ("positions", c_void_p),
        ("position", c_int64),
        ("sums", c_void_p),
        ("length", c_void_p),
        ("finished", c_void_p),
        ("eos", c_void_p),
        ("n_eos", c_int64),
        ("pad", c_int64),
        ("strict", c_bool),
        ("out", StepFields),
    )


class GridArgs(ctypes.Structure):
    _fields_ = (
        ("batch", RowBatch),
        ("adaptors", c_int64),
        ("tokens", c_void_p),
        ("out", StepFields),
    )


class MaskArgs(ctypes.Structure):
    _fields_ = (("batch", RowBatch), ("mask", c_void_p), ("vocab", c_int64))


class BackwardArgs(ctypes.Structure):
    _fields_ = (
        ("batch", RowBatch),
        ("count", c_int64),
        ("vocab", c_int64),
        *((name, c_void_p) for name in ("tokens", "row_of", "status")),
        *((name, c_void_p) for name in ("grad_log_p", "grad_log_q", "grad_log_z")),
        ("cut", c_void_p),
        ("grad_logits", c_void_p),
    )


class ChainArgs(ctypes.Structure):
    _fields_ = (
        ("log_weight", c_void_p),
        *((name, c_int64) for name in ("chains", "length", "seed")),
        *((name, c_void_p) for name in ("sequence_ids", "uniforms", "index", "accepted", "count")),
    )


def at(tensor: Tensor | None) -> int | None:
    """The address of a tensor's data; None without a tensor."""
    return None if tensor is None else tensor.data_ptr()


def row_batch(x: Tensor, params: Tensor, allowed: Tensor | None, valid_vocab: int) -> RowBatch:
    bits = allowed if allowed is not None and allowed.dtype == torch.int32 else None
    flags = allowed if bits is None else None
    strides = [0 if t is None or t.shape[0] == 1 else t.stride(0) for t in (flags, bits)]
    return RowBatch(
        *(at(x), TYPES[x.dtype], x.shape[0], valid_vocab, x.stride(0)),
        *(at(flags), strides[0], at(bits), strides[1]),
        *(at(params), 0 if params.shape[0] == 1 else params.stride(0)),
    )


def fields(shape: tuple[int, ...], *extras: Tensor | None) -> tuple[list[Tensor], StepFields]:
    """The nine tensors of a step, and their addresses with those of cut and mass."""
    kinds = [torch.int64] + [torch.float64] * 6 + [torch.int64] * 2
    out = [torch.full(shape, 77, dtype=kind) for kind in kinds]
    return out, StepFields(*map(at, (*out, *extras)))


@dataclass
class Machine:
    """What the kernels find: see Machine in host_device/cuda/block.cuh."""

    multiprocessors: int = 4
    storage_bytes: int = 1 << 20
    clusters: bool = True
    most_peers: int = 8
    order: int = 0


class Kernels:
    """The ops of csrc/cuda, with the signatures of torch.ops.aligndec."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.configure.argtypes = (c_int, c_int, c_int, c_int, c_uint64)
        self.configure(Machine())

    def configure(self, machine: Machine) -> None:
        m = machine
        self.library.configure(
            m.multiprocessors, m.storage_bytes, m.clusters, m.most_peers, m.order
        )

    def asked_for(self) -> tuple[int, int, int]:
        """Launches since the last configuration; with rows on the chip; with clusters."""
        counts = [c_int64() for _ in range(3)]
        self.library.asked_for(*map(ctypes.byref, counts))
        return tuple(c.value for c in counts)

    def call(self, name: str, args: ctypes.Structure) -> None:
        error = getattr(self.library, name)(ctypes.byref(args))
        assert error == 0, f"{name} returned {error}"

    def adaptor_step(
        self,
        *inputs: Any,  # logits, params, allowed, valid_vocab
        tokens: Tensor | None = None,
        seed: int = 0,
        seeds: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        position: int = 0,
        positions: Tensor | None = None,
        uniforms: Tensor | None = None,
        sums: Tensor | None = None,
        length: Tensor | None = None,
        finished: Tensor | None = None,
        eos: Tensor | None = None,
        pad: int = 0,
        strict: bool = False,
    ) -> list[Tensor]:
        rows = inputs[0].shape[0]
        out, pointers = fields((rows,), None, None)
        state = (at(sums), at(length), at(finished), at(eos), 0 if eos is None else len(eos))
        self.call(
            "adaptor_step",
            StepArgs(
                *(row_batch(*inputs), rows, at(tokens), None),
                *(at(uniforms), at(seeds), seed, at(sequence_ids), at(positions), position),
                *(*state, pad, strict, pointers),
            ),
        )
        return out

    def adaptor_score(self, *inputs: Any) -> list[Tensor]:
        *batch, tokens, rows = inputs
        count = len(tokens)
        cut = torch.full((4, count), 77.0, dtype=torch.float64)
        mass = torch.full((2, count), 77)
        out, pointers = fields((count,), cut, mass)
        args = StepArgs(row_batch(*batch), count, at(tokens), at(rows), out=pointers)
        self.call("adaptor_step", args)
        return [*out, cut, mass]

    def adaptor_grid(self, *inputs: Any) -> list[Tensor]:
        *batch, tokens = inputs
        shape = (batch[1].shape[0], batch[0].shape[0])
        mass = torch.full((2, *shape), 77)
        out, pointers = fields(shape, None, mass)
        self.call("adaptor_grid", GridArgs(row_batch(*batch), shape[0], at(tokens), pointers))
        return [*out, mass]

    def adaptor_mask(self, *inputs: Any) -> Tensor:
        mask = torch.zeros(inputs[0].shape, dtype=torch.bool)
        self.call("adaptor_mask", MaskArgs(row_batch(*inputs), at(mask), mask.shape[1]))
        return mask

    def adaptor_score_backward(self, *inputs: Any) -> Tensor:
        *heads, logits, params, allowed, valid_vocab, tokens, rows, cut, status = inputs
        grad = torch.full(logits.shape, 77.0, dtype=logits.dtype)
        batch = row_batch(logits, params, allowed, valid_vocab)
        order = (*map(at, (tokens, rows, status, *heads)), at(cut), at(grad))
        args = BackwardArgs(batch, len(tokens), logits.shape[1], *order)
        self.call("adaptor_score_backward", args)
        return grad

    def imh_chain(
        self, log_weight: Tensor, seed: int, sequence_ids: Tensor | None, uniforms: Tensor | None
    ) -> list[Tensor]:
        chains, length = log_weight.shape
        index = torch.full((chains, length), 77)
        accepted, count = torch.zeros_like(index, dtype=torch.bool), torch.full((chains,), 77)
        out = [index, accepted, count]
        given = (at(sequence_ids), at(uniforms))
        self.call(
            "imh_chain", ChainArgs(at(log_weight), chains, length, seed, *given, *map(at, out))
        )
        return out
