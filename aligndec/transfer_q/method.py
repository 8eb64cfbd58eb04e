"""Transfer Q* itself; its relatives are in `family`, the loop of all of them in `decoder`."""

from __future__ import annotations

from typing import Any, Literal

from aligndec.rewards import Reward
from aligndec.step import Adaptor
from aligndec.transfer_q.decoder import RewardDecoder
from aligndec.transfer_q.options import Options, ValueFn

__all__ = ["TransferQ"]


class TransferQ(RewardDecoder):
    """Decoding from π_ref(z|s) · exp(Q̂(s, z)/α), with Q̂ from rollouts of a baseline.

    At each decision the candidates of all prompts are rolled out in one batch that shares the
    prompts' cache, the reward is asked once for all of them, and the chosen candidate's own column
    of the cache is kept: nothing is read twice.

    Parameters
    ----------
    baseline : StepLM or transformers.PreTrainedModel
        π_BL: it proposes the candidates and draws the rollouts.
    reward : callable
        `reward(prompt_ids: list[list[int]], completion_ids: list[list[int]]) -> floats`, one per
        item; end tokens are part of a completion. See `aligndec.rewards`.
    k : int
        Candidates per decision (at most V).
    alpha : float
        Temperature of the choice, > 0, in the units of the reward; +inf decodes π_ref.
    n_rollouts, rollout_tokens : int
        N rollouts of at most L tokens behind each candidate. L = 0 rewards the partial text. A
        rollout that ends stops; an end token as candidate is worth its reward, without rollouts.
    rollout : {"greedy", "sample"}
        Greedy rollouts of one candidate are all equal: N > 1 then only costs.
    mode : {"direct", "indirect", "soft"}
        "direct": the baseline is aligned with `reward`; Q̂ is the mean. "indirect": it is aligned
        with `baseline_reward`; Q̂ is the self-normalised mean under ℓ = (r − r_BL)/β. "soft": the
        same weights give π_BL · Ĉ^(β/α), at α = β the optimum for `reward` itself. Without
        `baseline_reward` and `sft` the baseline of "soft" counts as unaligned (r_BL = 0).
    baseline_reward : callable, optional
        r_BL.
    sft : StepLM or transformers.PreTrainedModel, optional
        The model that the baseline was aligned from. It stands in for an unknown r_BL (secret
        reward: ℓ = r/β − Σ (log π_BL − log π_sft) over the rollout, one teacher-forced pass), or
        is the reference.
    beta : float, optional
        KL weight that the baseline was aligned with; for "indirect" and "soft".
    reference : {"baseline", "sft"}
        π_ref. With a secret reward, "soft" gives the same optimum on either.
    candidates : {"topk", "sample", "full"}
        The k most probable tokens; k independent draws of the baseline (their set); all tokens.
    select : {"sample", "greedy"}
        Draw from the law on the candidates, or take its mode.
    rollout_adaptor : Adaptor
        Law of sampled rollouts; with a secret reward it is the baseline of the weights.
    value_fn : callable, optional
        `value_fn(prompt_ids, completion_ids, candidate_ids int64 [B, k]) -> [B, k]` replaces the
        rollouts of "direct".
    gate_entropy, gate_top1 : float, optional
        Below this entropy of π_BL (nats), or from this probability of its most probable token on,
        the baseline's own draw (its mode, with select="greedy") is taken without any rollout.
    block_size : int
        Tokens per candidate: the first is the candidate, the others are drawn like rollouts.
    compat : {None, "official"}
        The choices of the paper's public code: one greedy rollout per candidate (give its length:
        20 in the direct, 5 in the indirect program), the largest logit + Q̂/α, strings that never
        end, and as indirect value the raw e^((r − r_BL)/β) · r. For comparisons.
    tokenizer, valid_vocab
        As in `aligndec.generate`.

    References
    ----------
    Chakraborty et al. 2024, "Transfer Q*: Principled Decoding for LLM Alignment".
    """

    def __init__(
        self,
        baseline: Any,
        reward: Reward,
        *,
        k: int = 10,
        alpha: float = 1.0,
        n_rollouts: int = 1,
        rollout_tokens: int = 20,
        rollout: Literal["greedy", "sample"] = "greedy",
        mode: Literal["direct", "indirect", "soft"] = "direct",
        baseline_reward: Reward | None = None,
        sft: Any = None,
        beta: float | None = None,
        reference: Literal["baseline", "sft"] = "baseline",
        candidates: Literal["topk", "sample", "full"] = "topk",
        select: Literal["sample", "greedy"] = "sample",
        rollout_adaptor: Adaptor = Adaptor(),
        value_fn: ValueFn | None = None,
        gate_entropy: float | None = None,
        gate_top1: float | None = None,
        block_size: int = 1,
        compat: Literal["official"] | None = None,
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        options = Options(
            k=k,
            alpha=alpha,
            n_rollouts=n_rollouts,
            rollout_tokens=rollout_tokens,
            rollout=rollout,
            mode=mode,
            beta=beta,
            reference=reference,
            candidates=candidates,
            select=select,
            rollout_adaptor=rollout_adaptor,
            value_fn=value_fn,
            gate_entropy=gate_entropy,
            gate_top1=gate_top1,
            block_size=block_size,
            compat=compat,
            secret=mode != "direct" and sft is not None and baseline_reward is None,
        )
        super().__init__(
            *(baseline, reward, options),
            baseline_reward=baseline_reward,
            sft=sft,
            tokenizer=tokenizer,
            valid_vocab=valid_vocab,
        )
