"""`aligndec transfer-q`: reward-guided decoding of a real model, method beside method."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aligndec import transfer_q as tq
from aligndec.cli import model_store
from aligndec.cli import report as files
from aligndec.cli import transfer_q_report as report
from aligndec.cli.console import CliError, console
from aligndec.cli.prompts import encode, read_prompts
from aligndec.cli.rewards import load_reward
from aligndec.rewards import TextReward

__all__ = ["METHODS", "Settings", "run_transfer_q"]


@dataclass(frozen=True)
class Settings:
    """Sizes of a run. All methods but ARGS and plain sampling read about as many tokens."""

    k: int = 10
    alpha: float = 0.1
    beta: float = 0.1
    rollout_tokens: int = 20
    max_new_tokens: int = 32
    draws: int = 1
    seed: int = 0

    @property
    def strings(self) -> int:
        """Whole strings that cost what Transfer Q* reads for one."""
        return self.k * self.rollout_tokens

    @property
    def block(self) -> int:
        """Tokens per block: four decisions per string."""
        return -(-self.max_new_tokens // 4)


class Method(NamedTuple):
    """How a method is built, and its KL from the model per string."""

    build: Callable[[Any, Any, Settings], Any]
    kl: Callable[[tq.TransferQGeneration, Settings], float]


def _along(out: tq.TransferQGeneration, settings: Settings) -> float:
    # The KL on the candidates plus what lies outside of them, along the strings.
    return float((out.kl - out.log_kept).mean())


def _best(out: tq.TransferQGeneration, settings: Settings) -> float:
    return _bound(settings)


def _blocks(out: tq.TransferQGeneration, settings: Settings) -> float:
    decisions = (out.length.double() / settings.block).ceil()
    return float(decisions.mean()) * _bound(settings)


def _bound(settings: Settings) -> float:
    n = settings.strings
    return math.log(n) - (n - 1) / n


def _transfer(**options: Any) -> Callable[[Any, Any, Settings], Any]:
    def build(model: Any, reward: Any, s: Settings) -> Any:
        fixed = {"k": s.k, "alpha": s.alpha, "rollout_tokens": s.rollout_tokens}
        return tq.TransferQ(model, reward, **{**fixed, **options})

    return build


def _soft(model: Any, reward: Any, s: Settings) -> Any:
    # Two rollouts of half as many candidates: with one rollout soft and direct are the same.
    return _transfer(mode="soft", beta=s.beta, n_rollouts=2, rollout="sample", k=max(2, s.k // 2))(
        model, reward, s
    )


METHODS: dict[str, Method] = {
    "sampling": Method(_transfer(gate_entropy=math.inf), _along),
    "TransferQ direct": Method(_transfer(), _along),
    "TransferQ soft": Method(_soft, _along),
    "ControlledDecoding": Method(
        lambda model, reward, s: tq.ControlledDecoding(
            model, reward, k=s.k, alpha=s.alpha, rollout_tokens=s.rollout_tokens
        ),
        _along,
    ),
    "Args": Method(
        lambda model, reward, s: tq.Args(model, reward, k=s.k, alpha=s.alpha, select="sample"),
        _along,
    ),
    "BestOfN": Method(lambda model, reward, s: tq.BestOfN(model, reward, n=s.strings), _best),
    "BlockwiseBestOfN": Method(
        lambda model, reward, s: tq.BlockwiseBestOfN(
            model, reward, n=s.strings, block_size=s.block
        ),
        _blocks,
    ),
}


def run_transfer_q(
    settings: Settings,
    *,
    names: list[str],
    model: str | None,
    prompts_file: Path | None,
    n_prompts: int | None,
    reward: str,
    out: Path,
) -> None:
    """Run the methods and write their records, the table and the plot under `out`."""
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise CliError(f"--method must be one of {', '.join(METHODS)}, got {unknown[0]!r}")
    prompts = read_prompts(prompts_file)[:n_prompts]
    judge = load_reward(reward)
    files.prepare_folder(out)
    start = time.perf_counter()
    with console.status("Loading the model (the first time its weights are unpacked: ~20 s)"):
        loaded = model_store.load(model)
    score = TextReward(judge.score, loaded.tokenizer)
    ids = encode(loaded.tokenizer, prompts)
    console.print(
        f"{loaded.source}: {len(prompts)} prompts, reward {judge.name}, k = {settings.k}, "
        f"α = {settings.alpha}, {settings.rollout_tokens} tokens ahead, "
        f"{settings.max_new_tokens} tokens per string",
        soft_wrap=True,
    )
    results = []
    for name in dict.fromkeys(names):
        method = METHODS[name]
        decoder = method.build(loaded.model, score, settings)
        begin = time.perf_counter()
        generation = decoder.generate(
            ids,
            max_new_tokens=settings.max_new_tokens,
            seed=settings.seed,
            num_return_sequences=settings.draws,
            progress=console.is_terminal,
        )
        seconds = time.perf_counter() - begin
        texts = loaded.tokenizer.batch_decode(generation.completions(), skip_special_tokens=True)
        kl = method.kl(generation, settings)
        results.append(report.Result(name, generation, texts, kl, seconds))
        console.print(f"{name}: {seconds:.0f} s")
    report.show(results)
    for path in report.write(results, prompts, settings, judge, out):
        console.print(f"wrote {path}", soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s")
