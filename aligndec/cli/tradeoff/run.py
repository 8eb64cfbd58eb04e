"""`aligndec tradeoff`: draw, reward and resample strings under many schemes, and what comes out.

Every part of the work is a file under `out` (see `records`): the strings of a scheme and prompt,
their texts and rewards, the corpora of a scheme and law. Tables and figures are made anew.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from aligndec import __version__
from aligndec.cli import model_store
from aligndec.cli.console import CliError, console, one_of, progress_bars
from aligndec.cli.prompts import STUDY_PROMPTS, encode, read_prompts
from aligndec.cli.records import Records, fingerprint, tensor_digest
from aligndec.cli.rewards import Judge, load_reward
from aligndec.cli.toy_model import toy_model
from aligndec.cli.tradeoff import report as study_report
from aligndec.cli.tradeoff.corpora import LAWS, Pool, corpora
from aligndec.cli.tradeoff.results import StudiedScheme, summarise
from aligndec.cli.tradeoff.schemes import ALL_FAMILIES, Scheme, schemes
from aligndec.errors import RewardError
from aligndec.generation import Generation, generate
from aligndec.global_law import GlobalSampler

__all__ = ["METHODS", "Settings", "run_tradeoff"]

METHODS = ("imh", "smc")
"""Chains over the strings as they were drawn, or over the particles of a filter for each prompt."""


@dataclass(frozen=True)
class Settings:
    """What the numbers of a study depend on, besides model, prompts and reward."""

    families: tuple[str, ...]
    temperatures: tuple[float, ...]
    max_new_tokens: int
    draws: int
    beta: float
    n_corpora: int
    corpus_size: int
    seed: int
    method: str = "imh"  # or "smc": where the laws of whole strings come from


def run_tradeoff(
    settings: Settings,
    *,
    model: str | None,
    prompts_file: Path | None,
    n_prompts: int | None,
    reward: str,
    out: Path,
    figures: str = "png",
) -> None:
    """Run or continue a study and write its tables and figures under `out`."""
    one_of("--adaptor", settings.families, ALL_FAMILIES)
    one_of("--method", [settings.method], METHODS)
    prompts = read_prompts(prompts_file, STUDY_PROMPTS)[:n_prompts]
    if settings.corpus_size < len(prompts):
        raise CliError(
            f"--corpus-size must be >= {len(prompts)}, the number of prompts, got "
            f"{settings.corpus_size}"
        )
    for temperature in settings.temperatures:
        if not 1e-3 <= temperature <= 1e3:
            raise CliError(f"--temperature must be in [1e-3, 1e3], got {temperature:g}")
    if not 0.0 < settings.beta < math.inf:
        raise CliError(f"--beta must be > 0 and finite, got {settings.beta:g}")
    start = time.perf_counter()
    source = _Source(model, prompts)
    judge = load_reward(reward, source.tokenizer)
    records = Records(out)
    try:
        with records.lock():
            console.print(f"{source.name}; reward: {judge.name}", soft_wrap=True, markup=False)
            found = _collect(records, source, judge, settings)
            results = summarise(found, settings.beta, settings.seed)
            results["settings"] = {
                **asdict(settings),
                "model": source.name,
                "prompts": prompts,
                "reward": judge.name,
                "version": __version__,
            }
            written = study_report.write(found, results, out, figures)
    except RewardError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        said = f"--out must be a folder that can be written, got {out} ({error})"
        raise CliError(said) from error
    study_report.show(results)
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s")


class _Source:
    """A model with its prompts; `toy` is the small built-in one."""

    def __init__(self, model: str | None, prompts: list[str]) -> None:
        if model == "toy":
            self.model, self.tokenizer = toy_model()
            weights, self.name = {"table": self.model.table}, "toy model over words"
        else:
            with console.status("Loading the model"):
                loaded = model_store.load(model).prepacked()
            self.model, self.tokenizer = loaded.model, loaded.tokenizer
            weights, self.name = loaded.model.state_dict(), model or model_store.PACKAGE
        self.digest = tensor_digest(weights)
        self.ids = encode(self.tokenizer, prompts)

    def strings(self, scheme: Scheme, prompt: int, settings: Settings) -> Generation:
        """Draw the strings of one part; they depend on nothing but its settings."""
        return generate(
            self.model,
            [self.ids[prompt]],
            adaptor=scheme.adaptor,
            max_new_tokens=settings.max_new_tokens,
            num_return_sequences=settings.draws,
            prompt_ids=[prompt],
            seed=_seed(settings.seed, scheme.name),
        )

    def particles(self, scheme: Scheme, prompt: int, settings: Settings) -> Generation:
        """Draw as many particles of one filter; their log-weights stand as `log_z`."""
        sampler = GlobalSampler(
            self.model,
            scheme.adaptor,
            method="smc",
            n_particles=settings.draws,
            max_new_tokens=settings.max_new_tokens,
        )
        out = sampler.sample(
            [self.ids[prompt]],
            n_samples=1,
            prompt_ids=[prompt],
            seed=_seed(settings.seed, f"{scheme.name} particles"),
        )
        return replace(out.generation, log_z=out.log_weight[0])

    def texts(self, strings: Generation) -> list[str]:
        """Decode the completions."""
        texts: list[str] = self.tokenizer.batch_decode(
            strings.completions(), skip_special_tokens=True
        )
        return texts


def _collect(
    records: Records, source: _Source, judge: Judge, settings: Settings
) -> list[StudiedScheme]:
    """Read or make all parts."""
    wanted = schemes(list(settings.families), list(settings.temperatures))
    found = []
    kinds = 1 + (settings.method == "smc")

    def pooled(kind: str, scheme: Scheme) -> tuple[Pool, list[str]]:
        parts, marks = [], []
        for prompt in range(len(source.ids)):
            progress.update(bar, description=f"{scheme.name}: {kind} {prompt}", advance=1)
            part, mark = _part(records, source, judge, settings, scheme, prompt, kind)
            parts.append(part)
            marks.append(mark)
        columns = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
        return Pool(**columns), marks

    with progress_bars() as progress:
        bar = progress.add_task("", total=len(wanted) * (kinds * len(source.ids) + len(LAWS)))
        for scheme in wanted:
            drawn = {}
            pool, marks = pooled("strings", scheme)
            particles, heavy = None, marks
            if settings.method == "smc":
                particles, heavy = pooled("particles", scheme)
            for law in LAWS:
                progress.update(bar, description=f"{scheme.name}: {law} corpora", advance=1)
                own = (pool, marks) if law == "local" else (particles or pool, heavy)
                drawn[law] = _drawn(records, own[0], law, scheme, settings, own[1])
            found.append(StudiedScheme(scheme, pool, drawn, particles))
    return found


def _part(
    records: Records,
    source: _Source,
    judge: Judge,
    settings: Settings,
    scheme: Scheme,
    prompt: int,
    kind: str,
) -> tuple[dict[str, torch.Tensor], str]:
    """Strings, or particles, and rewards of a scheme and prompt, [R] each, and their mark."""
    key = {
        "model": source.digest,
        "prompt": source.ids[prompt],
        "prompt_id": prompt,
        "adaptor": asdict(scheme.adaptor),
        "max_new_tokens": settings.max_new_tokens,
        "draws": settings.draws,
        "seed": _seed(settings.seed, scheme.name),
        "version": __version__,
    }
    name = f"{scheme.name}-{prompt:03d}"
    path = records.path(kind, name, key)
    if not path.is_file():
        draw = source.strings if kind == "strings" else source.particles
        draw(scheme, prompt, settings).save(path)
    strings: Generation = records.read(path, Generation.load)
    if bool(strings.status.any()):
        raise CliError(f"the model gave unusable logits for prompt {prompt} under {scheme.name}")

    def judged() -> dict[str, Any]:
        reward = judge.score(strings.prompts(), strings.completions())
        return {"text": source.texts(strings), "reward": reward.numpy()}

    key = {kind: fingerprint(key), "reward": judge.settings}
    rewards = records.columns(records.path("rewards", name, key), judged)
    fields = {name: getattr(strings, name) for name in ("log_p", "log_z", "length")}
    reward = torch.from_numpy(rewards["reward"])
    return {**fields, "reward": reward}, fingerprint(key)


def _drawn(
    records: Records, pool: Pool, law: str, scheme: Scheme, settings: Settings, marks: list[str]
) -> dict[str, Any]:
    """Means over corpora of a scheme under a law."""
    options: dict[str, Any] = {
        "temperature": scheme.temperature,
        "n_corpora": settings.n_corpora,
        "corpus_size": settings.corpus_size,
        "beta": settings.beta,
        "seed": _seed(settings.seed, f"{scheme.name} {law}"),
    }
    key = {**options, "law": law, "parts": marks}
    path = records.path("corpora", f"{scheme.name}-{law}", {**key, "version": __version__})
    return records.columns(path, lambda: corpora(pool, law, **options))


def _seed(seed: int, name: str) -> int:
    """Seed of a part of the study: it does not depend on which other parts there are."""
    return (seed % 2**32) << 32 | zlib.crc32(name.encode())
