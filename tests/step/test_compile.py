"""torch.compile traces a loop body with a state in one graph and changes no number."""

import pytest
import torch
from support.cases import SUMS, adaptors, check_step, randn
from torch import Tensor

import aligndec as ad


def play(step, rows: int, packed: object) -> tuple[list[ad.Step], ad.SequenceState]:
    state = ad.SequenceState.start(rows, eos_token_id=(3,), pad_token_id=1)
    return [step(randn(rows, 40, t), packed, state) for t in range(4)], state


def body(logits: Tensor, packed: object, state: ad.SequenceState) -> ad.Step:
    return ad.sample(2 * logits, packed, state=state, seed=3)


@pytest.mark.slow
@pytest.mark.usefixtures("backend")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("graph_backend", ["aot_eager", "inductor"])
def test_loop_body_in_one_graph(graph_backend: str) -> None:
    packed = ad.pack(adaptors(), len(adaptors()))
    compiled = torch.compile(body, fullgraph=True, backend=graph_backend)
    steps, state = play(compiled, len(adaptors()), packed)
    expected_steps, expected = play(body, len(adaptors()), packed)
    for step, other in zip(steps, expected_steps, strict=True):
        check_step(step, other, 1e-12)
    for name in (*SUMS, "length", "finished"):
        torch.testing.assert_close(getattr(state, name), getattr(expected, name))
    assert expected.finished.any()
    torch.compiler.reset()


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("backend")
def test_functional_ops_in_one_graph() -> None:
    def numbers(x: Tensor, token: Tensor) -> tuple[ad.Step, ad.Step, Tensor]:
        adaptor = ad.Adaptor(temperature=0.7, top_p=0.9)
        grid = ad.score_grid(x, token, [adaptor, ad.Adaptor()])
        return ad.score(x, token, adaptor), grid, ad.kept_mask(x, adaptor)

    compiled = torch.compile(numbers, fullgraph=True, backend="aot_eager")
    x, token = randn(5, 33), torch.arange(5)
    (score, grid, mask), expected = compiled(x, token), numbers(x, token)
    check_step(score, expected[0])
    check_step(grid, expected[1])
    assert torch.equal(mask, expected[2])
    torch.compiler.reset()


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("backend")
def test_compiled_gradient() -> None:
    def loss(x: Tensor, token: Tensor) -> Tensor:
        step = ad.score(x, token, ad.Adaptor(temperature=0.7, top_k=9))
        return (step.log_p + 2 * step.log_z).sum()

    token = torch.arange(5)
    x, y = randn(5, 33).requires_grad_(), randn(5, 33).requires_grad_()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(x, token).backward()
    loss(y, token).backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.compiler.reset()


@pytest.mark.usefixtures("backend")
@pytest.mark.filterwarnings("default")
def test_bad_rows_do_not_raise_while_compiling() -> None:
    x = randn(3, 20)
    x[1, 4] = float("nan")
    state = ad.SequenceState.start(3)
    step = torch.compile(body, fullgraph=True, backend="aot_eager")(x, ad.Adaptor(), state)
    assert step.status.tolist() == [0, 1, 0]
    assert state.finished.tolist() == [False, True, False]
    torch.compiler.reset()
