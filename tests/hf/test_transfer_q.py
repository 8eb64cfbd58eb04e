"""Transfer Q* on transformers' models: cached equals uncached, batched single, padded unpadded."""

import pytest
import torch
from support.tiny_models import V, tiny, tiny_or_skip

import aligndec as ad
from aligndec import transfer_q as tq

transformers = pytest.importorskip("transformers")
KINDS = ("Llama", "Mistral", "Mamba")
PROMPTS = [[5, 9, 33, 4], [7], [11, 12, 3]]


def uncached(model) -> ad.FunctionLM:
    """The same model without any cache: the whole prefix at every step."""

    def logits(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        rows = [
            model(input_ids=row[real][None], use_cache=False).logits[0, -1]
            for row, real in zip(ids, mask, strict=True)
        ]
        return torch.stack(rows)

    return ad.FunctionLM(logits, vocab_size=V, eos_token_id=2)


def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [sum((7 * x) % 11 for x in text) / 11 / len(text) for text in texts]


def other(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [sum((5 * x) % 7 for x in text) / 7 / len(text) for text in texts]


SAMPLED = {"rollout": "sample", "n_rollouts": 2}
OPTIONS = {
    "greedy": {},
    "indirect": {**SAMPLED, "mode": "indirect", "beta": 0.3, "baseline_reward": other},
    "block": {**SAMPLED, "block_size": 2},
    "adaptor": {**SAMPLED, "rollout_adaptor": ad.Adaptor(temperature=0.7, top_k=9)},
    "secret": {**SAMPLED, "mode": "soft", "beta": 0.3, "sft": "Llama"},
    "value": {"value_fn": lambda p, c, z: (z % 5).double() / 5},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_caches_batches_and_padding_change_no_token(kind: str, option: str) -> None:
    if kind != "Llama" and option not in ("greedy", "block"):
        pytest.skip("one kind of cache is enough for what only the rewards see")
    model, options = tiny_or_skip(kind), dict(OPTIONS[option])
    second = dict(options)
    if "sft" in options:
        options["sft"] = tiny("Llama", 1)
        second["sft"] = uncached(options["sft"])
    base = {"k": 4, "rollout_tokens": 3, "alpha": 0.2}
    cached = tq.TransferQ(model, reward, **base, **options)
    plain = tq.TransferQ(uncached(model), reward, **base, **second)
    run = {"max_new_tokens": 5, "seed": 2, "eos_token_id": 2, "pad_token_id": 0}
    a, b = cached.generate(PROMPTS, **run), plain.generate(PROMPTS, **run)
    assert torch.equal(a.tokens, b.tokens)
    torch.testing.assert_close(a.log_alg, b.log_alg, rtol=0, atol=1e-4)
    if "sft" not in options:  # which scores blocks where the model can
        assert (a.model_forwards, a.model_tokens) == (b.model_forwards, b.model_tokens)
    for i, prompt in enumerate(PROMPTS):
        alone = cached.generate([prompt], prompt_ids=[i], **run)
        assert alone.completions() == a.completions()[i : i + 1]
    draws = {**run, "num_return_sequences": 2}
    whole = cached.generate(PROMPTS, **draws)
    for batch_size in (1, 3, 4):
        split = cached.generate(PROMPTS, batch_size=batch_size, **draws)
        assert torch.equal(split.tokens, whole.tokens)
        torch.testing.assert_close(split.log_alg, whole.log_alg, rtol=0, atol=1e-4)
    wide = torch.zeros(1, 9, dtype=torch.int64)
    wide[0, -4:] = torch.tensor(PROMPTS[0])
    padded = cached.generate(wide, (wide > 0).long(), **run)
    assert padded.completions() == a.completions()[:1]


def test_the_prefix_is_read_once() -> None:
    model = tiny("Llama")
    widths = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    out = tq.TransferQ(model, reward, k=3, rollout_tokens=4).generate(
        PROMPTS, max_new_tokens=4, eos_token_id=()
    )
    hook.remove()
    assert widths[0] == (3, 4)
    assert widths[1:] == [(9, 1)] * 16
    assert out.model_forwards == len(widths)


@pytest.mark.parametrize("length", [3, 40])  # short and long prefixes are kept in different ways
@pytest.mark.parametrize("kind", ["Llama", "Mamba"])
def test_every_string_may_end_with_bad_logits(kind: str, length: int) -> None:
    model = tiny_or_skip(kind)
    torch.nn.init.constant_(model.get_output_embeddings().weight, torch.nan)
    decoder = tq.TransferQ(model, lambda prompts, texts: [0.0] * len(texts), k=3, rollout_tokens=2)
    for batch_size in (None, 1):
        out = decoder.generate(
            [[5] * length, [7]], max_new_tokens=3, num_return_sequences=2, batch_size=batch_size
        )
        assert out.finish_reason == ["error"] * 4
        assert out.length.tolist() == [0] * 4


def test_official_choices_against_the_public_algorithm() -> None:
    """Re-prefill, one prompt, transformers' own greedy generate: the same tokens."""
    model = tiny("Llama")
    k, ahead, steps, weight = 4, 5, 6, 2.0
    config = transformers.GenerationConfig(
        max_new_tokens=ahead, do_sample=False, eos_token_id=2, pad_token_id=0
    )
    decoder = tq.TransferQ(
        model, reward, k=k, rollout_tokens=ahead, alpha=1 / weight, compat="official"
    )
    out = decoder.generate(PROMPTS, max_new_tokens=steps)
    for prompt, text in zip(PROMPTS, out.completions(), strict=True):
        mine: list[int] = []
        for _ in range(steps):
            ids = torch.tensor([prompt + mine])
            logits, order = model(input_ids=ids).logits[0, -1].detach().topk(k)
            rows = torch.cat([ids.expand(k, -1), order[:, None]], 1)
            rolled = model.generate(
                rows, attention_mask=torch.ones_like(rows), generation_config=config
            )
            texts = []
            for row in rolled[:, len(prompt) :].tolist():
                tail = row[len(mine) + 1 :]
                end = tail.index(2) + 1 if 2 in tail else len(tail)
                texts.append(row[: len(mine) + 1] + tail[:end])
            score = logits + weight * torch.tensor(reward([], texts))
            mine.append(int(order[score.argmax()]))
        assert text == mine
    indirect = tq.TransferQ(
        *(model, reward),
        mode="indirect",
        baseline_reward=other,
        beta=2.0,
        compat="official",
        rollout_tokens=5,
    )
    assert indirect.generate(PROMPTS, max_new_tokens=3).length.tolist() == [3, 3, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_shared_prefixes_in_parts(kind: str) -> None:
    torch.manual_seed(1)
    prompts = [torch.randint(3, V, (n,)).tolist() for n in (40, 33, 36)]
    decoder = tq.TransferQ(tiny_or_skip(kind), reward, k=4, rollout_tokens=3, **SAMPLED)
    run = {"max_new_tokens": 4, "num_return_sequences": 3, "seed": 0}
    whole = decoder.generate(prompts, **run)
    for batch_size in (1, 2, 3, 7):
        split = decoder.generate(prompts, batch_size=batch_size, **run)
        assert torch.equal(split.tokens, whole.tokens)
        torch.testing.assert_close(split.log_alg, whole.log_alg, rtol=0, atol=1e-4)
