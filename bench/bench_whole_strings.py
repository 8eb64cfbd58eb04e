"""Whole strings from SmolLM2 by every method: seconds and model tokens per effective string, CPU.

    python bench/bench_whole_strings.py --json bench/results/whole_strings-cpu.json

Target "power" of top_p 0.9 and top_k 30 at temperatures 0.5 and 0.8, strings of at most 32 and 128
tokens. Every method gets the same number of strings; R replicates run side by side and the mean
over them is shown. The effective number of strings is 1 / Σ share², where share is what each
*different* string has of the sample: of the weights ("sir", "smc") or of the states after burn-in
("imh", "pimh", "suffix"). It counts what there is, not whether it is right: the mean of ln p(y) and
the mean of ln Ẑ, which is below ln Z by what an estimate misses, say how far a method came.
"imh" and "sir" use the same strings. "rejection" is computed, not run: a draw stops at the step
that rejects it, 1 / Z draws make a string, Z the best estimate of the run; its seconds are those of
as many tokens of the pool.

First, a filter against `generate` of as many strings, in turns.
"""

import argparse
import datetime
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

import aligndec as ad
from aligndec.cli import model_store
from aligndec.cli.prompts import encode
from aligndec.models import prepack

PROMPT = "Explain to a child why the sky is blue."
TEMPERATURES = (0.8, 0.5)
SETTINGS = {32: (48, 2), 128: (24, 2)}  # cap: strings per replicate, replicates
FILTERS = 4  # of a chain over filters
RESTARTS = 4  # of a chain over suffixes


@dataclass
class Result:
    """One method; costs are those of one replicate."""

    cap: int
    temperature: float
    method: str
    strings: int
    replicates: int
    seconds: float
    model_tokens: float
    effective: float
    mean_log_p: float | None
    note: str = ""

    @property
    def row(self) -> str:
        each = (self.seconds / self.effective, self.model_tokens / self.effective)
        mean = "" if self.mean_log_p is None else f"{self.mean_log_p:.1f}"
        return (
            f"| {self.cap} | {self.temperature} | {self.method} | {self.effective:.1f} | "
            f"{each[0]:.3g} | {each[1]:.3g} | {mean} | {self.note} |"
        )


def timed(call: Callable[[], ad.GlobalSampler]) -> tuple[object, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def effective(strings: ad.Generation, rows: Tensor, share: Tensor) -> float:
    """1 / Σ share² over the different strings of rows [R, n], mean over replicates."""
    numbers = []
    for own, weights in zip(rows, share / share.sum(1, keepdim=True), strict=True):
        _, which = torch.unique(strings.tokens[own], dim=0, return_inverse=True)
        merged = torch.zeros(len(own), dtype=torch.float64).index_add_(0, which, weights)
        numbers.append(1 / float(merged.square().sum()))
    return sum(numbers) / len(numbers)


def measure(model: object, ids: list[int], cap: int, temperature: float) -> list[Result]:
    adaptor = ad.Adaptor(temperature=temperature, top_p=0.9, top_k=30)
    n, replicates = SETTINGS[cap]
    prompts = [ids] * replicates

    def sampler(method: str, **options: object) -> ad.GlobalSampler:
        return ad.GlobalSampler(model, adaptor, method=method, max_new_tokens=cap, **options)

    found: list[Result] = []

    def keep(
        name: str, out: ad.GlobalSampler, rows: Tensor, share: Tensor, seconds: float, note: str
    ) -> None:
        strings = out.generation
        share = share / share.sum(1, keepdim=True)
        mean = float((share * strings.log_p[rows]).sum(1).mean())
        place = (cap, temperature, name, n, replicates, seconds / replicates)
        size = effective(strings, rows, share)
        found.append(Result(*place, out.model_tokens / replicates, size, mean, note))
        print(found[-1].row, flush=True)

    def states(name: str, out: ad.GlobalSampler, seconds: float) -> None:
        rate = float(out.diagnostics.acceptance_rate.mean())
        note = f"{rate:.0%} accepted"
        keep(name, out, out.index, torch.ones_like(out.index).double(), seconds, note)

    every = torch.arange(replicates * n).view(replicates, n)
    pool, seconds = timed(
        lambda: sampler("imh").sample(prompts, n_samples=n - n // 4, burn_in=n // 4, seed=1)
    )
    states("imh", pool, seconds)
    log_z = float(pool.diagnostics.log_z.mean())
    note = f"ln Ẑ {log_z:.1f}"
    keep("sir", pool, every, pool.log_weight.softmax(1), seconds, note)
    filters, seconds = timed(
        lambda: sampler("smc", n_particles=n).sample(prompts, n_samples=1, seed=2)
    )
    note = f"ln Ẑ {float(filters.log_z_hat.mean()):.1f}"
    keep("smc", filters, every, filters.log_weight.softmax(1), seconds, note)
    chains, seconds = timed(
        lambda: sampler("pimh", n_particles=n // FILTERS).sample(
            prompts, n_samples=FILTERS - 1, burn_in=1, seed=3
        )
    )
    states("pimh", chains, seconds)
    steps = n // RESTARTS
    later = steps - steps // 2
    call = {"n_samples": RESTARTS * later, "burn_in": steps - later, "n_chains": RESTARTS}
    moved, seconds = timed(lambda: sampler("suffix").sample(prompts, seed=4, **call))
    states("suffix", moved, seconds)
    blocks = {"block_size": cap // 4, "moves": 2}
    call = {"n_samples": RESTARTS * 2, "burn_in": max(0, steps - 10), "n_chains": RESTARTS}
    moved, seconds = timed(lambda: sampler("suffix", **blocks).sample(prompts, seed=5, **call))
    states("suffix, blocks", moved, seconds)

    # What rejection would cost.
    read = ad.generate(
        model,
        [ids],
        adaptor=adaptor,
        max_new_tokens=cap,
        num_return_sequences=n,
        seed=5,
        per_token=True,
    )
    passing = read.token_log_z.cumsum(1).exp()
    alive = torch.cat([torch.ones(n, 1, dtype=torch.float64), passing[:, :-1]], 1)
    live = torch.arange(passing.shape[1]) < read.length[:, None]
    best = max(float(filters.log_z_hat.max()), float(pool.diagnostics.log_z.max()))
    tokens = float((alive * live).sum(1).mean()) * math.exp(-best)
    pace = found[0].seconds / found[0].model_tokens
    note = f"computed: 1 of {math.exp(-best):.2g} draws passes"
    found.append(
        Result(cap, temperature, "rejection", 1, 0, tokens * pace, tokens, 1.0, None, note)
    )
    print(found[-1].row, flush=True)
    return found


def against_generate(model: object, ids: list[int], repeats: int = 2) -> dict[str, float]:
    """Seconds of a filter of 16 particles and of `generate` of 16 strings, minima of turns."""
    adaptor = ad.Adaptor(temperature=0.8, top_p=0.9, top_k=30)
    filters = ad.GlobalSampler(model, adaptor, method="smc", n_particles=16, max_new_tokens=48)
    calls = {
        "smc": lambda seed: filters.sample([ids], n_samples=1, seed=seed),
        "generate": lambda seed: ad.generate(
            model, [ids], adaptor=adaptor, max_new_tokens=48, num_return_sequences=16, seed=seed
        ),
    }
    best = dict.fromkeys(calls, math.inf)
    for turn in range(repeats):
        for name, call in calls.items():
            best[name] = min(best[name], timed(lambda call=call, turn=turn: call(turn))[1])
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--caps", type=int, nargs="*", default=list(SETTINGS))
    options = parser.parse_args()
    loaded = model_store.load(None)
    ids = encode(loaded.tokenizer, [PROMPT])[0]
    model = ad.as_step_lm(prepack(loaded.model))
    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "aligndec": ad.build_info()["version"],
        "results": [],
    }

    def store() -> None:
        record["load"] = os.getloadavg()[2]
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    record["against_generate"] = against_generate(model, ids)
    print("a filter of 16 against generate of 16:", record["against_generate"], flush=True)
    for cap in options.caps:
        for temperature in TEMPERATURES:
            print(f"cap {cap}, temperature {temperature}", flush=True)
            record["results"] += map(asdict, measure(model, ids, cap, temperature))
            store()
    return 0


if __name__ == "__main__":
    sys.exit(main())
