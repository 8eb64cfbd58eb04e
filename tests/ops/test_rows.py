"""Raw ops look at the indices that they are given."""

import pytest
import torch

import aligndec as ad

pytestmark = pytest.mark.skipif(
    ad.build_info()["backend"] != "native", reason="the kernels are not built"
)


@pytest.mark.parametrize("wrong", [[0, 2], [-1, 0], [0, 2**40]])
def test_rows_outside_of_the_logits_are_refused(wrong: list[int]) -> None:
    from aligndec.step.packed import row_of

    logits = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    params, tokens = row_of(ad.Adaptor()), torch.tensor([1, 2])
    score = torch.ops.aligndec.adaptor_score
    good = score(logits, params, None, 16, tokens, torch.tensor([1, 0]))
    swapped = score(logits.flip(0), params, None, 16, tokens, torch.tensor([0, 1]))
    assert torch.equal(good[1], swapped[1])
    with pytest.raises(ValueError, match=r"rows must be in \[0, 2\), got"):
        score(logits, params, None, 16, tokens, torch.tensor(wrong))
    heads = [torch.ones(2, dtype=torch.float64) for _ in range(3)]
    status, cut = good[8], good[9]
    with pytest.raises(ValueError, match=r"rows must be in \[0, 2\), got"):
        torch.ops.aligndec.adaptor_score_backward(
            *(*heads, logits, params, None, 16, tokens, torch.tensor(wrong), cut, status)
        )
