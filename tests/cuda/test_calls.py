"""How the ops behave as CUDA calls: streams, graphs, devices, modes; results equal the CPU's."""

import os
from collections.abc import Callable

import pytest
import torch
from support.cases import DTYPES, SUMS, check_step, randn, rng, rows_of, uniforms
from support.device_calls import CALLS, ONE, ROWS, SEVERAL, Inputs
from support.tilt_rows import check_shared, check_solve, check_stats
from torch import Tensor

import aligndec as ad
from aligndec import imh, tilting

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native")]
TOLERANCE = 1e-12
STEPS = 6


def check(actual: object, expected: object) -> None:
    if isinstance(actual, Tensor):
        assert torch.equal(actual.cpu(), expected)
    else:
        check_step(actual, expected, TOLERANCE)


def check_states(actual: ad.SequenceState, expected: ad.SequenceState) -> None:
    for name in ("length", "finished"):
        assert torch.equal(getattr(actual, name).cpu(), getattr(expected, name)), name
    for name in SUMS:
        a, b = getattr(actual, name).cpu(), getattr(expected, name)
        torch.testing.assert_close(a, b, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab", [1, 33, 1025, 50257])
@pytest.mark.parametrize("name", CALLS)
def test_every_call(name: str, vocab: int, dtype: torch.dtype) -> None:
    """Also what the sanitizers run."""
    _, call = CALLS[name]
    here, there = Inputs("cpu", vocab, dtype), Inputs("cuda", vocab, dtype)
    for _ in range(2):
        check(call(there), call(here))
    check_states(there.state, here.state)


def test_every_call_of_chains() -> None:
    weight = randn(5, 700, 3).double()
    weight[1, :9] = -torch.inf
    for chosen in ({"seed": 7}, {"uniforms": torch.rand(5, 700, dtype=torch.float64)}):
        there = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in chosen.items()}
        for mine, other in zip(
            imh.chain(weight.cuda(), **there), imh.chain(weight, **chosen), strict=True
        ):
            assert torch.equal(mine.cpu(), other)


@pytest.mark.parametrize("n", [7, 1024, 5000])  # by warps, and by groups of blocks
def test_every_call_of_tilts(n: int) -> None:
    """Also what the sanitizers run; as close to the reference as on the CPU."""

    def there(op: str) -> Callable[..., object]:
        def call(*given: object) -> object:
            moved = (x.cuda() if isinstance(x, Tensor) else x for x in given)
            out = getattr(torch.ops.aligndec, op)(*moved)
            return out.cpu() if isinstance(out, Tensor) else [x.cpu() for x in out]

        return call

    for dtype in (torch.float32, torch.float64):
        check_stats(there("tilt_stats"), n, dtype)
        check_solve(there("tilt_solve"), n, dtype)
    for kind in (0, 1):
        check_shared(there("tilt_solve"), n, kind, 0.4)


def test_a_tilt_has_the_same_bits_every_time() -> None:
    log_p, r = randn(3, 50257, 3).cuda(), randn(3, 50257, 4).cuda()
    kl = torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64, device="cuda")
    first = tilting.solve_beta_for_kl(log_p, r, kl)
    for _ in range(3):
        again = tilting.solve_beta_for_kl(log_p, r, kl)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_no_call_synchronises(name: str) -> None:
    (_, call), inputs = CALLS[name], Inputs("cuda")
    call(inputs)
    try:
        torch.cuda.set_sync_debug_mode("error")
        call(inputs)
        ad.sample(inputs.logits, SEVERAL, positions=0)  # a list travels in pinned memory
        with pytest.raises(RuntimeError, match="synchroniz"):
            ad.sample(inputs.logits, ONE, positions=0, strict=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_current_stream_is_used() -> None:
    """The logits arrive late, on a stream of their own: any other stream would read zeros."""
    source, u = randn(ROWS, 5000).cuda(), uniforms(ROWS)
    late, u_there = torch.zeros_like(source), u.cuda()
    expected = ad.sample(source.cpu(), ONE, uniforms=u)
    ad.sample(late, ONE, uniforms=u_there)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)
        late.copy_(source)
        step = ad.sample(late, ONE, uniforms=u_there)
    stream.synchronize()
    check_step(step, expected, TOLERANCE)


@pytest.mark.parametrize("counter", ["state", "positions"])
def test_a_captured_step_advances(counter: str) -> None:
    """A replay draws the next token: the position lives on the device."""
    logits = randn(STEPS * ROWS, 700, 5).view(STEPS, ROWS, 700)
    static = logits[0].cuda()
    packed = ad.pack(SEVERAL, ROWS, device="cuda")
    state = ad.SequenceState.start(ROWS, eos_token_id=3, device="cuda")
    position = torch.zeros(ROWS, dtype=torch.int64, device="cuda")

    def step() -> ad.Step:
        if counter == "state":
            return ad.sample(static, packed, seed=11, state=state)
        out = ad.sample(static, packed, seed=11, positions=position)
        position.add_(1)
        return out

    step()  # warm-up; the counters then start again
    for tensor in (state.sums, state.length, state.finished, position):
        tensor.zero_()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    expected_state = ad.SequenceState.start(ROWS, eos_token_id=3)
    tokens = []
    for t in range(STEPS):
        static.copy_(logits[t])
        graph.replay()
        here = {"state": expected_state} if counter == "state" else {"positions": t}
        check_step(captured, ad.sample(logits[t], SEVERAL, seed=11, **here), TOLERANCE)
        tokens.append(captured.token.tolist())
    if counter == "state":
        check_states(state, expected_state)
    assert len({tuple(row) for row in tokens}) > 1


def test_an_adaptor_that_was_never_packed_is_refused_while_capturing() -> None:
    logits = randn(ROWS, 50).cuda()
    ad.sample(logits, ONE, positions=0)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        ad.sample(logits, ONE, positions=0)  # used before, so it is on the device
        with pytest.raises(ValueError, match=r"^sample: adaptor must be packed on cuda"):
            ad.sample(logits, SEVERAL, positions=0)


def test_the_device_of_the_logits_is_used() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    here, there = Inputs("cpu"), Inputs("cuda:1")
    with torch.cuda.device(0):
        for _, call in CALLS.values():
            check(call(there), call(here))
        assert torch.cuda.current_device() == 0


@pytest.mark.parametrize("mode", ["inference", "autocast"])
def test_modes(mode: str) -> None:
    here, there = Inputs("cpu"), Inputs("cuda")
    context = torch.inference_mode() if mode == "inference" else torch.autocast("cuda")
    with context:
        actual = [call(there) for _, call in CALLS.values()]
    for mine, (_, call) in zip(actual, CALLS.values(), strict=True):
        check(mine, call(here))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype: torch.dtype) -> None:
    x = randn(3, 900).to(dtype)
    tokens = torch.randint(0, 900, (7, 3), generator=rng(1))
    grads = []
    for device in ("cpu", "cuda"):
        leaf = x.to(device).requires_grad_()
        step = ad.score(leaf.expand(7, 3, 900), tokens.to(device), SEVERAL[2])
        finite = step.log_q.isfinite()
        (step.log_p.sum() + 2 * step.log_q[finite].sum() - step.log_z.sum()).backward()
        grads.append(leaf.grad.cpu())
    tolerance = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 4e-2}[dtype]
    torch.testing.assert_close(grads[1], grads[0], rtol=tolerance, atol=tolerance)


def test_bad_rows() -> None:
    """Marked without waiting; raised, with nothing committed, when asked for."""
    x = randn(ROWS, 2000)
    x[1, 1999], x[2] = torch.nan, -torch.inf
    state = ad.SequenceState.start(ROWS, device="cuda")
    with pytest.raises(ad.BadLogitsError) as error:
        ad.sample(x.cuda(), SEVERAL, state=state, strict=True)
    assert error.value.rows == [1, 2]
    assert state.length.tolist() == [0] * ROWS
    assert not state.finished.any()
    assert not state.sums[:5].any()
    expected = ad.SequenceState.start(ROWS)
    step = ad.sample(x.cuda(), SEVERAL, state=state)
    check_step(step, ad.sample(x, SEVERAL, state=expected, strict=False), TOLERANCE)
    check_states(state, expected)


def test_a_scored_token_beyond_the_vocabulary() -> None:
    """Its value is on the device, so it is marked where the CPU would refuse it."""
    step = ad.score(randn(2, 40).cuda(), torch.tensor([40, 1 << 40], device="cuda"), ONE)
    assert step.status.tolist() == [3, 3]
    assert step.log_p.tolist() == step.log_q.tolist() == [-torch.inf] * 2
    assert bool(step.log_z.isfinite().all())


@pytest.mark.skipif(not os.environ.get("ALIGNDEC_HUGE"), reason="ALIGNDEC_HUGE=1 asks for it")
def test_more_than_2_to_the_31_elements() -> None:
    rows, vocab = 16400, 131072
    x = torch.empty(rows, vocab, dtype=torch.bfloat16, device="cuda").normal_(0.0, 3.0)
    assert x.numel() > 2**31
    u, token = uniforms(rows), torch.arange(rows) % vocab
    step = ad.sample(x, ONE, uniforms=u.cuda())
    score, mask = ad.score(x, token.cuda(), ONE), ad.kept_mask(x, ONE)
    for part in (slice(0, 2), slice(8191, 8193), slice(rows - 2, rows)):
        here = x[part].cpu()
        check_step(rows_of(step, part), ad.sample(here, ONE, uniforms=u[part]), TOLERANCE)
        check_step(rows_of(score, part), ad.score(here, token[part], ONE), TOLERANCE)
        assert torch.equal(mask[part].cpu(), ad.kept_mask(here, ONE))
