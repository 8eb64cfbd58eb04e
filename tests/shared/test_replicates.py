"""Resampling a few replicates at a time: the same numbers, and memory that does not grow."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aligndec import tradeoff
from aligndec.plots.frontier import bootstrap_mean
from aligndec.shared import replicates
from aligndec.shared.replicates import at_a_time


def of_mean(rows: int) -> Tensor:
    return torch.tensor(bootstrap_mean(torch.randn(rows)))


def of_corpora(rows: int) -> Tensor:
    values = torch.randn(rows, 2).double()
    return tradeoff.bootstrap_corpora(values, n_corpora=500, corpus_size=300, seed=3)


def of_correlations(rows: int) -> Tensor:
    x, y = torch.randn(2, rows).double()
    interval = tradeoff.correlation_intervals(x, x + y, torch.arange(rows) % 3, n_bootstrap=500)
    return torch.stack([interval.string, *interval.within, interval.between, interval.pooled])


def of_centres(rows: int) -> Tensor:
    study = pytest.importorskip("aligndec.cli.tradeoff.results", exc_type=ImportError)
    weight, values = torch.randn(2, rows // 2).double(), torch.randn(2, rows // 2, 3).double()
    pool = SimpleNamespace(log_weight=lambda *_: weight, values=lambda: values)
    found = [SimpleNamespace(pool=pool, scheme=SimpleNamespace(temperature=1.0))] * 2
    return study._redrawn_centres(found, "aligned", 1.0, seed=2)


CASES = [of_mean, of_corpora, of_correlations, of_centres]


@pytest.mark.parametrize("case", CASES)
def test_how_replicates_are_split_does_not_matter(
    case: Callable[[int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    whole = case(90)
    monkeypatch.setattr(replicates, "_ENTRIES", 7 * 90)
    torch.manual_seed(1)
    torch.testing.assert_close(case(90), whole, rtol=1e-14, atol=1e-14)


class Largest(TorchDispatchMode):
    """The most numbers in a tensor that any operation returned."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [t.numel() for t in tree_leaves(out) if isinstance(t, Tensor)]
        self.numbers = max(self.numbers, *sizes, 0)
        return out


@pytest.mark.parametrize("case", CASES)
def test_no_tensor_holds_all_replicates(case: Callable[[int], Tensor]) -> None:
    with Largest() as seen:
        case(20_000)
    assert 20_000 <= seen.numbers <= 4 * replicates._ENTRIES
    # Negative control: the tensor of all indices is far above that bound, and would be seen.
    with Largest() as seen:
        torch.randint(9, (500, 20_000))
    assert seen.numbers == 500 * 20_000 > 4 * replicates._ENTRIES


@pytest.mark.parametrize(("count", "size"), [(0, 5), (1, 1), (7, 1 << 30), (10, 0), (999, 12345)])
def test_batches(count: int, size: int) -> None:
    parts = list(at_a_time(count, size))
    assert sum(parts) == count
    assert all(0 < some and (some == 1 or some * size <= replicates._ENTRIES) for some in parts)
