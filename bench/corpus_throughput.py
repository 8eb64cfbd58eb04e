"""Throughput of a shard: continuous batching, fixed batches of `generate`, `model.generate`.

    python bench/corpus_throughput.py --prompts 256 --draws 4 --slots 16 --cap 128

Prompts of SmolLM2-135M-Instruct, 8 to 256 tokens, in an order that has nothing to do with their
lengths; strings end by the model's end token, or at the cap. Prints one JSON object a line. Rates
are per second of CPU time, which other work on the machine disturbs least: set OMP_NUM_THREADS=1.
"""

import argparse
import json
import random
import time

import torch

import aligndec as ad
from aligndec.generation import generate_refilled
from aligndec.models import prepack

WORDS = "the light house keeper wrote about rain, boats and an old clock that nobody wound".split()
ASKED = ("Answer in one word.", "Say hello.", "Is it true? Yes or no.", "Give a short title.")


def prompts(tokenizer, count, seed=0):
    """Chats of 8 to 256 tokens, by a log-uniform length."""
    rng, out = random.Random(seed), []
    while len(out) < count:
        wanted = int(8 * 32 ** rng.random())
        words = [rng.choice(WORDS) for _ in range(max(0, wanted - 24))]
        text = " ".join([*words, rng.choice(ASKED)])
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
        )
        ids = ids if wanted >= 32 else tokenizer(text)["input_ids"] + ids[-3:]
        out.append(list(ids)[-256:])
    return out


def main():
    parser = argparse.ArgumentParser()
    for name, value in dict(prompts=256, draws=4, slots=16, cap=128).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    model, tokenizer = ad.load(options.model)
    plain, model = model, prepack(model)
    ids = prompts(tokenizer, options.prompts)
    run = dict(max_new_tokens=options.cap, seed=0, num_return_sequences=options.draws)
    lengths = [len(row) for row in ids]
    head = {"strings": len(ids) * options.draws, "prompt tokens": [min(lengths), max(lengths)]}
    print(json.dumps({**vars(options), **head, "threads": torch.get_num_threads()}), flush=True)

    def refilled():
        return generate_refilled(model, ids, slots=options.slots, **run)

    def fixed():
        return ad.generate(model, ids, batch_size=options.slots, **run)

    rates = {}
    for name, work in {"refilled": refilled, "generate": fixed}.items():
        start = time.process_time()
        out = work()
        seconds = time.process_time() - start
        tokens = int(out.length.sum())
        rates[name] = tokens / seconds
        ended = float(out.finished.float().mean())
        said = {"arm": name, "CPU seconds": seconds, "tokens": tokens, "ended by EOS": ended}
        print(json.dumps({**said, "tokens/s": rates[name]}), flush=True)
    start, tokens = time.process_time(), 0
    torch.manual_seed(0)
    tokenizer.padding_side = "left"
    per_batch = max(1, options.slots // options.draws)
    ends = (
        set(model.generation_config.eos_token_id or ())
        if isinstance(model.generation_config.eos_token_id, list)
        else {model.generation_config.eos_token_id}
    )
    for first in range(0, len(ids), per_batch):
        batch = tokenizer.pad({"input_ids": ids[first : first + per_batch]}, return_tensors="pt")
        with torch.no_grad():
            out = plain.generate(
                **batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=options.cap, num_return_sequences=options.draws,
            )  # fmt: skip
        for row in out[:, batch["input_ids"].shape[1] :].tolist():
            end = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            tokens += end
    seconds = time.process_time() - start
    rates["model.generate"] = tokens / seconds
    said = {"arm": "model.generate", "CPU seconds": seconds, "tokens": tokens}
    print(json.dumps({**said, "tokens/s": rates["model.generate"]}), flush=True)
    for name in ("generate", "model.generate"):
        print(json.dumps({f"refilled / {name}": rates["refilled"] / rates[name]}), flush=True)


if __name__ == "__main__":
    main()
