"""Builds csrc/cuda for the host (tests/cpp/cuda_kernels.cpp) and calls its launchers like ops."""

import ctypes
import os
import shutil
import subprocess
from ctypes import c_int, c_int64, c_uint64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from support.launch_args import (
    TYPES,
    BackwardArgs,
    CandidatesArgs,
    ChainArgs,
    CombineArgs,
    CombineTerm,
    GridArgs,
    MaskArgs,
    ResampleArgs,
    RescoreArgs,
    SegmentValueArgs,
    SmcResampleArgs,
    StateRef,
    StepArgs,
    TiltSolveArgs,
    TiltStatsArgs,
    at,
    bit_source,
    fields,
    row_batch,
    tilt_batch,
)
from torch import Tensor
from torch.utils.cpp_extension import include_paths

from aligndec.step.adaptors import Adaptor
from aligndec.step.packed import row_of

ROOT = Path(__file__).resolve().parents[2]


def compile_library(folder: Path) -> Path:
    """Compile the kernels for the host, warnings as errors."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ (set CXX)")
    folders = [ROOT / "tests" / "cpp" / "host_device", ROOT / "csrc"]
    library = folder / "cuda_kernels.so"
    command = [*compiler.split(), "-std=c++20", "-O1", "-shared", "-fPIC", "-ffp-contract=off"]
    command += ["-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wno-unknown-pragmas"]
    command += [*(f"-I{f}" for f in folders), *(f"-isystem{f}" for f in include_paths())]
    command += [str(ROOT / "tests" / "cpp" / "cuda_kernels.cpp"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


@dataclass
class Machine:
    """What the kernels find: see Machine in host_device/machine.h."""

    multiprocessors: int = 4
    storage_bytes: int = 1 << 20
    clusters: bool = True
    most_peers: int = 8
    order: int = 0


MACHINES = {
    "one block": Machine(clusters=False),
    "one block, rows not on the chip": Machine(clusters=False, storage_bytes=0),
    "clusters": Machine(order=1),
    "clusters, rows not on the chip": Machine(storage_bytes=0, order=2),
    "no room for a cluster": Machine(most_peers=1, order=3),
}


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
        bits = bit_source(uniforms, seeds, seed, sequence_ids, positions, position)
        ends = 0 if eos is None else len(eos)
        state = StateRef(*map(at, (sums, length, finished, eos)), ends, pad, strict)
        args = StepArgs(row_batch(*inputs), rows, at(tokens), None, bits, state, pointers)
        self.call("adaptor_step", args)
        return out

    def adaptor_score(self, *inputs: Any) -> list[Tensor]:
        *batch, tokens, rows = inputs
        count = len(tokens)
        cut = torch.full((7, count), 77.0, dtype=torch.float64)
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

    def candidates(self, logits: Tensor, k: int, valid_vocab: int) -> list[Tensor]:
        rows = logits.shape[0]
        out = [torch.full((rows, k), 77), torch.full((rows, k), 77.0, dtype=torch.float64)]
        out.append(torch.full((rows,), 77))
        batch = row_batch(logits, row_of(Adaptor()), None, valid_vocab)
        self.call("candidates", CandidatesArgs(batch, k, *map(at, out)))
        return out

    def combine_logits(self, logits: list[Tensor], weights: list[float]) -> Tensor:
        terms = (CombineTerm * len(logits))(
            *((at(x), TYPES[x.dtype], x.stride(0), w) for x, w in zip(logits, weights, strict=True))
        )
        out = torch.full(logits[0].shape, 77.0, dtype=torch.float64)
        where = ctypes.addressof(terms)
        self.call("combine_logits", CombineArgs(where, len(terms), *out.shape, at(out)))
        return out

    def imh_resample(
        self, log_weight: Tensor, values: Tensor, chains: int, steps: int, burn_in: int, seed: int
    ) -> list[Tensor]:
        pools, _, columns = values.shape
        mean = torch.full((pools, chains, columns), 77.0, dtype=torch.float64)
        out = [mean, torch.full((pools, chains), 77)]
        sizes = (*values.shape, chains, steps, burn_in, seed)
        self.call("imh_resample", ResampleArgs(at(log_weight), at(values), *sizes, *map(at, out)))
        return out

    def rescore(self, *inputs: Any) -> list[Tensor]:
        log_p, value, alpha, greedy, seed, sequence_ids, position, positions, uniforms = inputs
        rows, k = log_p.shape
        out = [torch.full((rows,), 77)]
        out += [torch.full((rows,), 77.0, dtype=torch.float64) for _ in range(3)]
        args = RescoreArgs(
            *(at(log_p), at(value), at(alpha), rows, k, int(len(alpha) > 1), greedy),
            *(bit_source(uniforms, None, seed, sequence_ids, positions, position), *map(at, out)),
        )
        self.call("rescore", args)
        return out

    def segment_value(self, rewards: Tensor, log_ratio: Tensor | None, mode: int) -> list[Tensor]:
        out = [torch.full((len(rewards),), 77.0, dtype=torch.float64) for _ in range(3)]
        args = (at(rewards), at(log_ratio), *rewards.shape, mode, *map(at, out))
        self.call("segment_value", SegmentValueArgs(*args))
        return out

    def smc_resample(self, *inputs: Any) -> list[Tensor]:
        log_weight, threshold, scheme, seed, sequence_ids, position, positions, uniforms = inputs
        filters, n = log_weight.shape
        out = [torch.full((filters, n), 77)]
        out += [torch.full((filters,), 77.0, dtype=torch.float64) for _ in range(2)]
        out.append(torch.zeros(filters, dtype=torch.bool))
        room = torch.full((filters * n, 2), 77), torch.full((filters * n,), 77, dtype=torch.int32)
        bits = bit_source(uniforms, None, seed, sequence_ids, positions, position)
        args = (at(log_weight), filters, n, threshold, scheme, bits, *map(at, (*out, *room)))
        self.call("smc_resample", SmcResampleArgs(*args))
        return out

    def tilt_stats(self, log_p: Tensor | None, r: Tensor, beta: Tensor) -> Tensor:
        out = torch.full((5, *beta.shape), 77.0, dtype=torch.float64)
        args = (at(beta), beta.shape[1], at(out))
        self.call("tilt_stats", TiltStatsArgs(tilt_batch(log_p, r), *args))
        return out

    def tilt_solve(
        self, log_p: Tensor | None, r: Tensor, target: Tensor, kind: int, shared: bool
    ) -> list[Tensor]:
        shape = (4, r.shape[0], target.shape[1])
        out = [torch.full(shape, 77.0, dtype=torch.float64), torch.full(shape, 77)]
        states = torch.full((r.shape[0], 40), float("nan"), dtype=torch.float64)
        args = (at(target), shape[2], kind, shared, *map(at, out), at(states) if shared else None)
        self.call("tilt_solve", TiltSolveArgs(tilt_batch(log_p, r), *args))
        return out
