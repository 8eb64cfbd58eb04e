"""Attention of rows that continue a few prefixes against torch, CPU.

    python bench/bench_branched_attention.py --json bench/results/branched_attention-cpu.json

One layer of SmolLM2-135M (9 heads of queries on 3 of keys, 64 numbers each, float32) at one token:
8 prompts with 10 rows each and one prompt with 64 rows. "torch's products" is what other devices
and types use: batches of matrices, one per prefix, and one softmax. "gathered" is what every row
pays when it has a copy of its prefix: scaled_dot_product_attention on joined keys and values, which
lie ready here. Results are compared with the latter in float64 before anything is timed.
"""

import sys

import command
import pytest
import torch
from interleave import REPEATS, interleave
from report import Row
from suite import LIMITS, THREADS, Limit

from aligndec.ops.library import torch_ops
from aligndec.reference.attention import Branches, attend

HEADS, KV_HEADS, DIM, OWN = 9, 3, 64, 20
SHAPES = [(8, 10, 100), (8, 10, 1000), (1, 64, 1000)]
"""Prefixes, rows of each, columns of a prefix."""
CASES = [(shape, threads) for shape in SHAPES for threads in THREADS]
LIMITS.setdefault("branched_attention", Limit(">=", 1.5))


def measure(shape: tuple[int, int, int], threads: int, repeats: int = REPEATS) -> list[Row]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    prefixes, each, columns = shape
    rows = prefixes * each
    owner = torch.arange(prefixes).repeat_interleave(each)
    branches, scale = Branches.of(owner, prefixes), DIM**-0.5
    prefix = [torch.randn(prefixes, KV_HEADS, columns, DIM) for _ in range(2)]
    own = [torch.randn(rows, KV_HEADS, OWN, DIM) for _ in range(2)]
    query = torch.randn(rows, HEADS, 1, DIM)
    mask = torch.rand(rows, 1, 1, columns + OWN) < 0.9
    joined = [torch.cat([a[owner], b], 2) for a, b in zip(prefix, own, strict=True)]

    def gathered(convert=torch.Tensor.float) -> torch.Tensor:
        tensors = map(convert, (query, *joined))
        return torch.nn.functional.scaled_dot_product_attention(
            *tensors, attn_mask=mask, scale=scale, enable_gqa=True
        )

    def ours() -> torch.Tensor:
        order = branches.order, branches.start
        return torch_ops.branched_attention(query, *prefix, *own, *order, mask, scale)

    torch.testing.assert_close(ours().double(), gathered(torch.Tensor.double), atol=1e-5, rtol=0)
    calls = {"ours": ours, "gathered": gathered}
    calls["torch's products"] = lambda: attend(
        branches, tuple(prefix), tuple(own), query, mask, scale
    )
    with torch.inference_mode():
        times = interleave(calls, repeats=repeats)
    name = (f"{each} rows each", "N(0,1)", (prefixes, columns), threads)
    return [
        Row.timed("branched_attention", *name, against, ours=times["ours"], theirs=times[against])
        for against in ("torch's products", "gathered")
    ]


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize(("shape", "threads"), CASES)
def test_time(shape: tuple[int, int, int], threads: int, rows: list[Row]) -> None:
    rows += measure(shape, threads)


def all_rows(repeats: int) -> list[Row]:
    return [row for shape, threads in CASES for row in measure(shape, threads, repeats)]


if __name__ == "__main__":
    sys.exit(command.run(__doc__, REPEATS, all_rows))
