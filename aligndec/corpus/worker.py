"""What a worker does with a shard: a plain function of the run and the shard's index."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.methods import REWARDED, draw
from aligndec.corpus.prompt_file import PromptFile
from aligndec.corpus.shards import write_shard
from aligndec.corpus.sources import load_source, source_digest
from aligndec.generation import read_prompts
from aligndec.models import as_step_lm, narrowed
from aligndec.rewards import Judge, load_reward

__all__ = ["Done", "Failed", "Work", "Worker", "attempt", "checking"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Done:
    """A shard that is done, and what it took."""

    shard: int
    strings: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A shard that failed once; `full`: the disk had no room, so every other one would fail too."""

    shard: int
    error: str
    full: bool


class Worker:
    """Does shards of a run; models are loaded once.

    Parameters
    ----------
    folder : path
        Of the run.
    check : bool
        Compare models and prompts with the digests of the run: on another machine the same names
        may stand for other files.
    """

    def __init__(self, folder: str | os.PathLike[str], *, check: bool = False) -> None:
        self.run = RunFolder.open(folder)
        settings = self.run.settings
        torch.set_num_threads(settings.threads)
        self.prompts = PromptFile(settings.prompts)
        if check:
            self._check()
        model, self.tokenizer = load_source(settings.model)
        self.model = narrowed("corpus", as_step_lm(model), None, self.tokenizer)
        self.reference = None if settings.reference is None else load_source(settings.reference)[0]
        self.judge: Judge | None = None
        if settings.reward is not None:
            self.judge = load_reward(settings.reward, self.tokenizer, argument="corpus: reward")

    def __call__(self, index: int) -> Done:
        """Make the file of a shard."""
        start = time.perf_counter()
        run, settings = self.run, self.run.settings
        prompts = self.prompts.block(index * settings.per_shard, settings.per_shard)
        given = read_prompts("corpus", self.tokenizer, [prompt.value for prompt in prompts], None)
        names = torch.tensor([prompt.id for prompt in prompts])
        reward = None if self.judge is None else self.judge.reward
        generation, columns = draw(
            *(settings, run.manifest.slots, self.model, self.reference, reward),
            *(given.input_ids, names),
        )
        if self.judge is not None and settings.method not in REWARDED:
            values = self.judge.score(generation.prompts(), generation.completions())
            columns = {**columns, "reward": values}
        write_shard(run.path(index), given.tell(generation), columns, run.digest)
        tokens = int(generation.length.sum())
        return Done(index, len(generation), tokens, time.perf_counter() - start)

    def _check(self) -> None:
        settings, digests = self.run.settings, self.run.manifest.digests
        here = {"prompts": self.prompts.digest(), "model": source_digest(settings.model)}
        for name, digest in here.items():
            if digest != digests[name]:
                raise ValueError(
                    f"corpus: {name} must be that of the run on every machine, got "
                    f"{getattr(settings, name)} with digest {digest} (the run's is "
                    f"{digests[name]})"
                )


def checking(folder: str) -> Worker:
    """Open a worker that trusts no name: it may be on another machine than the others."""
    return Worker(folder, check=True)


# `work(folder) -> callable(index) -> Done`: `Worker`, or what a measurement puts in its place.
Work = Callable[[str], Callable[[int], "Done"]]


def attempt(work: Callable[[int], Done], index: int) -> Done | Failed:
    """Do a shard; what goes wrong is told, not raised."""
    try:
        done = work(index)
    except OSError as error:
        told = f"{type(error).__name__}: {error}"
        return Failed(index, told, error.errno in _FULL)
    except Exception as error:
        return Failed(index, f"{type(error).__name__}: {error}", False)
    return done
