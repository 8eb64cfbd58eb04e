"""A ten-line torch module as a language model: `FunctionLM` needs one function and no cache."""

import torch
from torch import Tensor, nn

import aligndec as ad


class BagOfTokens(nn.Module):
    """Next-token logits from the mean embedding of the prefix."""

    def __init__(self, vocab_size: int = 64, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        # The mask keeps left padding out: a padded row must have the law of the row alone.
        weight = mask[..., None].float()
        return self.head((self.embed(ids) * weight).sum(1) / weight.sum(1))


torch.manual_seed(0)
lm = ad.FunctionLM(BagOfTokens(), vocab_size=64, eos_token_id=0)
out = ad.generate(
    lm,
    [[5, 6, 7], [8]],
    adaptor=ad.Adaptor(min_p=0.4),
    max_new_tokens=20,
    num_return_sequences=2,
    seed=0,
    on_token=lambda rows, tokens: print(dict(zip(rows.tolist(), tokens.tolist(), strict=True))),
)
for completion, log_kept in zip(out.completions(), out.log_kept.tolist(), strict=True):
    print(f"log kept {log_kept:7.3f}", completion)

again = ad.generate(
    lm,
    [[8], [5, 6, 7]],
    prompt_ids=[1, 0],
    adaptor=ad.Adaptor(min_p=0.4),
    max_new_tokens=20,
    num_return_sequences=2,
    seed=0,
    batch_size=1,
)
same = again.completions() == out.completions()[2:] + out.completions()[:2]
print("other order of prompts, other batch size, same strings:", same)
