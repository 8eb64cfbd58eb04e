"""Decoding end to end: aligndec.generate against model.generate on SmolLM2, CPU.

    python bench/bench_generate.py --json bench/results/generate-cpu.json

Both read the same eight left-padded prompts, sample with top_p 0.9 alone and write 64 tokens per
string. The model's forward is timed inside the very runs that are compared, so that the share of
everything else is exact for each of them. On one model only what is outside of the forward can be
gained, and matrix products of eight rows are most of the forward: the same two programs are further
apart in speed where these are fast. `outside` compares what does not depend on it. Both also run on
`prepack(model)`, whose products of eight rows are fast.
"""

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import command
import pytest
import torch
from inputs import PROMPTS, REAL
from interleave import interleave
from report import Load, Row

import aligndec as ad
from aligndec import models
from aligndec.cli import model_store
from aligndec.cli.console import CliError
from aligndec.cli.demo.adaptors import generate_settings
from aligndec.cli.prompts import encode
from aligndec.models import prepack

TOKENS, ADAPTOR, PACKED = 64, ad.Adaptor(top_p=0.9), ", prepacked"
REPEATS = 3
"""Runs of each library after a first one; each takes seconds, so that 30 would be too many."""


class Clock:
    """Seconds inside of the model's forward since the last reset."""

    def __init__(self) -> None:
        self.inside = 0.0

    def wrap(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)  # both libraries read its signature
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            out = forward(*args, **kwargs)
            self.inside += time.perf_counter() - start
            return out

        return timed


@dataclass
class Best:
    """Fastest run of one library, and the seconds of it that are not the model's forward."""

    call: Callable[..., torch.Tensor]
    shape: tuple[int, int]
    clock: Clock
    seconds: float = float("inf")
    outside: float = 0.0
    runs: int = -1  # the first one warms up

    def run(self) -> None:
        self.runs += 1
        self.clock.inside, start = 0.0, time.perf_counter()
        made = self.call(self.shape[1], ADAPTOR).shape
        seconds = time.perf_counter() - start
        if made != self.shape:
            raise AssertionError(f"generate: tokens must be {self.shape}, got {tuple(made)}")
        if self.runs > 0 and seconds < self.seconds:
            self.seconds, self.outside = seconds, seconds - self.clock.inside


@contextmanager
def prepared(model: Any) -> Iterator[Clock]:
    """A timed forward, and a generation config that lets `model.generate` run to the cap."""
    clock, config = Clock(), model.generation_config
    kept = config.eos_token_id, config.pad_token_id
    forward, config.eos_token_id, config.pad_token_id = model.forward, None, 0
    model.forward = clock.wrap(forward)
    try:
        yield clock
    finally:
        del model.forward  # the class's own shows again
        config.eos_token_id, config.pad_token_id = kept


def calls(model: Any, tokenizer: Any) -> tuple[int, Callable[..., Any], Callable[..., Any]]:
    """Batch size, and both libraries as functions of (tokens, adaptor) -> int64 [B, tokens]."""
    prompts = encode(tokenizer, list(PROMPTS))
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])

    def ours(tokens: int, adaptor: ad.Adaptor) -> torch.Tensor:
        out = ad.generate(
            *(model, ids, mask), adaptor=adaptor, max_new_tokens=tokens, eos_token_id=()
        )
        return out.tokens

    def theirs(tokens: int, adaptor: ad.Adaptor) -> torch.Tensor:
        greedy = adaptor.temperature == 0.0
        settings = {"do_sample": False} if greedy else generate_settings(adaptor)
        out = model.generate(ids, attention_mask=mask, max_new_tokens=tokens, **settings)
        return out[:, width:]

    return len(prompts), ours, theirs


def measure(threads: int, repeats: int = REPEATS) -> list[Row]:
    """The ratios at a thread count: both libraries on both models, in turns."""
    loaded = model_store.load(None)
    torch.set_num_threads(threads)
    greedy, runs = ad.Adaptor(temperature=0.0), {}
    with ExitStack() as stack:
        for how, model in (("", loaded.model), (PACKED, prepack(loaded.model))):
            clock = stack.enter_context(prepared(model))
            batch, ours, theirs = calls(model, loaded.tokenizer)
            torch.testing.assert_close(ours(8, greedy), theirs(8, greedy), rtol=0, atol=0)
            shape = (batch, TOKENS)
            runs["ours" + how] = Best(ours, shape, clock)
            runs["theirs" + how] = Best(theirs, shape, clock)
        torch.manual_seed(0)
        interleave({name: run.run for name, run in runs.items()}, repeats=repeats, seconds=0.0)
    return [
        row
        for how, other in (("", ""), (PACKED, ""), (PACKED, PACKED))
        for row in compared(runs["ours" + how], runs["theirs" + other], how, other, threads)
    ]


def compared(a: Best, b: Best, how: str, other: str, threads: int) -> list[Row]:
    """What two libraries' runs say; `how`, `other`: which model each ran on."""
    name, against = (f"top_p 0.9{how}", REAL, a.shape, threads), f"model.generate{other}"
    speed, share, outside = b.seconds / a.seconds, a.outside / a.seconds, b.outside / a.outside
    rows = [Row("generate, speed", *name, against, speed, a.seconds, b.seconds, a.runs)]
    if how == other:
        rows += [
            Row("generate, outside", *name, against, outside, a.outside, b.outside, a.runs),
            Row("generate, share", *name, "whole step", share, a.outside, a.seconds, a.runs),
        ]
    return rows


@pytest.mark.usefixtures("_threads")
@pytest.mark.skipif(models.default_gguf() is None, reason=models.INSTALL)
@pytest.mark.parametrize("threads", [1, 2])
def test_generate(threads: int, rows: list[Row]) -> None:
    rows += measure(threads)


def main() -> int:
    parser = command.parser(__doc__, REPEATS, "runs of each library")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    load, rows = Load(), []
    try:
        for threads in options.threads:
            rows += measure(threads, options.repeats)
    except CliError as error:
        print(f"bench_generate: {error}", file=sys.stderr)
        return 1
    for row in rows:
        if row.section == "generate, speed":
            count = row.shape[0] * row.shape[1]
            speeds = f"{count / row.ours:.1f} tokens/s, {row.against} {count / row.theirs:.1f}"
            print(f"{row.threads} threads, {row.adaptor}: {speeds}")
    return command.conclude(rows, load, options.json)


if __name__ == "__main__":
    sys.exit(main())
