"""Samplers of other libraries on a GPU, called as who uses them calls them.

They return the token alone, without log-probabilities, entropy or sums. A library that is not
there is a `ModuleNotFoundError`, one that lacks the call an `ImportError`; both name it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aligndec.adaptors import Adaptor

__all__ = ["PEERS"]

Call = Callable[[], object]


def _flashinfer_joint(logits: Tensor, chosen: Adaptor) -> Call:
    """Softmax, then rejection against both cuts of the whole row at once."""
    from flashinfer.sampling import softmax, top_k_top_p_sampling_from_probs

    k, p, order = chosen.top_k, chosen.top_p, "joint"
    return lambda: top_k_top_p_sampling_from_probs(softmax(logits), k, p, filter_apply_order=order)


def _flashinfer_logits(logits: Tensor, chosen: Adaptor) -> Call:
    """top_k of the logits, then top_p of what is left: the cut that we make."""
    from flashinfer.sampling import top_k_top_p_sampling_from_logits

    k, p, order = chosen.top_k, chosen.top_p, "top_k_first"
    return lambda: top_k_top_p_sampling_from_logits(logits, k, p, filter_apply_order=order)


def _flashinfer_top_p(logits: Tensor, chosen: Adaptor) -> Call:
    from flashinfer.sampling import softmax, top_p_sampling_from_probs

    return lambda: top_p_sampling_from_probs(softmax(logits), chosen.top_p)


def _flashinfer_cake(logits: Tensor, chosen: Adaptor) -> Call:
    """Clusters and 64-bit fixed-point sums; compute capability 9.0 and later, k <= 1024."""
    from flashinfer.cake_sampling import cake_sampling_route, top_k_top_p_sampling_from_probs
    from flashinfer.sampling import softmax

    route = cake_sampling_route(softmax(logits), chosen.top_k)
    if route != "pipeline":
        raise ImportError(f"flashinfer.cake_sampling does not serve this GPU: {route}")
    return lambda: top_k_top_p_sampling_from_probs(softmax(logits), chosen.top_k, chosen.top_p)


def _vllm_triton(logits: Tensor, chosen: Adaptor) -> Call:
    """Mask in place by a Triton kernel, softmax, and a draw by exponential variates."""
    from vllm.v1.sample.ops.topk_topp_triton import apply_top_k_top_p_triton

    rows = len(logits)

    def full(value: float | int, dtype: torch.dtype) -> Tensor | None:
        return torch.full((rows,), value, dtype=dtype, device=logits.device)

    k = full(chosen.top_k, torch.int32) if chosen.top_k else None
    p = full(chosen.top_p, torch.float32) if chosen.top_p < 1.0 else None

    def call() -> Any:
        probs = apply_top_k_top_p_triton(logits.clone(), k, p).softmax(-1)
        return (probs / torch.empty_like(probs).exponential_()).argmax(-1)

    return call


TOP_P, BOTH = Adaptor(top_p=0.9), Adaptor(top_k=50, top_p=0.9)
PEERS: list[tuple[str, Adaptor, Callable[[Tensor, Adaptor], Call]]] = [
    ("FlashInfer, top_p from probabilities", TOP_P, _flashinfer_top_p),
    ("FlashInfer, from logits", BOTH, _flashinfer_logits),
    ("FlashInfer, cake", BOTH, _flashinfer_cake),
    ("FlashInfer, joint", BOTH, _flashinfer_joint),
    ("Triton of vLLM, top_p", TOP_P, _vllm_triton),
    ("Triton of vLLM", BOTH, _vllm_triton),
]
"""Name, adaptor, and what makes the call for given logits; the first ones are worth the most."""
