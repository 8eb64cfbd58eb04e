"""The fused step against log_softmax, float32, single calls and transformers' eager chain.

    python bench/bench_adaptor_step.py --json bench/results/adaptor_step-cpu.json

or, through pytest-benchmark, `pytest -o python_files='bench_*.py' bench`. The protocol is in
bench/README.md.
"""

import sys
from collections.abc import Callable

import command
import memory
import pytest
import torch
from cases import Case, cases
from interleave import REPEATS, interleave
from report import Load, Row
from suite import VOCAB, VOCAB_GRID

MEMORY = (("sample", "top_p"), ("sample", "typical_p"), ("score", "top_p"), ("score_grid", "all"))
MEMORY_BATCH = 256


def measure(case: Case, repeats: int = REPEATS) -> tuple[Row, Callable[[], object]] | None:
    """The row of a case and our callable; None when its logits are not available."""
    torch.set_num_threads(case.threads)
    built = case.build()
    if built is None:
        return None
    ours, theirs = built
    times = interleave({"ours": ours, "theirs": theirs}, repeats=repeats)
    place = (case.section, case.adaptor, case.logits, case.shape, case.threads, case.against)
    return Row.timed(*place, **times), ours


def measure_memory(function: str, kind: str, threads: int) -> Row:
    """Bytes added by one call over the bytes of its logits."""
    vocab = VOCAB_GRID if function == "score_grid" else VOCAB
    shape = (MEMORY_BATCH, vocab)
    added = memory.added_bytes(function, kind, *shape, threads)
    logits = 4 * MEMORY_BATCH * vocab
    name = f"{function} {kind}"
    return Row("memory", name, "N(0,3)", shape, threads, "logits", added / logits, added, logits, 1)


@pytest.mark.usefixtures("_threads")
def test_time(case: Case, benchmark, rows: list[Row]) -> None:
    """One ratio; pytest-benchmark then times our side alone and stores the ratio beside it."""
    with torch.inference_mode():
        measured = measure(case)
        if measured is None:
            benchmark.disabled = True
            pytest.skip(f"no logits of {case.logits}")
        row, ours = measured
        rows.append(row)
        benchmark.extra_info.update(vars(row), ok=row.ok)
        benchmark.group = f"{case.section}, {case.threads} threads"
        benchmark.pedantic(ours, rounds=5, warmup_rounds=1)


@pytest.mark.skipif(not memory.supported(), reason="no /proc/self/clear_refs")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("function", "kind"), MEMORY)
def test_memory(function: str, kind: str, threads: int, rows: list[Row]) -> None:
    rows.append(measure_memory(function, kind, threads))


def main() -> int:
    parser = command.parser(__doc__, REPEATS)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile of the chain")
    options = parser.parse_args()
    load, rows = Load(), []
    chosen = [c for c in cases(compiled=options.compiled) if options.only in str(c)]
    with torch.inference_mode():
        for i, case in enumerate(chosen, 1):
            if sys.stderr.isatty():
                print(f"\r\033[K{i}/{len(chosen)} {case}", end="", file=sys.stderr)
            measured = measure(case, options.repeats)
            rows += [] if measured is None else [measured[0]]
    if memory.supported() and options.only in "memory":
        rows += [measure_memory(*which, threads) for which in MEMORY for threads in (1, 2)]
    return command.conclude(rows, load, options.json)


if __name__ == "__main__":
    sys.exit(main())
