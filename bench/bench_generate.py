"""Decoding end to end: aligndec.generate against model.generate on SmolLM2, CPU.

    python bench/bench_generate.py --json bench/results/generate-cpu.json

Both read the same eight left-padded prompts, sample with top_p 0.9 alone and write 64 tokens per
string. The model's forward is timed inside the very runs that are compared, so that the share of
everything else is exact for each of them. Only what is outside of the forward can be gained, and
matrix products of eight rows are most of the forward: the same two programs are further apart in
speed where these are fast. `outside` compares what does not depend on it.
"""

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import command
import pytest
import torch
from inputs import PROMPTS, REAL
from interleave import interleave
from report import Load, Row

import aligndec as ad
from aligndec.cli import model_store
from aligndec.cli.adaptors import generate_settings
from aligndec.cli.console import CliError
from aligndec.cli.prompts import encode

TOKENS, ADAPTOR = 64, ad.Adaptor(top_p=0.9)
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

    def run(self) -> None:
        self.clock.inside, start = 0.0, time.perf_counter()
        made = self.call(self.shape[1], ADAPTOR).shape
        seconds = time.perf_counter() - start
        if made != self.shape:
            raise AssertionError(f"generate: tokens must be {self.shape}, got {tuple(made)}")
        if seconds < self.seconds:
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
    """Both ratios at a thread count."""
    loaded = model_store.load(None)
    torch.set_num_threads(threads)
    with prepared(loaded.model) as clock:
        batch, ours, theirs = calls(loaded.model, loaded.tokenizer)
        greedy = ad.Adaptor(temperature=0.0)
        torch.testing.assert_close(ours(8, greedy), theirs(8, greedy), rtol=0, atol=0)
        torch.manual_seed(0)
        shape = (batch, TOKENS)
        a, b = Best(ours, shape, clock), Best(theirs, shape, clock)
        interleave({"ours": a.run, "theirs": b.run}, repeats=repeats, seconds=0.0)
    name = ("top_p 0.9", REAL, shape, threads)
    speed, share = b.seconds / a.seconds, a.outside / a.seconds
    outside = b.outside / a.outside
    return [
        Row("generate, speed", *name, "model.generate", speed, a.seconds, b.seconds, repeats),
        Row("generate, outside", *name, "model.generate", outside, a.outside, b.outside, repeats),
        Row("generate, share", *name, "whole step", share, a.outside, a.seconds, repeats),
    ]


@pytest.mark.usefixtures("_threads")
@pytest.mark.skipif(model_store.default_gguf() is None, reason=model_store.INSTALL)
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
    for row in rows[::3]:
        count = row.shape[0] * row.shape[1]
        speeds = f"{count / row.ours:.1f} tokens/s, model.generate {count / row.theirs:.1f}"
        print(f"{row.threads} threads: {speeds}")
    return command.conclude(rows, load, options.json)


if __name__ == "__main__":
    sys.exit(main())
