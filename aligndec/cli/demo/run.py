"""`aligndec demo`: strings of a real model under several adaptors, with their bookkeeping."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch import Tensor

from aligndec.cli import model_store
from aligndec.cli.console import console, one_of, progress_bars
from aligndec.cli.demo import report
from aligndec.cli.demo.adaptors import ADAPTORS, has_counterpart
from aligndec.cli.demo.measure import Speed, measure
from aligndec.cli.demo.result import Result
from aligndec.cli.demo.whole_strings import METHODS, draw_whole_strings, show_whole_strings
from aligndec.cli.folders import prepare_folder
from aligndec.cli.prompts import encode, read_prompts
from aligndec.generation import generate

__all__ = ["run_demo"]

_TIMING_LIMIT = 120.0
"""Seconds after which no further adaptor is timed: the demo stays short on a busy machine."""


def run_demo(
    *,
    model: str | None,
    prompts_file: Path | None,
    out: Path,
    names: list[str],
    max_new_tokens: int,
    draws: int,
    seed: int,
    timing_tokens: int,
    method: str | None = None,
    figures: str = "png",
) -> None:
    """Run the demo and write its records under `out`."""
    one_of("--adaptor", names, ADAPTORS)
    names = list(dict.fromkeys(names))
    if method is not None:
        one_of("--method", [method], METHODS)
    prompts = read_prompts(prompts_file)
    prepare_folder(out)
    start = time.perf_counter()
    with console.status("Loading the model (the first time its weights are unpacked: ~20 s)"):
        loaded = model_store.load(model)
    console.print(
        f"{loaded.source}: {loaded.model.num_parameters() / 1e6:.0f} million parameters, "
        f"{loaded.model.config.vocab_size} tokens, float32, {time.perf_counter() - start:.1f} s",
        soft_wrap=True,
    )
    ids = encode(loaded.tokenizer, prompts)
    results, whole = [], []
    with progress_bars() as progress:
        bar = progress.add_task("", total=len(names) * len(ids) * draws * max_new_tokens)
        for done, name in enumerate(names, 1):
            progress.update(bar, description=f"{name}: drawing")
            generation = generate(
                loaded.model,
                ids,
                adaptor=ADAPTORS[name],
                max_new_tokens=max_new_tokens,
                seed=seed,
                num_return_sequences=draws,
                on_token=lambda rows, tokens: progress.advance(bar, len(rows)),
                per_token=True,
            )
            speed = None
            timed = timing_tokens and has_counterpart(ADAPTORS[name])
            if timed and time.perf_counter() - start < _TIMING_LIMIT:
                progress.update(bar, description=f"{name}: timing, in turns with model.generate")
                speed = _speed(loaded.model, generation, name, draws, timing_tokens)
            # Strings that end early leave steps of the bar unused.
            progress.update(bar, completed=done * len(ids) * draws * max_new_tokens)
            texts = [
                loaded.tokenizer.decode(completion, skip_special_tokens=True).strip()
                for completion in generation.completions()
            ]
            results.append(Result(name, generation, texts, speed))
            if method is not None and ADAPTORS[name].temperature > 0:
                progress.update(bar, description=f"{name}: whole strings by {method}")
                whole.append(
                    draw_whole_strings(
                        *(loaded.model, ids, name),
                        method=method,
                        max_new_tokens=max_new_tokens,
                        draws=draws,
                        seed=seed,
                    )
                )
    report.show(results, prompts, timing_tokens)
    if whole and method is not None:
        show_whole_strings(whole, method)
    untimed = [
        result.name
        for result in results
        if timing_tokens and result.speed is None and has_counterpart(ADAPTORS[result.name])
    ]
    if untimed:
        console.print(f"Not timed, the machine is too busy: {', '.join(untimed)}.", style="yellow")
    extra = [path for strings in whole for path in strings.save(str(method), out)]
    for path in [*report.write(results, prompts, out, figures), *extra]:
        console.print(f"wrote {path}", soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s")


def _speed(model: Any, generation: Any, name: str, draws: int, tokens: int) -> Speed:
    input_ids: Tensor = generation.input_ids
    mask = generation.attention_mask.long()
    return measure(model, input_ids, mask, ADAPTORS[name], draws=draws, tokens=tokens)
