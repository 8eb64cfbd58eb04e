"""The argument structs of csrc/launch, filled from tensors."""

import ctypes
from ctypes import c_bool, c_double, c_int, c_int64, c_void_p

import torch
from torch import Tensor

TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}

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
SPARSE = {  # absent unless given
    "bias": structure("BiasRows", "ids* offsets* values*"),
    "kept": structure("KeptRows", "ids* offsets* complete*"),
    "sets": structure("SetRows", "ids* stride sizes* complete*"),
}
NESTED = {"batch": RowBatch, "bits": BitSource, "state": StateRef, "out": StepFields, **SPARSE}
StepArgs = structure(
    "StepArgs", "batch count tokens* row_of* bits state out bias kept sets", **NESTED
)
GridArgs = structure("GridArgs", "batch adaptors tokens* out bias", **NESTED)
MaskArgs = structure("MaskArgs", "batch mask* vocab bias", **NESTED)
BackwardArgs = structure(
    "BackwardArgs",
    "batch count vocab tokens* row_of* status* grad_log_p* grad_log_q* grad_log_z* cut* "
    "grad_logits* grad_log_kept* log_kept* bias kept",
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
SmcResampleArgs = structure(
    "SmcResampleArgs",
    "log_weight* filters n threshold~ scheme! bits ancestor* ess* log_mean* due* keys* copies*",
    **NESTED,
)
TiltBatch = structure("TiltBatch", "log_p* r* is_double? rows n log_p_stride r_stride")
TILT = {"batch": TiltBatch}
TiltStatsArgs = structure("TiltStatsArgs", "batch beta* count out*", **TILT)
TiltSolveArgs = structure(
    "TiltSolveArgs", "batch target* count kind! shared? values* flags* workspace*", **TILT
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


def tilt_batch(log_p: Tensor | None, r: Tensor) -> TiltBatch:
    stride = 0 if log_p is None else log_p.stride(0)
    return TiltBatch(at(log_p), at(r), r.dtype == torch.float64, *r.shape, stride, r.stride(0))


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
