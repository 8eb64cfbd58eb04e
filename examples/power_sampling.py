"""Power sampling, p^α over whole strings, against temperature and best-of-n at equal tokens.

SmolLM2 answers small sums that a checker can verify. The law p^α of whole answers is
`Adaptor(temperature=1 / α)` with target "power": a local temperature sharpens every token by
itself, the power law sharpens answers. Every method writes as many answers as a filter has
particles, and what it reads is counted. More questions make the errors smaller.
"""

import re

import torch

import aligndec as ad
from aligndec import models

QUESTIONS, ALPHA, PARTICLES, CAP = 12, 2.0, 8, 20
SHOTS = "3 + 4 = 7. 12 + 5 = 17. 8 + 9 = 17. 21 + 6 = 27."


def questions(n: int) -> tuple[list[str], list[int]]:
    numbers = torch.randint(2, 40, (n, 2), generator=torch.Generator().manual_seed(0)).tolist()
    return [f"{SHOTS} {a} + {b} =" for a, b in numbers], [a + b for a, b in numbers]


def right(text: str, answer: int) -> bool:
    """The checker: the first whole number of the continuation is the sum."""
    found = re.search(r"\d+", text)
    return found is not None and int(found.group()) == answer


def main(n: int) -> None:
    loaded, tokenizer = ad.load("demo")
    model = ad.as_step_lm(loaded)
    prompts, answers = questions(n)
    ids = [tokenizer(text)["input_ids"] for text in prompts]
    stop = tokenizer(".")["input_ids"][-1]  # an answer is one sentence
    common = {"max_new_tokens": CAP, "eos_token_id": [stop, *model.eos_token_id]}
    cold = ad.Adaptor(temperature=1 / ALPHA)

    def accuracy(strings: ad.Generation, each: int) -> tuple[float, float]:
        texts = tokenizer.batch_decode(strings.completions())
        hits = [right(text, answers[i // each]) for i, text in enumerate(texts)]
        share = torch.tensor(hits, dtype=torch.float64).view(n, each).mean(1)
        return float(share.mean()), float(share.std() / n**0.5)

    def show(name: str, strings: ad.Generation, tokens: int) -> None:
        mean, error = accuracy(strings, len(strings) // n)
        print(f"{name:34} {mean:6.3f} ± {error:.3f}  {tokens / n:8.0f} tokens a question")

    def read(strings: ad.Generation) -> int:
        return int(strings.attention_mask.sum() + strings.length.sum() - len(strings))

    filters = ad.GlobalSampler(model, cold, method="smc", n_particles=PARTICLES, **common)
    power = filters.sample(ids, n_samples=PARTICLES, seed=1)
    for name, adaptor in (
        ("temperature 1", ad.Adaptor()),
        (f"temperature {1 / ALPHA}", cold),
        ("greedy", ad.Adaptor(temperature=0.0)),
    ):
        draws = 1 if name == "greedy" else PARTICLES
        strings = ad.generate(
            model, ids, adaptor=adaptor, num_return_sequences=draws, seed=1, **common
        )
        show(name, strings, read(strings))
        if name == "temperature 1":
            best = strings.log_p.view(n, draws).argmax(1) + draws * torch.arange(n)
            show(f"most probable of {draws}, temperature 1", strings.select(best), read(strings))
    show(f"power sampling, α = {ALPHA:g}, smc", power.samples(), power.model_tokens)
    chains = ad.GlobalSampler(model, cold, method="suffix", **common)
    moved = chains.sample(ids, n_samples=1, burn_in=PARTICLES - 1, seed=1)
    show("power sampling, suffix, 1 chain", moved.samples(), moved.model_tokens)
    collapsed = int(power.diagnostics.flags["collapsed"].sum())
    print(f"filters that descend from one first particle for the most part: {collapsed} of {n}")


if __name__ == "__main__":
    if models.default_gguf() is None:
        print(models.INSTALL)
    else:
        main(QUESTIONS)
