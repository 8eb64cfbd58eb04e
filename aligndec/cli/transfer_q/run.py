"""`aligndec transfer-q`: reward-guided decoding of a real model, method beside method."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch import Tensor

from aligndec.cli import model_store
from aligndec.cli.console import CliError, console, one_of
from aligndec.cli.folders import prepare_folder
from aligndec.cli.prompts import encode, read_prompts
from aligndec.cli.rewards import Judge, load_reward
from aligndec.cli.toy_model import toy_model
from aligndec.cli.transfer_q import report
from aligndec.cli.transfer_q.methods import METHODS, Settings
from aligndec.errors import RewardError
from aligndec.generation import generate

__all__ = ["run_transfer_q"]

_POOL = 64


def run_transfer_q(
    settings: Settings,
    *,
    names: list[str],
    model: str | None,
    prompts_file: Path | None,
    reward: str,
    out: Path,
    figures: str = "png",
) -> None:
    """Run the methods and write their records, the table and the plot under `out`."""
    one_of("--method", names, METHODS)
    if not settings.alpha > 0.0:
        raise CliError(f"--alpha must be > 0, got {settings.alpha:g}")
    if not 0.0 < settings.beta < math.inf:
        raise CliError(f"--beta must be > 0 and finite, got {settings.beta:g}")
    prompts = read_prompts(prompts_file)
    prepare_folder(out)
    start = time.perf_counter()
    with console.status("Loading the model (the first time its weights are unpacked: ~20 s)"):
        loaded = _load(model)
    judge = load_reward(reward, loaded.tokenizer)
    ids = encode(loaded.tokenizer, prompts)
    console.print(
        f"{loaded.source}: {len(prompts)} prompts, reward {judge.name}, k = {settings.k}, "
        f"α = {settings.alpha}, {settings.rollout_tokens} tokens ahead, "
        f"{settings.max_new_tokens} tokens per string",
        soft_wrap=True,
    )
    try:
        results = [_decoded(name, loaded, judge, ids, settings) for name in dict.fromkeys(names)]
        pool = _pool(loaded, judge, ids, settings)
    except RewardError as error:
        raise CliError(str(error)) from error
    report.show(results)
    for path in report.write(results, prompts, settings, judge, pool, out, figures):
        console.print(f"wrote {path}", soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s")


def _decoded(
    name: str,
    loaded: model_store.LoadedModel,
    judge: Judge,
    ids: list[list[int]],
    settings: Settings,
) -> report.Result:
    """Run one method."""
    method = METHODS[name]
    decoder = method.build(loaded.model, judge.reward, settings)
    begin = time.perf_counter()
    generation = decoder.generate(
        ids,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        num_return_sequences=settings.draws,
        progress=console.is_terminal,
    )
    seconds = time.perf_counter() - begin
    console.print(f"{name}: {seconds:.0f} s")
    texts = loaded.tokenizer.batch_decode(generation.completions(), skip_special_tokens=True)
    kl = torch.as_tensor(method.kl(generation, settings)).expand_as(generation.log_p)
    return report.Result(name, method.title, generation, texts, kl, seconds)


def _pool(
    loaded: model_store.LoadedModel, judge: Judge, ids: list[list[int]], settings: Settings
) -> Tensor:
    """Return rewards [P, M] of the model's own strings: what no method has to pass."""
    drawn = generate(
        *(loaded.model, ids),
        max_new_tokens=settings.max_new_tokens,
        num_return_sequences=_POOL,
        seed=settings.seed,
    )
    return judge.score(drawn.prompts(), drawn.completions()).double().view(len(ids), _POOL)


def _load(model: str | None) -> model_store.LoadedModel:
    """Load a model; `toy` is the small built-in one."""
    if model == "toy":
        return model_store.LoadedModel(*toy_model(), source="toy model over words")
    return model_store.load(model).prepacked()
