"""Runs for tests: their prompts, their bytes, and rewards and workers that misbehave."""

import json
import os
import time
from pathlib import Path

from aligndec.corpus import Done, Run, Settings, Worker

WORDS = ("the film was", "a good book", "the meal felt very", "bad day but", "a lovely meal and")
BAD = "the film was"


def prompts_file(folder: Path, n: int = 10) -> Path:
    path = folder / "prompts.jsonl"
    rows = ({"id": 7 * i + 1, "prompt": WORDS[i % len(WORDS)]} for i in range(n))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def toy_settings(folder: Path, n: int = 10, **more: object) -> Settings:
    usual = {"draws": 3, "shard_strings": 6, "max_new_tokens": 12, "slots": 4, "seed": 5}
    return Settings(model="toy", prompts=str(prompts_file(folder, n)), **{**usual, **more})


def shard_bytes(run: Run) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(run.shards.iterdir())}


def fails_on_some(prompts: list[str], completions: list[str]) -> list[float]:
    """A reward that raises where the prompt is BAD, until there is a file GOOD."""
    if any(WORDS.index(BAD) == 0 and p.startswith(_hashed(BAD)) for p in prompts) and not _good():
        raise RuntimeError("no reward for this one")
    return [float(len(text)) for text in completions]


def _hashed(text: str) -> str:
    """What the toy tokenizer makes of a text."""
    from aligndec.testing import ToyTokenizer

    tokenizer = ToyTokenizer()
    return tokenizer.batch_decode([tokenizer(text)["input_ids"]])[0]


def _good() -> bool:
    return Path(os.environ["ALIGNDEC_TEST_GOOD"]).exists()


class Slow:
    """A worker that takes its time before and after each shard."""

    def __init__(self, folder: str) -> None:
        self.worker = Worker(folder)

    def __call__(self, index: int) -> Done:
        time.sleep(0.02)
        done = self.worker(index)
        time.sleep(0.02)
        return done


class Dies:
    """A worker that dies at shard 1, each time."""

    def __init__(self, folder: str) -> None:
        self.worker = Worker(folder)

    def __call__(self, index: int) -> Done:
        if index == 1:
            os.kill(os.getpid(), 9)
        return self.worker(index)
