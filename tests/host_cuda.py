"""Builds csrc/cuda for the host (tests/cpp/cuda_kernels.cpp) and calls its launchers like ops."""

import ctypes
import os
import shutil
import subprocess
from ctypes import c_bool, c_double, c_int, c_int64, c_uint64, c_void_p
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


KINDS = {"*": c_void_p, "?": c_bool, "!": c_int, "~": c_double}


def structure(name: str, fields: str, **nested: type[ctypes.Structure]) -> type[ctypes.Structure]:
    """A struct of csrc/launch: x* is an address, x? a bool, x! an int, x~ a double, x an int64."""
    listed = [
        (word.rstrip("*?!~"), nested.get(word) or KINDS.get(word[-1], c_int64))
        for word in fields.split()
    ]
    return type(name, (ctypes.Structure,), {"_fields_": listed})


RowBatch = structure(
    "RowBatch",
    "logits* type! rows n stride allowed* allowed_stride allowed_bits* allowed_bits_stride "
    "params* params_stride",
)
BitSource = structure("BitSource", "uniforms* seeds* seed sequence_ids* positions* position")
StateRef = structure("StateRef", "sums* length* finished* eos* n_eos pad strict?")
StepFields = structure(
    "StepFields",
    "token* log_p* log_q* log_z* log_kept* entropy* kl* n_kept* status* cut* mass*",
)
NESTED = {"batch": RowBatch, "bits": BitSource, "state": StateRef, "out": StepFields}
StepArgs = structure("StepArgs", "batch count tokens* row_of* bits state out", **NESTED)
GridArgs = structure("GridArgs", "batch adaptors tokens* out", **NESTED)
MaskArgs = structure("MaskArgs", "batch mask* vocab", **NESTED)
BackwardArgs = structure(
    "BackwardArgs",
    "batch count vocab tokens* row_of* status* grad_log_p* grad_log_q* grad_log_z* cut* "
    "grad_logits*",
    **NESTED,
)
ChainArgs = structure(
    "ChainArgs",
    "log_weight* chains length seed sequence_ids* uniforms* index* accepted* count*",
)
CandidatesArgs = structure("CandidatesArgs", "batch k token* log_p* status*", **NESTED)
CombineTerm = structure("CombineTerm", "logits* type! stride weight~")
CombineArgs = structure("CombineArgs", "terms* n_terms rows vocab log_probs*")
ResampleArgs = structure(
    "ResampleArgs",
    "log_weight* values* pools size columns chains steps burn_in seed mean* accepted*",
)
RescoreArgs = structure(
    "RescoreArgs",
    "log_p* value* alpha* rows k alpha_stride greedy? bits index* log_ref* log_alg* kl*",
    **NESTED,
)
SegmentValueArgs = structure(
    "SegmentValueArgs", "rewards* log_ratio* segments n mode! value* ess* log_c*"
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


def bit_source(
    uniforms: Tensor | None,
    seeds: Tensor | None,
    seed: int,
    sequence_ids: Tensor | None,
    positions: Tensor | None,
    position: int,
) -> BitSource:
    known = (at(sequence_ids), at(positions))
    return BitSource(at(uniforms), at(seeds), seed, *known, position)


def fields(shape: tuple[int, ...], *extras: Tensor | None) -> tuple[list[Tensor], StepFields]:
    """The nine tensors of a step, and their addresses with those of cut and mass."""
    kinds = [torch.int64] + [torch.float64] * 6 + [torch.int64] * 2
    out = [torch.full(shape, 77, dtype=kind) for kind in kinds]
    return out, StepFields(*map(at, (*out, *extras)))


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

    def candidates(self, logits: Tensor, k: int, valid_vocab: int) -> list[Tensor]:
        rows = logits.shape[0]
        out = [torch.full((rows, k), 77), torch.full((rows, k), 77.0, dtype=torch.float64)]
        out.append(torch.full((rows,), 77))
        batch = row_batch(logits, torch.zeros(1, 13, dtype=torch.float64), None, valid_vocab)
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
