"""The chain itself: which proposal is the state after every step."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aligndec import rng
from aligndec.imh.checks import log_weights, names, with_uniforms
from aligndec.ops import current_ops
from aligndec.shared import plain_arguments, whole

__all__ = ["Chain", "chain"]


class Chain(NamedTuple):
    """States of chains: one emitted per proposal.

    `index` int64 [..., N] is the proposal that is the state after step n, `accepted` bool [..., N]
    (entry 0, the start, is True), `acceptance_rate` float64 [...] over the N − 1 decisions (NaN for
    N = 1).
    """

    index: Tensor  # type: ignore[assignment]  # the name hides tuple.index
    accepted: Tensor
    acceptance_rate: Tensor


@plain_arguments
def chain(
    log_weight: Tensor,
    *,
    seed: int = 0,
    uniforms: Tensor | None = None,
    sequence_ids: Tensor | None = None,
) -> Chain:
    """Run independence Metropolis–Hastings chains over given proposals.

    The state starts at proposal 0. Proposal n replaces it iff ``ln u_n < ln w_n − ln w_state``;
    otherwise the state is emitted again. A state of weight 0 gives way to any other; a proposal of
    weight 0 never replaces anything.

    Parameters
    ----------
    log_weight : Tensor
        Floating-point [..., N], N >= 1, finite or −inf: ln target − ln proposal law. Taken in
        float64; nothing is differentiated.
    seed : int
        Run seed mod 2^64.
    uniforms : Tensor, optional
        float64 [..., N] in [0, 1): u_n as it is; entry 0 is not used.
    sequence_ids : Tensor, optional
        int64 [...]: names of the chains in the random-number scheme; default 0, 1, … in
        row-major order.

    Returns
    -------
    Chain
        The same for any number of threads, instruction set, backend and device.

    Raises
    ------
    ValueError, TypeError
        N = 0, NaN or +inf among the weights (the message says where), uniforms out of range.

    References
    ----------
    Hastings 1970; Tierney 1994.
    """
    weight = log_weights("imh.chain", log_weight)
    key = rng.signed64(whole("imh.chain", "seed", seed))
    if uniforms is not None:
        weight, uniforms = with_uniforms("imh.chain", weight, uniforms)
    shape, chains = weight.shape, weight[..., 0].numel()
    if sequence_ids is not None:
        sequence_ids = names("imh.chain", sequence_ids, shape[:-1], weight.device)
    flat = weight.reshape(chains, shape[-1]).contiguous()
    if uniforms is not None:
        uniforms = uniforms.reshape(flat.shape).contiguous()
    index, accepted, count = current_ops().imh_chain(flat, key, sequence_ids, uniforms)
    # 0 / 0 is the NaN of N = 1.
    rate = (count - 1).double().reshape(shape[:-1]) / (shape[-1] - 1)
    return Chain(index.reshape(shape), accepted.reshape(shape), rate)
