"""Decoding with a reward on a model that can be enumerated: how close each method comes, offline.

The optimum for a KL budget is the tilted law p · exp(β r); every method gets more reward for more
KL, and none can pass it.
"""

import functools
import math

import torch

from aligndec import best_of_n, tilting
from aligndec import transfer_q as tq
from aligndec.testing import TableLM, enumerate_strings

lm = TableLM.random(6, eos_token_id=0, seed=1)
prompt, length, draws = [3], 4, 500


def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [sum(math.sin(2 * i + x) for i, x in enumerate(text[:length])) for text in texts]


strings = enumerate_strings(lm, prompt, length)
r = torch.tensor(reward([], strings.completions()), dtype=torch.float64)


def best_reward(kl: float) -> float:
    """Largest mean reward at this KL from the model."""
    return float(tilting.solve_beta_for_kl(strings.log_p, r, max(kl, 0.0)).reward)


@functools.cache
def expected_reward(text: tuple[int, ...]) -> float:
    """Mean reward of the model's own strings from here on: what a value head would learn."""
    starts = (strings.tokens[:, : len(text)] == torch.tensor(text)).all(1)
    return float((strings.log_p[starts].softmax(0) * r[starts]).sum())


def value_head(prompts: list[list[int]], texts: list[list[int]], ids: torch.Tensor):
    rows = zip(texts, ids.tolist(), strict=True)
    return torch.tensor([[expected_reward((*text, z)) for z in row] for text, row in rows])


# k = 6 candidates are the whole vocabulary; rollouts reach the end of the string.
rolled = {"k": 6, "rollout_tokens": length - 1, "rollout": "sample", "n_rollouts": 8}
methods = {
    "plain sampling": tq.TransferQ(lm, reward, k=6, rollout_tokens=0, alpha=math.inf),
    "ARGS, sampled": tq.Args(lm, reward, k=6, alpha=1.0, select="sample"),
    "Transfer Q* direct": tq.TransferQ(lm, reward, alpha=1.0, **rolled),
    "Transfer Q* soft": tq.TransferQ(lm, reward, alpha=1.0, mode="soft", beta=1.0, **rolled),
    "  gate at 1.4 nats": tq.TransferQ(lm, reward, alpha=1.0, gate_entropy=1.4, **rolled),
    "  blocks of 2": tq.TransferQ(lm, reward, alpha=1.0, block_size=2, **rolled),
    "  rollouts of 1 token": tq.TransferQ(lm, reward, alpha=1.0, **{**rolled, "rollout_tokens": 1}),
    "  value head": tq.TransferQ(lm, reward, alpha=1.0, k=6, value_fn=value_head),
    "best of 4": tq.BestOfN(lm, reward, n=4),
    "best of 4, by blocks": tq.BlockwiseBestOfN(lm, reward, n=4, block_size=2, rollout_tokens=2),
}
bound = float(best_of_n.kl_bound(4))  # KL of the best of 4 draws from the model, at most
choices = {"best of 4": 1, "best of 4, by blocks": 2}
print(f"{'':22} reward  KL at most  optimum there  forwards  tokens per string")
for name, decoder in methods.items():
    out = decoder.generate([prompt], max_new_tokens=length, num_return_sequences=draws, seed=0)
    mean = float(out.reward.mean())
    # The books hold the KL on the candidates; the mass outside of them is the rest.
    kl = choices[name] * bound if name in choices else float((out.kl - out.log_kept).mean())
    print(
        f"{name:22} {mean:6.3f}  {kl:10.3f}  {best_reward(kl):13.3f}  {out.model_forwards:8d}  "
        f"{out.model_tokens / draws:17.1f}"
    )
