"""Every way to call the fused step on a device, and the one launch that each may cost."""

from collections.abc import Callable

import torch
from support.cases import randn, uniforms

import aligndec as ad

ROWS, VOCAB = 4, 100
ONE = ad.Adaptor(temperature=0.7, top_p=0.9)
SEVERAL = [ONE, ad.Adaptor(), ad.Adaptor(typical_p=0.5), ad.Adaptor(top_k=3)]


class Inputs:
    """Arguments on one device, equal on all; the state moves on with every call."""

    def __init__(self, device: str, vocab: int = VOCAB, dtype: torch.dtype = torch.float32) -> None:
        self.logits = randn(ROWS, vocab, vocab).to(dtype).to(device)
        self.packed = ad.pack(SEVERAL, ROWS, device=device)
        self.grid = ad.pack(SEVERAL * 2, 2 * ROWS, device=device)
        self.state = ad.SequenceState.start(
            ROWS, eos_token_id=(3, 5), pad_token_id=0, device=device
        )
        self.whole = torch.arange(ROWS, device=device) % vocab
        self.uniforms = uniforms(ROWS).to(device)
        self.mask = (randn(ROWS, vocab, 1) > -1).to(device)
        self.valid = max(1, vocab - 10)


CALLS: dict[str, tuple[str, Callable[[Inputs], object]]] = {
    "sample, state": (
        "adaptor_step",
        lambda i: ad.sample(i.logits, i.packed, state=i.state, seed=3),
    ),
    "sample, state and position": (
        "adaptor_step",
        lambda i: ad.sample(i.logits, i.packed, state=i.state, positions=2),
    ),
    "sample, uniforms": (
        "adaptor_step",
        lambda i: ad.sample(i.logits, i.packed, uniforms=i.uniforms),
    ),
    "sample, a number for each row": (
        "adaptor_step",
        lambda i: ad.sample(
            i.logits, i.packed, seed=i.whole, sequence_ids=i.whole, positions=i.whole
        ),
    ),
    "sample, mask": (
        "adaptor_step",
        lambda i: ad.sample(i.logits, i.packed, positions=0, allowed=i.mask, valid_vocab=i.valid),
    ),
    "sample, one adaptor": ("adaptor_step", lambda i: ad.sample(i.logits, ONE, positions=0)),
    "score": ("adaptor_score", lambda i: ad.score(i.logits, i.whole, i.packed)),
    "score, state": (
        "adaptor_step",
        lambda i: ad.score(i.logits, i.whole, i.packed, state=i.state),
    ),
    "score, broadcast": (
        "adaptor_score",
        lambda i: ad.score(i.logits[None].expand(3, ROWS, -1), i.whole, ONE),
    ),
    "score, an adaptor for each of the first dimension": (
        "adaptor_score",
        lambda i: ad.score(i.logits[:, None], i.whole[:, None].expand(ROWS, 3), i.packed),
    ),
    "score_grid": ("adaptor_grid", lambda i: ad.score_grid(i.logits, i.whole, i.grid)),
    "kept_mask": ("adaptor_mask", lambda i: ad.kept_mask(i.logits, i.packed)),
}
