"""Requests of vLLM that carry ours, and what is refused beside it."""

from __future__ import annotations

from typing import Any

from aligndec.integrations.engine import KEY, DrawRequest, request_of
from aligndec.step import Adaptor

__all__ = ["check_params", "request_in", "vllm_params"]

# Fields of SamplingParams that change the law, with the values that ask for nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "temperature": (1.0,),
    "top_k": (0, -1),
    "top_p": (1.0,),
    "min_p": (0.0,),
    "presence_penalty": (0.0,),
    "frequency_penalty": (0.0,),
    "repetition_penalty": (1.0,),
    "min_tokens": (0,),
    "logit_bias": (None, {}),
    "bad_words": (None, []),
    "allowed_token_ids": (None, []),
    "structured_outputs": (None,),
    "thinking_token_budget": (None,),
    "watermarking": (None, False),
    "trace_decode_token_ids": (None, []),
}


def vllm_params(
    adaptor: Adaptor,
    *,
    prompt_id: int = 0,
    draw: int = 0,
    seed: int = 0,
    force: Any = None,
    keep_sets: int | None = None,
    run: str = "",
    **fields: Any,
) -> Any:
    """Return `SamplingParams` whose tokens are drawn by our step.

    Parameters
    ----------
    adaptor : Adaptor
        The law, without mirostat.
    prompt_id, draw : int
        The string's name: its sequence is prompt_id · 2^32 + draw. With n > 1 the strings are
        `draw`, draw + 1, …
    seed : int
        Seed of the run (not the field of that name in SamplingParams).
    force : sequence of int, optional
        Tokens to take instead of drawing them, with their books.
    keep_sets : int, optional
        Keep sets of at most so many ids; on the CPU.
    run : str
        Name under which `AligndecWorker.aligndec_take` finds the books.
    **fields
        Of SamplingParams. Those that change the law must be left alone.
    """
    from aligndec.integrations.vllm.compat import SamplingParams

    several = fields.get("n", 1) > 1
    request = DrawRequest(
        adaptor=adaptor,
        sequence=prompt_id * 2**32 + draw,
        seed=seed,
        force=None if force is None else tuple(force),
        keep_sets=keep_sets,
        run=run,
        children=several,
    )
    extra = {**(fields.pop("extra_args", None) or {}), KEY: request.to_dict()}
    # vLLM gives the children of a request with a seed the seeds seed, seed + 1, …
    children = {"seed": 0} if several else {}
    params = SamplingParams(**{"temperature": 1.0, **children, **fields, "extra_args": extra})
    check_params(params)
    return params


def check_params(params: Any) -> None:
    """Refuse what cannot be honoured, by name; requests without ours are none of our business."""
    extra = params.extra_args or {}
    if KEY not in extra:
        return
    request = request_of(extra[KEY])
    asked = [
        f"{name} = {value!r}"
        for name, neutral in _NEUTRAL.items()
        if (value := getattr(params, name, neutral[0])) not in neutral
    ]
    if asked:
        raise ValueError(
            "vllm_params: fields of SamplingParams that change the law must be left alone, the "
            f"adaptor holds the law, got {', '.join(asked)}"
        )
    n = getattr(params, "n", 1) or 1
    if n > 1 and not (request.children and params.seed == 0):
        raise ValueError(
            f"vllm_params: n must be 1, or vllm_params must make the request (all n strings would "
            f"be the same one), got n = {n}"
        )


def request_in(params: Any) -> DrawRequest | None:
    """Return what the parameters of a request that enters the batch carry."""
    given = (params.extra_args or {}).get(KEY)
    if given is None:
        return None
    request = request_of(given)
    return request.child(int(params.seed or 0)) if request.children else request
