"""Methods that Transfer Q* is compared with, on the same loop and with the same books."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch

from aligndec.generation import generate
from aligndec.models import Counted
from aligndec.rewards import Reward, RewardCalls
from aligndec.shared import at_least, plain_arguments, real
from aligndec.transfer_q.decoder import Request, RewardDecoder
from aligndec.transfer_q.fused import rescore
from aligndec.transfer_q.options import Options
from aligndec.transfer_q.records import costs
from aligndec.transfer_q.result import TransferQGeneration

__all__ = ["Args", "BestOfN", "BlockwiseBestOfN", "ControlledDecoding"]


class Args(RewardDecoder):
    """Reward of the partial text on top of the log-probability, no look-ahead (ARGS).

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
    reward : callable
        See `TransferQ`; it sees the text up to the candidate.
    k, alpha, select
        As in `TransferQ`; 1/α is the weight of the reward.
    tokenizer, valid_vocab
        As in `aligndec.generate`.

    References
    ----------
    Khanov, Burapacheep, Li 2024, "ARGS: Alignment as Reward-Guided Search".
    """

    def __init__(
        self,
        model: Any,
        reward: Reward,
        *,
        k: int = 10,
        alpha: float = 1.0,
        select: Literal["greedy", "sample"] = "greedy",
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        options = Options(k=k, alpha=alpha, select=select, rollout_tokens=0)
        super().__init__(model, reward, options, tokenizer=tokenizer, valid_vocab=valid_vocab)


class ControlledDecoding(RewardDecoder):
    """Values of the model's own continuations, estimated by rollouts (controlled decoding).

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
    reward : callable
        See `TransferQ`.
    k, alpha, n_rollouts, rollout_tokens, rollout, select
        As in `TransferQ`; rollouts are sampled by default.
    tokenizer, valid_vocab
        As in `aligndec.generate`.

    References
    ----------
    Mudgal et al. 2024, "Controlled Decoding from Language Models", with rollouts for the value
    that is learned there.
    """

    def __init__(
        self,
        model: Any,
        reward: Reward,
        *,
        k: int = 10,
        alpha: float = 1.0,
        n_rollouts: int = 1,
        rollout_tokens: int = 20,
        rollout: Literal["sample", "greedy"] = "sample",
        select: Literal["sample", "greedy"] = "sample",
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        options = Options(
            k=k,
            alpha=alpha,
            n_rollouts=n_rollouts,
            rollout_tokens=rollout_tokens,
            rollout=rollout,
            select=select,
        )
        super().__init__(model, reward, options, tokenizer=tokenizer, valid_vocab=valid_vocab)


class BlockwiseBestOfN(RewardDecoder):
    """The best of n drawn blocks, block after block.

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
    reward : callable
        See `TransferQ`.
    n, block_size : int
        Blocks per decision, tokens per block. A block of the whole length is best-of-n.
    rollout_tokens : int
        Tokens drawn behind each block before it is judged.
    tokenizer, valid_vocab
        As in `aligndec.generate`.

    References
    ----------
    Mudgal et al. 2024, blockwise controlled decoding.
    """

    def __init__(
        self,
        model: Any,
        reward: Reward,
        *,
        n: int,
        block_size: int,
        rollout_tokens: int = 0,
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        options = Options(
            k=n,
            block_size=block_size,
            rollout_tokens=rollout_tokens,
            rollout="sample",
            candidates="sample",
            select="greedy",
            uniform=True,
        )
        super().__init__(model, reward, options, tokenizer=tokenizer, valid_vocab=valid_vocab)


class BestOfN(RewardDecoder):
    """The best of n whole strings of the model; with `beta` drawn ∝ exp(β · reward) among them.

    `log_ref`, `log_alg` and `kl` are those of the choice among the n strings, whose reference is
    uniform: for the best one 0 and ln n.

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
    reward : callable
        See `TransferQ`; asked once, for all strings.
    n : int
        Strings per prompt.
    beta : float, optional
        Soft best-of-n: it multiplies the reward. None takes the best, the first one on a tie.
    tokenizer, valid_vocab
        As in `aligndec.generate`.

    References
    ----------
    Verdun et al. 2025, "Soft Best-of-n Sampling for Model Alignment".
    """

    @plain_arguments
    def __init__(
        self,
        model: Any,
        reward: Reward,
        *,
        n: int,
        beta: float | None = None,
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        at_least("BestOfN", 1, n=n)
        if beta is not None and not real("BestOfN", "beta", beta) > 0:
            raise ValueError(f"BestOfN: beta must be > 0, got {beta}")
        options = Options(k=n)
        super().__init__(model, reward, options, tokenizer=tokenizer, valid_vocab=valid_vocab)
        self.n, self.beta = n, beta

    def _run(self, asked: Request) -> TransferQGeneration:
        # Draws n·r … n·r + n − 1 of a prompt compete for its string r.
        lm = Counted(self.model)
        rows = asked._replace(
            num_return_sequences=self.n * asked.num_return_sequences,
            batch_size=None if asked.batch_size is None else self.n * asked.batch_size,
        )
        drawn = generate(lm, **rows._asdict())
        calls = RewardCalls("BestOfN", "reward", self.reward)
        reward = calls(drawn.prompts(), drawn.completions()).to(drawn.log_p.device)
        pools = reward.view(-1, self.n)
        first = torch.arange(len(pools), device=pools.device) * self.n
        choice = rescore(
            torch.zeros_like(pools),
            pools,
            alpha=1.0 if self.beta is None else 1.0 / self.beta,
            greedy=self.beta is None,
            seed=asked.seed,
            sequence_ids=drawn.sequence_ids[first],
        )
        index = first + choice.index
        best = drawn.select(index)
        fields = {f.name: getattr(best, f.name) for f in dataclasses.fields(best)}
        fields |= {"log_q": best.log_p, "kl": choice.kl}
        return TransferQGeneration(
            **fields,
            log_ref=choice.log_ref,
            log_alg=choice.log_alg,
            reward=reward[index],
            **costs([lm], [calls]),
        )
