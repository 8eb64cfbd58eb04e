"""The fused step on a GPU: against the time to read the logits once, eager, FlashInfer; and tilts.

    python bench/bench_cuda.py --json bench/results/adaptor_step-cuda.json

Tokens, counts and status are compared with the CPU kernel's before anything is timed. Every row is
written when it has been measured, the most telling first. The protocol is in bench/README.md;
without a GPU it says so and ends with 1, `--dry-run` runs the same code on the CPU at small sizes.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import command
import pytest
import torch
from gpu_cases import DRY, Case, Place, cases, sampler
from interleave import REPEATS, Timing, interleave
from report import Load, Row, load_rows, save
from suite import adaptor

import aligndec as ad

MEMORY = ("top_p", "typical_p")


def measure(case: Case, repeats: int = REPEATS) -> Row:
    """The row of one case; equal results were asserted while it was built."""
    ours, theirs = case.build()
    number = isinstance(theirs, float)
    clocks = {"ours": ours} if number else {"ours": ours, "theirs": theirs}
    times = interleave(clocks, repeats=repeats, seconds=0.05, clock=lambda call: call())
    if number:
        times["theirs"] = Timing(theirs, theirs, 1)
    place = (case.section, case.adaptor, case.logits, case.shape, 1, case.against)
    return Row.timed(*place, **times)


def measure_memory(at: Place, kind: str) -> Row:
    """Bytes that one call allocates over the bytes of its logits; on a GPU only."""
    logits = at.logits(at.rows)
    call = sampler(logits, adaptor(kind))
    call()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    added, size = torch.cuda.max_memory_allocated() - before, logits.nbytes
    shape = (at.rows, at.vocab)
    name = f"sample {kind}"
    return Row("memory", name, "N(0,3)", shape, 1, "logits", added / size, added, size, 1)


def usable() -> bool:
    """Whether there is a GPU, and kernels for it."""
    return torch.cuda.is_available() and bool(ad.build_info()["cuda_architectures"])


@pytest.mark.cuda
@pytest.mark.skipif(not usable(), reason="no CUDA device, or no kernels for it")
@pytest.mark.parametrize("cuda_case", cases(), ids=str)
def test_time(cuda_case: Case, rows: list[Row]) -> None:
    with torch.inference_mode():
        try:
            rows.append(measure(cuda_case))
        except ImportError as error:
            pytest.skip(str(error))


@dataclass
class Run:
    """What is known so far; the file holds it after each case."""

    path: Path | None
    rows: list[Row] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # baselines that are not installed
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)  # for want of time
    load: Load = field(default_factory=Load)

    def measure(self, chosen: list[Case], repeats: int, seconds: float) -> None:
        """Measure what the file does not hold yet, until the time is up."""
        known = {(r.section, r.adaptor, r.logits, r.shape, r.against) for r in self.rows}
        end = time.monotonic() + seconds
        self.left = [str(case) for case in chosen if case.key not in known]
        for case in chosen:
            if case.key in known:
                continue
            if time.monotonic() > end:
                break
            self.left.remove(str(case))
            try:
                self.rows.append(measure(case, repeats))
            except ImportError as error:
                self.absent[case.against] = str(error)
                print(f"bench_cuda: no {case.against}: {error}", flush=True)
            except Exception as error:  # the other rows are worth having
                self.failed[str(case)] = f"{type(error).__name__}: {error}"[:500]
                print(f"bench_cuda: {case}: {self.failed[str(case)]}", file=sys.stderr, flush=True)
            self.save()

    def save(self) -> None:
        if self.path:
            more = {"absent": self.absent, "failed": self.failed, "left": self.left}
            save(self.path, self.rows, self.load, **more)


def options() -> argparse.Namespace:
    parser = command.parser(__doc__, REPEATS, "turns per case")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--first", type=int, help="so many cases")
    parser.add_argument("--seconds", type=float, default=1e9, help="no new case after this time")
    parser.add_argument("--resume", action="store_true", help="keep the rows that the file holds")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, at small sizes")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    if not chosen.dry_run and not usable():
        print("bench_cuda: a GPU and an extension with CUDA kernels must be there", file=sys.stderr)
        return 1
    at = DRY if chosen.dry_run else Place()
    run = Run(chosen.json)
    if chosen.resume and chosen.json:
        run.rows = load_rows(chosen.json)
    listed = [case for case in cases(at) if chosen.only in str(case)][: chosen.first]
    with torch.inference_mode(), ad.use_backend("native"):
        run.measure(listed, chosen.repeats, chosen.seconds)
        if chosen.only in "memory" and chosen.first is None and not chosen.dry_run:
            run.rows = [row for row in run.rows if row.section != "memory"]
            run.rows += [measure_memory(at, kind) for kind in MEMORY]
            run.save()
    command.conclude(run.rows, run.load, None)
    for name in run.left:
        print(f"bench_cuda: not measured, the time was up: {name}")
    return int(bool(run.failed))


if __name__ == "__main__":
    sys.exit(main())
