"""torch.library.opcheck over every registered operator: schema, fake kernel, autograd, tracing."""

from collections.abc import Iterator

import pytest
import torch
from support.cases import bits, randn
from support.sparse_cases import random_bias
from torch import Tensor

import aligndec as ad

ROWS, VOCAB = 3, 37


def every_op() -> list[str]:
    """Names of all operators in torch.ops.aligndec."""
    names = torch._C._dispatch_get_all_op_names()
    return sorted(n.split("::")[1] for n in names if n.startswith("aligndec::"))


def params(count: int) -> Tensor:
    """Packed parameters [count, COLUMNS] of the first adaptors of a short list."""
    kinds = [ad.Adaptor(temperature=0.7, top_p=0.9), ad.Adaptor(), ad.Adaptor(typical_p=0.5)]
    return ad.pack(kinds[:count], count).params


def step_args(logits: Tensor, rows: int, state: bool = False, **given: object) -> tuple:
    n = logits.shape[0]
    sums = torch.zeros(6, n, dtype=torch.float64) if state else None
    length = torch.zeros(n, dtype=torch.int64) if state else None
    finished = torch.zeros(n, dtype=torch.bool) if state else None
    eos = torch.tensor([2, 5]) if state else None
    get = given.get
    return (
        logits,
        params(rows),
        get("allowed"),
        get("valid_vocab", VOCAB),
        get("tokens"),
        -5,
        get("seeds"),
        get("sequence_ids"),
        0,
        get("positions"),
        get("uniforms"),
        sums,
        length,
        finished,
        eos,
        0,
        False,
    )


TOKENS = torch.tensor([1, 2, 36])
BIAS = tuple(random_bias(ROWS, VOCAB, 1))
KEPT = tuple(ad.KeptSets.from_lists([[1, 2, 3, 4, 8], [5, 6, 9, 30], [2, 7, 36]]))


def samples(op: str) -> Iterator[tuple]:
    """Inputs of one operator; a new operator must bring its own."""
    x = randn(ROWS, VOCAB)
    allowed = randn(ROWS, VOCAB, 1) > -1
    if op == "adaptor_step":
        yield step_args(x, 1)
        yield step_args(x.bfloat16(), ROWS, state=True, allowed=allowed, tokens=TOKENS)
        yield step_args(
            x.half(),
            ROWS,
            state=True,
            allowed=bits(allowed),
            valid_vocab=30,
            seeds=torch.arange(ROWS),
            sequence_ids=torch.arange(ROWS),
            positions=torch.arange(ROWS),
        )
        yield step_args(x, 1, uniforms=torch.rand(ROWS, dtype=torch.float64))
        yield *step_args(x, 1), *BIAS, *KEPT
    elif op == "adaptor_sets":
        yield x, params(1), None, VOCAB, None, 4
        yield x.half(), params(ROWS), allowed, 30, torch.zeros(6, ROWS).double(), 2**20, *BIAS
    elif op == "adaptor_step_sets":
        batch, draw = step_args(x, ROWS)[:4], step_args(x, ROWS)[5:]
        yield *batch, *draw, 4, *BIAS
    elif op == "adaptor_score":
        yield x, params(1), None, VOCAB, TOKENS, None
        yield x, params(1), None, VOCAB, TOKENS, None, None, None, None, *KEPT
        yield x.clone().requires_grad_(), params(ROWS), allowed, VOCAB, TOKENS, None
        rows = torch.tensor([0, 0, 2])
        yield x.bfloat16().requires_grad_(), params(ROWS), bits(allowed), 30, TOKENS, rows
    elif op == "adaptor_score_backward":
        grads = [torch.randn(ROWS, dtype=torch.float64) for _ in range(3)]
        out = torch.ops.aligndec.adaptor_score(x, params(1), None, VOCAB, TOKENS, None)
        yield *grads, x, params(1), None, VOCAB, TOKENS, None, out[9], out[8]
        out = torch.ops.aligndec.adaptor_score(
            x, params(1), None, VOCAB, TOKENS, None, *BIAS, *KEPT
        )
        whole = x, params(1), None, VOCAB, TOKENS, None, out[9], out[8], grads[0], out[4]
        yield *grads, *whole, *BIAS, *KEPT
    elif op == "adaptor_grid":
        yield x, params(2), None, VOCAB, TOKENS
        yield x.half(), params(3), allowed, 30, TOKENS, *BIAS
    elif op == "adaptor_mask":
        yield x, params(1), None, VOCAB
        yield x.bfloat16(), params(ROWS), bits(allowed), 30, *BIAS
    elif op == "imh_chain":
        weight = torch.randn(ROWS, VOCAB, dtype=torch.float64)
        yield weight, -5, None, None
        yield weight, 0, torch.arange(ROWS), None
        yield weight, 0, None, torch.rand(ROWS, VOCAB, dtype=torch.float64)
    elif op == "candidates":
        yield x, 5, VOCAB
        yield x.bfloat16(), 1, 30
    elif op == "segment_value":
        yield x.double(), None, 0
        yield x.double(), randn(ROWS, VOCAB, 1).double(), 1
        yield x.double(), randn(ROWS, VOCAB, 1).double(), 2
    elif op == "rescore":
        pair, alpha = (x.double(), randn(ROWS, VOCAB, 1).double()), torch.ones(1).double()
        yield *pair, alpha, True, 0, None, 0, None, None
        yield *pair, alpha.expand(ROWS).contiguous(), False, -5, TOKENS, 3, None, None
        yield *pair, alpha, False, 0, None, 0, TOKENS, torch.rand(ROWS, dtype=torch.float64)
    elif op == "combine_logits":
        yield [x, randn(ROWS, VOCAB, 1).half()], [1.0, -0.5]
    elif op == "imh_resample":
        log_weight, values = randn(ROWS, VOCAB).double(), torch.randn(ROWS, VOCAB, 2).double()
        yield log_weight, values, 5, 20, 3, -1
        yield log_weight, values[..., :0], 1, 1, 0, 0
    elif op == "smc_resample":
        weight, names = torch.randn(ROWS, 5).double(), torch.arange(5 * ROWS)
        yield weight, 1.0, 0, -5, None, 3, None, None
        yield weight, 0.5, 3, 0, names, 0, torch.arange(ROWS), None
        yield weight, 1.0, 1, 0, None, 0, None, torch.rand(5 * ROWS, dtype=torch.float64)
    elif op == "branched_attention":
        own = torch.randn(3, 2, 4, 8), torch.randn(3, 2, 4, 8)
        given = torch.randn(3, 4, 1, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8), *own
        rows = torch.tensor([1, 0, 2]), torch.tensor([0, 1, 3])
        yield *given, *rows, None, 0.3
        yield *given, *rows, torch.rand(3, 1, 1, 13) < 0.9, 0.3
    elif op == "tilt_stats":
        beta = torch.tensor([[0.0, 2.0], [1.0, -torch.inf], [-3.0, 0.5]], dtype=torch.float64)
        yield x, randn(ROWS, VOCAB, 1), beta
        yield None, x.double(), beta
        yield x[:1].expand(ROWS, VOCAB), x, beta[:, :1].contiguous()
    elif op == "tilt_solve":
        target = torch.tensor([[0.1, 9.0]] * ROWS, dtype=torch.float64)
        yield x, randn(ROWS, VOCAB, 1), target, 0, False
        yield None, x.double(), target[:, :1].contiguous(), 2, False
        yield x, x, target[:1, :1].contiguous(), 1, True
    else:
        pytest.fail(f"operator {op} has no sample inputs in this file")


@pytest.mark.slow
@pytest.mark.parametrize("op", every_op())
def test_opcheck(op: str) -> None:
    overload = getattr(torch.ops.aligndec, op).default
    for args in samples(op):
        checks = ["test_schema", "test_autograd_registration", "test_faketensor"]
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            # With a gradient this check adds up all outputs in the dtype of the first, and the
            # first is a token id; test_compile traces the gradient instead.
            checks.append("test_aot_dispatch_dynamic")
        torch.library.opcheck(overload, args, test_utils=checks)


def test_the_step_is_registered() -> None:
    expected = {"step", "score", "score_backward", "grid", "mask", "sets", "step_sets"}
    assert {f"adaptor_{name}" for name in expected} <= set(every_op())


def test_native_kernels_are_registered_for_the_cpu(native: None) -> None:
    for op in every_op():
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"aligndec::{op}", "CPU"), op
