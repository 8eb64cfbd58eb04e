"""Resampling of particle filters: when it is due, and which particle each slot goes on from."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from aligndec import rng
from aligndec.imh.checks import log_weights
from aligndec.ops import current_ops
from aligndec.reference import SCHEMES
from aligndec.shared import draw_uniforms, on_device, plain_arguments, real, vector, whole

__all__ = ["Resampling", "Scheme", "check_scheme", "check_threshold", "smc_resample"]

Scheme = Literal["systematic", "stratified", "multinomial", "residual"]
assert get_args(Scheme) == SCHEMES


class Resampling(NamedTuple):
    """What becomes of filters of N particles.

    `ancestor` int64 [..., N]: the particle that each slot goes on from, ascending; the identity
    where nothing is due. `ess` float64 [...]: (Σ w)² / Σ w², 0 without any weight. `log_mean`
    float64 [...]: ln of the mean weight, whether due or not. `due` bool [...].
    """

    ancestor: Tensor
    ess: Tensor
    log_mean: Tensor
    due: Tensor


@plain_arguments
def smc_resample(
    log_weight: Tensor,
    *,
    threshold: float = 1.0,
    resampling: Scheme = "systematic",
    seed: int = 0,
    sequence_ids: Tensor | None = None,
    positions: int | Tensor = 0,
    uniforms: Tensor | None = None,
) -> Resampling:
    """Resample the particles of filters whose weights have become too unequal.

    Particle i gets floor or ceil of N w_i / Σ w slots ("systematic"), or that many on average.
    Weights of a filter that was resampled start again at 1; `log_mean` is what they leave to the
    estimate of ln Z.

    Parameters
    ----------
    log_weight : Tensor
        Floating-point [..., N], N < 2^31, finite or −inf. Taken in float64; nothing is
        differentiated.
    threshold : float
        In [0, 1]: due when the effective size (Σ w)² / Σ w² is below threshold · N. 1: whenever
        the weights differ; 0: never. A filter of −inf only is never due.
    resampling : {"systematic", "stratified", "multinomial", "residual"}
        How the random part is drawn.
    seed : int
        Run seed mod 2^64.
    sequence_ids : Tensor, optional
        int64 [..., N], names of the slots in the random-number scheme (stream 8), or [...], the
        name of slot 0, after which the others are counted on. Default 0, 1, … over all slots in
        row-major order. "systematic" uses that of slot 0 alone.
    positions : int or Tensor
        Step, an int or int64 [...].
    uniforms : Tensor, optional
        float64 in [0, 1) instead of the random bits: [...] for "systematic", else [..., N].

    Returns
    -------
    Resampling
        Decided in integers: the same for any number of threads, backend and device.

    Raises
    ------
    ValueError, TypeError
        NaN or +inf among the weights (the message says where), arguments out of range.

    References
    ----------
    Douc, Cappé, Moulines 2005 (schemes); Gordon, Salmond, Smith 1993 (multinomial); Kitagawa 1996
    (systematic, stratified); Liu, Chen 1998 (residual; threshold on the effective size).
    """
    where = "imh.smc_resample"
    weight = log_weights(where, log_weight)
    threshold = check_threshold(where, threshold)
    scheme = check_scheme(where, resampling)
    key = rng.signed64(whole(where, "seed", seed))
    leading, n = weight.shape[:-1], weight.shape[-1]
    if n >= 2**31:
        raise ValueError(f"{where}: log_weight must be [..., N] with N < 2^31, got N = {n}")
    filters = leading.numel()
    ids = _slots(where, sequence_ids, weight)
    position, each = 0, None
    if isinstance(positions, Tensor):
        each = vector(where, "positions", positions.reshape(-1), filters, weight.device)
    else:
        position = whole(where, "positions", positions)
    if uniforms is not None:
        shape = leading if scheme == 0 else weight.shape
        uniforms = _uniforms(where, uniforms, shape, weight.device)
    flat = weight.reshape(filters, n).contiguous()
    given = (flat, threshold, scheme, key, ids, position, each, uniforms)
    ancestor, ess, log_mean, due = current_ops().smc_resample(*given)
    fields = (x.reshape(leading) for x in (ess, log_mean, due))
    return Resampling(ancestor.reshape(weight.shape), *fields)


def check_threshold(function: str, value: float) -> float:
    """Return the threshold as a float in [0, 1]."""
    value = real(function, "threshold", value)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{function}: threshold must be in [0, 1], got {value}")
    return value


def check_scheme(function: str, name: str) -> int:
    """Return the number of a scheme."""
    if name not in SCHEMES:
        raise ValueError(f"{function}: resampling must be one of {SCHEMES}, got {name!r}")
    return SCHEMES.index(name)


def _slots(where: str, ids: Tensor | None, weight: Tensor) -> Tensor | None:
    """Sequence ids of all slots, flat, of those given for slots or for filters."""
    if ids is None:
        return None
    shapes = (weight.shape, weight.shape[:-1])
    good = isinstance(ids, Tensor) and ids.dtype == torch.int64 and ids.shape in shapes
    if not good:
        got = f"{ids.dtype} {list(ids.shape)}" if isinstance(ids, Tensor) else repr(ids)
        raise ValueError(
            f"{where}: sequence_ids must be int64 [..., N] = {list(shapes[0])} or [...] = "
            f"{list(shapes[1])}, got {got}"
        )
    on_device(where, "sequence_ids", ids, weight.device)
    if ids.shape == shapes[1]:
        ids = ids[..., None] + torch.arange(weight.shape[-1], device=weight.device)
    return ids.reshape(-1).contiguous()


def _uniforms(where: str, given: Tensor, shape: torch.Size, device: torch.device) -> Tensor:
    """Uniforms of this shape, flat."""
    is_tensor = isinstance(given, Tensor)
    if not is_tensor or given.dtype != torch.float64 or given.shape != shape:
        got = f"{given.dtype} {list(given.shape)}" if is_tensor else repr(given)
        raise ValueError(f"{where}: uniforms must be float64 {list(shape)}, got {got}")
    return draw_uniforms(where, given.reshape(-1), shape.numel(), device)
