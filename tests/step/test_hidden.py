"""The fused head against `score` on its logits, and what memory it takes."""

import math
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import aligndec as ad
from aligndec.rl import score_hidden

N, D, V = 7, 8, 50
FIELDS = ("log_p", "log_q", "log_z")


def problem(dtype=torch.float32, n=N, d=D, v=V):
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(n, d, generator=random).to(dtype).requires_grad_()
    weight = torch.randn(v, d, generator=random).to(dtype).requires_grad_()
    bias = torch.randn(v, generator=random).to(dtype).requires_grad_()
    tokens = torch.randint(v, (n,), generator=random)
    return hidden, weight, bias, tokens


def gradients(step, fields, inputs):
    heads = [torch.linspace(0.5, 2.0, len(step.log_p)).double() * (i + 1) for i in range(4)]
    total = sum((h * getattr(step, f)).sum() for h, f in zip(heads, fields, strict=False))
    return torch.autograd.grad(total, inputs)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100, None])
@pytest.mark.parametrize("given", [False, True])
def test_books_and_gradients_are_those_of_score(chunk, given) -> None:
    hidden, weight, bias, tokens = problem()
    logits = torch.nn.functional.linear(hidden, weight, bias)
    tokens[2] = -1
    adaptor, more, fields = ad.Adaptor(temperature=0.8, top_k=40), {}, FIELDS
    if given:
        adaptor, fields = ad.Adaptor(temperature=0.8), (*FIELDS, "log_kept")
        more = {
            "kept": ad.KeptSets.from_lists(
                [sorted({*range(i, 30), int(t) % V}) for i, t in enumerate(tokens)]
            )
        }
    want = ad.score(logits, tokens, adaptor, **more)
    got = score_hidden(hidden, weight, tokens, adaptor, bias=bias, chunk_size=chunk, **more)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    inside = [i for i, s in enumerate(want.status.tolist()) if s in (0, 4)]
    step = [ad.Step(*(f[inside] for f in s)) for s in (got, want)]
    for a, b in zip(*(gradients(s, fields, (hidden, weight, bias)) for s in step), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_gradcheck_on_the_reference() -> None:
    hidden, weight, bias, tokens = problem(torch.float64, n=3, d=2, v=5)
    sets = ad.KeptSets.from_mask(
        torch.ones(3, 5, dtype=torch.bool).scatter(1, tokens[:, None] - 1, False)
    )

    def books(*inputs):
        h, w, b = inputs
        step = score_hidden(
            h, w, tokens, ad.Adaptor(temperature=0.7), bias=b, kept=sets, chunk_size=2
        )
        return step.log_p, step.log_q, step.log_z, step.log_kept

    with ad.use_backend("reference"):
        assert torch.autograd.gradcheck(books, (hidden, weight, bias))


def test_half_precision_leading_dimensions_and_rows_of_adaptors() -> None:
    hidden, weight, _, tokens = problem(torch.bfloat16, n=6)
    adaptors = [ad.Adaptor(temperature=0.5 + i / 4) for i in range(6)]
    got = score_hidden(
        hidden.reshape(2, 3, D), weight, tokens.reshape(2, 3), adaptors, chunk_size=4
    )
    want = ad.score(hidden @ weight.T, tokens, adaptors)
    torch.testing.assert_close(got.log_q.reshape(-1), want.log_q)
    ours = torch.autograd.grad(got.log_q.sum(), (hidden, weight))
    theirs = torch.autograd.grad(want.log_q.sum(), (hidden, weight))
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == torch.bfloat16
        torch.testing.assert_close(a, b, atol=5e-2, rtol=5e-2)


class Peak(TorchDispatchMode):
    """Bytes of the storages that are alive at the same time, at most; those from before not."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {
            x.untyped_storage().data_ptr()
            for x in tree_leaves((args, kwargs))
            if isinstance(x, torch.Tensor)
        }
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if not isinstance(x, torch.Tensor):
                continue
            storage = x.untyped_storage()
            if storage.data_ptr() in before or id(storage) in self.alive:
                continue
            self.alive[id(storage)] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, id(storage), 0)
        self.bytes = max(self.bytes, sum(self.alive.values()))
        return out


def peak(fn) -> int:
    with Peak() as seen:
        fn()
    return seen.bytes


def test_memory_is_that_of_a_chunk() -> None:
    n, d, v, chunk = 512, 8, 4096, 16
    hidden, weight, _, tokens = problem(n=n, d=d, v=v)
    sets = ad.KeptSets.from_lists([[int(t)] for t in tokens])

    def fused():
        step = score_hidden(hidden, weight, tokens, kept=sets, chunk_size=chunk)
        torch.autograd.grad(step.log_q.sum() + step.log_p.sum(), (hidden, weight))

    def whole():
        step = ad.score(hidden @ weight.T, tokens, kept=sets)
        torch.autograd.grad(step.log_q.sum() + step.log_p.sum(), (hidden, weight))

    logits, inputs = n * v * 4, (2 * n * d + 2 * v * d) * 4 + 60 * n * 8
    assert peak(whole) > logits
    assert peak(fused) < 4 * chunk * v * 4 + inputs < logits / 2


def test_refusals() -> None:
    hidden, weight, bias, tokens = problem()
    with pytest.raises(ValueError, match=r"weight must be torch\.float32 \[V, D\] with D = 8"):
        score_hidden(hidden, weight.T, tokens)
    with pytest.raises(ValueError, match=r"tokens must be \[\.\.\.\] = \[7\]"):
        score_hidden(hidden, weight, tokens[:3])
    with pytest.raises(ValueError, match=r"bias must be .*\[V\] = \[50\]"):
        score_hidden(hidden, weight, tokens, bias=bias[:4])
    with pytest.raises(ValueError, match="without mirostat and xtc"):
        score_hidden(hidden, weight, tokens, ad.Adaptor(mirostat_tau=3.0))
    with pytest.raises(ValueError, match="one for each of 7 results, got 2"):
        score_hidden(hidden, weight, tokens, [ad.Adaptor()] * 2)
    with pytest.raises(ValueError, match="chunk_size must be >= 1"):
        score_hidden(hidden, weight, tokens, chunk_size=0)
    bad = hidden.detach().clone()
    bad[3] = math.nan
    with pytest.raises(ad.BadLogitsError) as error:
        score_hidden(bad, weight, tokens, chunk_size=2)
    assert error.value.rows == [3]
