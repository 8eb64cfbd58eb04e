"""Transfer Q* against the public algorithm of its paper on SmolLM2, CPU.

    python bench/bench_transfer_q.py --json bench/results/transfer_q-cpu.json

The public algorithm takes one prompt at a time. For every token it takes the top k of the last
logits (whose one-row cache it keeps), lets `model.generate` continue prompt + text + candidate
greedily for 20 tokens, which reads k whole prefixes again, decodes and rewards the texts, and
commits the largest logit + weight · reward. `TransferQ(compat="official")` makes the same choices
for all prompts in one batch. Model, reward, prompts and process are the same; strings and counters
are compared with the formulas before anything is reported.

Both also run on `prepack(model)`, the same weights in the blocks that oneDNN reads. The public
algorithm knows nothing of it; its own gain is shown, so that nobody takes ours for it.

Prompts are dialogues of about 100 tokens with one earlier exchange, like those of the paper's
experiments. What the public algorithm reads again grows with them: `--short` leaves the exchange
out (about 40 tokens), and the ratio falls.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import command
import pytest
import torch
from inputs import PROMPTS, REAL
from report import Load, Row

from aligndec import models
from aligndec.cli import model_store
from aligndec.cli.console import CliError
from aligndec.cli.prompts import encode
from aligndec.models import prepack
from aligndec.models.hf.compat import cache_argument, new_cache
from aligndec.rewards import TextReward
from aligndec.transfer_q import TransferQ, TransferQGeneration

K, AHEAD, TOKENS, WEIGHT = 10, 20, 16, 1.0


EARLIER = (
    "I am a bit tired today and would like to talk about something light for a while. Is that all "
    "right with you?",
    "Of course. Tell me what you are in the mood for; I will try to keep it short and pleasant.",
)


def dialogues(tokenizer: Any, count: int, short: bool) -> list[list[int]]:
    """Token ids of the first prompts, each after an earlier exchange."""
    if short:
        return encode(tokenizer, list(PROMPTS[:count]))
    roles = ("user", "assistant", "user")
    return [
        tokenizer.apply_chat_template(
            [
                {"role": role, "content": text}
                for role, text in zip(roles, (*EARLIER, prompt), strict=True)
            ],
            add_generation_prompt=True,
            return_dict=False,
        )
        for prompt in PROMPTS[:count]
    ]


def variety(texts: list[str]) -> list[float]:
    """Share of different words: cheap, so that the time is the models'."""
    words = [text.lower().split() for text in texts]
    return [len(set(w)) / max(1, len(w)) for w in words]


class Public:
    """The public algorithm, prompt by prompt."""

    def __init__(self, model: Any, reward: TextReward) -> None:
        from transformers import GenerationConfig

        self.model, self.reward = model, reward
        own = model.generation_config
        pad = own.pad_token_id
        self.config = GenerationConfig(
            max_new_tokens=AHEAD, do_sample=False, eos_token_id=own.eos_token_id, pad_token_id=pad
        )

    @torch.no_grad()
    def __call__(self, prompt: list[int], tokens: int) -> list[int]:
        text: list[int] = []
        cache = {cache_argument(self.model): new_cache(self.model)}
        out = self.model(input_ids=torch.tensor([prompt]), logits_to_keep=1, **cache)
        for _ in range(tokens):
            logits, order = out.logits[0, -1].topk(K)
            prefix = torch.tensor([prompt + text]).expand(K, -1)
            rows = torch.cat([prefix, order[:, None]], 1)
            rolled = self.model.generate(
                rows, attention_mask=torch.ones_like(rows), generation_config=self.config
            )
            texts = rolled[:, len(prompt) :].tolist()
            score = logits + WEIGHT * torch.tensor(self.reward([prompt] * K, texts))
            text.append(int(order[score.argmax()]))
            out = self.model(input_ids=torch.tensor([text[-1:]]), **cache)
        return text


def check(out: TransferQGeneration, theirs: list[list[int]], prompts: list[list[int]]) -> str:
    """Compare strings and counters; return how many strings are equal."""
    tokens = len(theirs[0])
    equal = sum(a == b for a, b in zip(out.completions(), theirs, strict=True))
    # In float32 the batch moves logits in their last bits, so a greedy rollout may take the other
    # side of a near-tie; more than one string in eight would be another algorithm.
    if equal < len(theirs) - max(1, len(theirs) // 8):
        raise AssertionError(f"bench_transfer_q: {equal} of {len(theirs)} strings are equal")
    forwards = 1 + tokens * AHEAD
    read = sum(map(len, prompts)) + len(prompts) * tokens * K * AHEAD
    if out.model_forwards > forwards or out.model_tokens > read:  # fewer where rollouts ended
        raise AssertionError(
            f"bench_transfer_q: forwards and tokens must be <= {forwards} and {read}, got "
            f"{out.model_forwards} and {out.model_tokens}"
        )
    return (
        f"{equal} of {len(theirs)} strings equal; forwards {out.model_forwards} of {forwards}, "
        f"tokens {out.model_tokens} of {read}"
    )


def measure(
    threads: int,
    *,
    tokens: int = TOKENS,
    n_prompts: int = 8,
    repeats: int = 1,
    short: bool = False,
) -> list[Row]:
    """Both algorithms on both models in turns, best of `repeats` after a first short run."""
    loaded = model_store.load(None)
    torch.set_num_threads(threads)
    prompts = dialogues(loaded.tokenizer, n_prompts, short)
    reward = TextReward(variety, loaded.tokenizer)

    def programs(model: Any) -> tuple[Callable[[int], Any], Callable[[int], Any]]:
        public, decoder = (
            Public(model, reward),
            TransferQ(
                model, reward, k=K, alpha=1 / WEIGHT, rollout_tokens=AHEAD, compat="official"
            ),
        )
        public(prompts[0], 1)
        decoder.generate(prompts, max_new_tokens=1, seed=0)
        return (
            lambda length: decoder.generate(prompts, max_new_tokens=length, seed=0),
            lambda length: [public(prompt, length) for prompt in prompts],
        )

    ours, theirs = programs(loaded.model)
    packed, their_packed = programs(prepack(loaded.model))
    calls = {"ours": ours, "theirs": theirs, "packed": packed, "their_packed": their_packed}
    best, out = dict.fromkeys(calls, float("inf")), {}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            out[name] = call(tokens)
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"prompts of {', '.join(str(len(p)) for p in prompts)} tokens")
    print(check(out["ours"], out["theirs"], prompts))
    print("prepacked:", check(out["packed"], out["their_packed"], prompts))
    shape, read = (len(prompts), K, AHEAD, tokens), sum(map(len, prompts)) // len(prompts)

    def row(a: str, b: str, model: str, other: str) -> Row:
        name = (f"k={K}, L={AHEAD}, P={read}{model}", REAL, shape, threads)
        ratio = best[b] / best[a]
        against = f"public algorithm{other}"
        return Row("transfer_q", *name, against, ratio, best[a], best[b], repeats)

    also = ", prepacked"
    return [
        row("ours", "theirs", "", ""),
        row("packed", "theirs", also, ""),
        row("packed", "their_packed", also, also),
    ]


@pytest.mark.usefixtures("_threads")
@pytest.mark.skipif(models.default_gguf() is None, reason=models.INSTALL)
def test_transfer_q(rows: list[Row]) -> None:
    rows += measure(2, tokens=2)


def main() -> int:
    parser = command.parser(__doc__, 1, "runs of each program")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens per string")
    parser.add_argument("--prompts", type=int, default=8, choices=range(1, 9))
    parser.add_argument("--short", action="store_true", help="prompts without an earlier exchange")
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    options = parser.parse_args()
    load, rows = Load(), []
    try:
        for threads in options.threads:
            rows += measure(
                threads,
                tokens=options.tokens,
                n_prompts=options.prompts,
                repeats=options.repeats,
                short=options.short,
            )
    except CliError as error:
        print(f"bench_transfer_q: {error}", file=sys.stderr)
        return 1
    return command.conclude(rows, load, options.json)


if __name__ == "__main__":
    sys.exit(main())
