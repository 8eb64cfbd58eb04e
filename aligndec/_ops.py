"""The ops of the library `aligndec`: schemas, shapes, default kernels, gradients.

The eager reference is the default kernel of every op; the compiled extension, when present,
overrides it for CPU and CUDA tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from aligndec import reference
from aligndec._step_types import Ops

__all__ = ["NATIVE", "extension", "torch_ops"]

_NINE = (
    "Tensor token, Tensor log_p, Tensor log_q, Tensor log_z, Tensor log_kept, Tensor entropy, "
    "Tensor kl, Tensor n_kept, Tensor status"
)
_SCHEMAS = {
    "adaptor_step": (
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor? tokens, "
        "int seed, Tensor? seeds, Tensor? sequence_ids, int position, Tensor? positions, "
        "Tensor? uniforms, Tensor(a!)? sums, Tensor(b!)? length, Tensor(c!)? finished, "
        f"Tensor? eos, int pad, bool strict) -> ({_NINE})"
    ),
    "adaptor_score": (
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor tokens, "
        f"Tensor? rows) -> ({_NINE}, Tensor cut, Tensor mass)"
    ),
    "adaptor_grid": (
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor tokens) -> "
        f"({_NINE}, Tensor mass)"
    ),
    "adaptor_mask": ("(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab) -> Tensor"),
    "adaptor_score_backward": (
        "(Tensor grad_log_p, Tensor grad_log_q, Tensor grad_log_z, Tensor logits, Tensor params, "
        "Tensor? allowed, int valid_vocab, Tensor tokens, Tensor? rows, Tensor cut, "
        "Tensor status) -> Tensor"
    ),
    "imh_chain": (
        "(Tensor log_weight, int seed, Tensor? sequence_ids, Tensor? uniforms) -> "
        "(Tensor index, Tensor accepted, Tensor count)"
    ),
}


def _nine(logits: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Empty token, six floats, n_kept and status of the given shape."""
    whole = [logits.new_empty(shape, dtype=torch.int64) for _ in range(3)]
    floats = [logits.new_empty(shape, dtype=torch.float64) for _ in range(6)]
    return (whole[0], *floats, whole[1], whole[2])


def _fake_step(logits: Tensor, params: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return _nine(logits, (logits.shape[0],))


def _fake_score(
    logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int, tokens: Tensor, rows: Any
) -> tuple[Tensor, ...]:
    n = tokens.shape[0]
    cut = logits.new_empty((4, n), dtype=torch.float64)
    mass = logits.new_empty((2, n), dtype=torch.int64)
    return (*_nine(logits, (n,)), cut, mass)


def _fake_grid(
    logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int, tokens: Tensor
) -> tuple[Tensor, ...]:
    shape = (params.shape[0], tokens.shape[0])
    return (*_nine(logits, shape), logits.new_empty((2, *shape), dtype=torch.int64))


def _fake_mask(logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int) -> Tensor:
    return logits.new_empty(logits.shape, dtype=torch.bool)


def _fake_backward(
    grad_log_p: Tensor, grad_log_q: Tensor, grad_log_z: Tensor, logits: Tensor, *rest: Any
) -> Tensor:
    return logits.new_empty(logits.shape)


def _fake_chain(log_weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    index = log_weight.new_empty(log_weight.shape, dtype=torch.int64)
    return index, torch.empty_like(index, dtype=torch.bool), index.new_empty(index.shape[0])


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, params, allowed, valid_vocab, tokens, rows = inputs
    ctx.save_for_backward(logits, params, allowed, tokens, rows, output[9], output[8])
    ctx.valid_vocab = valid_vocab
    # entropy, kl and log_kept are for the books only.
    ctx.mark_non_differentiable(*(output[i] for i in (0, 4, 5, 6, 7, 8, 9, 10)))


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    logits, params, allowed, tokens, rows, cut, status = ctx.saved_tensors
    zeros = torch.zeros_like(status, dtype=torch.float64)
    heads = [zeros if grads[i] is None else grads[i] for i in (1, 2, 3)]
    grad = torch.ops.aligndec.adaptor_score_backward.default(
        *heads, logits, params, allowed, ctx.valid_vocab, tokens, rows, cut, status
    )
    return grad, None, None, None, None, None


_library: Any = torch.library.Library("aligndec", "DEF")  # type: ignore[no-untyped-call]
for _name, _schema in _SCHEMAS.items():
    _library.define(_name + _schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(_name, getattr(reference, _name), "CompositeExplicitAutograd")
_FAKES: dict[str, Any] = {
    "adaptor_step": _fake_step,
    "adaptor_score": _fake_score,
    "adaptor_grid": _fake_grid,
    "adaptor_mask": _fake_mask,
    "adaptor_score_backward": _fake_backward,
    "imh_chain": _fake_chain,
}
for _name, _fake in _FAKES.items():
    torch.library.register_fake(f"aligndec::{_name}", _fake, lib=_library)
torch.library.register_autograd(
    "aligndec::adaptor_score", _backward, setup_context=_setup_context, lib=_library
)


def _load() -> Any:
    """Import the extension, which registers its kernels; None when it was not built."""
    how = "rebuild it against this torch with `pip install --no-build-isolation .`"
    try:
        module = import_module("aligndec._C")
    except ModuleNotFoundError as error:
        if error.name == "aligndec._C":
            return None
        raise
    except ImportError as error:
        raise ImportError(
            f"aligndec._C does not load with torch {torch.__version__} ({error}): {how}."
        ) from error
    built, found = str(module.torch_version), torch.__version__
    if built.split("+")[0] != found.split("+")[0]:
        raise ImportError(f"aligndec._C was built for torch {built}, found torch {found}: {how}.")
    return module


extension = _load()
"""The pybind11 module of the compiled kernels, or None."""

NATIVE: bool = extension is not None

_table = torch.ops.aligndec
torch_ops = Ops(
    _table.adaptor_step.default,
    _table.adaptor_score.default,
    _table.adaptor_grid.default,
    _table.adaptor_mask.default,
    _table.imh_chain.default,
)
"""The registered ops: compiled kernels where there are some, the reference elsewhere."""
