"""A recurrent model behind a hand-written `StepLM`: three methods, no base class."""

import torch
from torch import Tensor, nn

import aligndec as ad
from aligndec.testing import check_step_lm


class GRULM(nn.Module):
    """A GRU language model whose state is its hidden vector, [B, width]."""

    def __init__(self, vocab_size: int = 50, width: int = 24, eos: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.cell = nn.GRUCell(width, width)
        self.head = nn.Linear(width, vocab_size)
        self.vocab_size = vocab_size
        self.eos_token_id = (eos,)
        self.device = torch.device("cpu")

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.zeros(len(ids), self.cell.hidden_size)
        for t in range(ids.shape[1]):
            new = self.cell(self.embed(ids[:, t]), state)
            state = torch.where(mask[:, t, None], new, state)  # padding leaves the state alone
        return self.head(state), state

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = self.cell(self.embed(tokens), state)
        return self.head(state), state

    def select(self, state: Tensor, index: Tensor) -> Tensor:
        return state[index]


torch.manual_seed(0)
lm = GRULM()
print("largest differences:", check_step_lm(lm))

out = ad.generate(
    lm,
    [[3, 1, 4], [1, 5, 9, 2, 6]],
    adaptor=[ad.Adaptor(top_k=10), ad.Adaptor(typical_p=0.9)],  # one per prompt
    max_new_tokens=30,
    num_return_sequences=4,
    seed=7,
)
for reason, length, log_z in zip(
    out.finish_reason, out.length.tolist(), out.log_z.tolist(), strict=True
):
    print(f"{reason:6s} {length:3d} tokens  log Z {log_z:7.3f}")
