"""The fused step waits for no device: shown on the meta device, whose tensors have no values.

Code that treats the CPU apart takes its other branch there, and whatever reads a value raises.
"""

import pytest
import torch
from support.cases import adaptors
from support.device_calls import CALLS, ONE, ROWS, SEVERAL, VOCAB, Inputs
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import aligndec as ad
from aligndec.step import params

DEVICE = torch.device("meta")


class Watch(TorchDispatchMode):
    """Counts our launches, and the copies between devices, by direction."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[str] = []
        self.to_device = self.to_host = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.namespace == "aligndec":
            self.launches.append(func.__name__.split(".")[0])
        if isinstance(out, Tensor):
            sources = {a.device for a in args if isinstance(a, Tensor)}
            self.to_device += out.device == DEVICE and torch.device("cpu") in sources
            self.to_host += out.is_cpu and DEVICE in sources
        return out


@pytest.mark.parametrize("name", CALLS)
def test_no_value_is_read_and_nothing_moves(name: str) -> None:
    (op, call), inputs = CALLS[name], Inputs("meta")
    call(inputs)  # the first call may bring an adaptor's parameters
    with Watch() as watch:
        call(inputs)
    assert watch.launches == [op]
    assert watch.to_host == 0
    assert watch.to_device == 0


@pytest.mark.parametrize("function", ["sample", "score_grid"])
def test_a_list_of_adaptors_moves_in_one_copy(function: str) -> None:
    inputs = Inputs("meta")
    with Watch() as watch:
        if function == "sample":
            ad.sample(inputs.logits, SEVERAL, positions=0)
        else:
            ad.score_grid(inputs.logits, inputs.whole, adaptors())
    assert (watch.to_device, watch.to_host) == (1, 0)


def test_the_watch_can_fail() -> None:
    """Control: strict mode reads, and copies are counted."""
    logits = torch.empty(ROWS, VOCAB, device=DEVICE)
    with pytest.raises(RuntimeError, match="meta"):
        ad.sample(logits, positions=0, strict=True)
    with Watch() as watch:
        ad.Adaptor(top_k=9)._row.to(DEVICE)
        torch.empty_like(logits, device="cpu").copy_(torch.zeros(()))
        logits.new_empty(3, device="cpu")
    assert (watch.to_device, watch.to_host) == (1, 2)


def test_gradients_stay_on_the_device() -> None:
    inputs = Inputs("meta")
    logits = inputs.logits.requires_grad_()
    step = ad.score(logits, inputs.whole, inputs.packed)
    with Watch() as watch:
        (step.log_p + step.log_q).sum().backward()
    assert watch.launches == ["adaptor_score_backward"]
    assert watch.to_host == 0
    assert logits.grad is not None
    assert logits.grad.device == DEVICE


def test_packed_adaptors_elsewhere_are_refused() -> None:
    inputs, here = Inputs("meta"), ad.pack(SEVERAL, ROWS)
    with pytest.raises(ValueError, match=r"^sample: adaptor must be on the device of logits"):
        ad.sample(inputs.logits, here, positions=0)
    with pytest.raises(ValueError, match=r"^score_grid: adaptors must be on the device of logits"):
        ad.score_grid(inputs.logits, inputs.whole, here)
    ad.score_grid(inputs.logits, inputs.whole, here.to(DEVICE))


def test_nothing_is_copied_into_a_captured_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay would read host memory that has other contents by then."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    cuda, message = torch.device("cuda"), r"^sample: adaptor must be packed on cuda before"
    for adaptor in (ONE, SEVERAL):
        with pytest.raises(ValueError, match=message):
            params.adaptor_params("sample", adaptor, (ROWS,), cuda)
    # Parameters that are there already are only read.
    known = ad.Adaptor(top_k=4)
    known._copies[cuda] = known._row
    assert params.adaptor_params("sample", known, (ROWS,), cuda) is known._row


def test_a_tracer_leaves_nothing_behind() -> None:
    """Parameters that a fake tensor stands for are not kept for later calls."""
    adaptor = ad.Adaptor(top_k=3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        ad.sample(torch.empty(2, 9, device=DEVICE), adaptor, positions=0)
    assert not adaptor._copies
    ad.sample(torch.empty(2, 9, device=DEVICE), adaptor, positions=0)
    assert list(adaptor._copies) == [DEVICE]


def test_grid_of_one_packed_adaptor() -> None:
    """One row of parameters serves as many grid entries as it was packed for."""
    logits, token = torch.randn(3, 20), torch.arange(3)
    grid = ad.score_grid(logits, token, ad.pack(ONE, 2))
    for mine, other in zip(grid, ad.score_grid(logits, token, [ONE, ONE]), strict=True):
        assert torch.equal(mine, other)
