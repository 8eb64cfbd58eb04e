"""Rewards over token ids: texts, classifiers, pairs of models."""

import pytest
import torch

import aligndec as ad
from aligndec import rewards
from aligndec import transfer_q as tq
from aligndec.testing.table_lm import TableLM


class Letters:
    """A tokenizer whose ids are letters; id 0 is special."""

    def __init__(self) -> None:
        self.decoded = 0

    def batch_decode(self, rows: list[list[int]], *, skip_special_tokens: bool) -> list[str]:
        self.decoded += len(rows)
        keep = (lambda i: i) if skip_special_tokens else (lambda i: True)
        return ["".join(chr(96 + i) for i in row if keep(i)) for row in rows]


def test_functions_of_texts() -> None:
    tokenizer = Letters()
    alone = rewards.TextReward(lambda texts: [len(t) for t in texts], tokenizer)
    assert alone([[1], [2]], [[3, 4, 0], [3]]) == [2, 1]
    pair = rewards.TextReward(
        lambda ps, ts: [p + t for p, t in zip(ps, ts, strict=True)], tokenizer
    )
    assert pair([[1], [2]], [[3, 4, 0], [3]]) == ["acd", "bc"]
    kept = rewards.TextReward(lambda texts: texts, tokenizer, skip_special_tokens=False)
    assert kept([[1]], [[3, 0]]) == ["c`"]


def test_equal_ids_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Letters()
    reward = rewards.TextReward(lambda texts: [len(t) for t in texts], tokenizer)
    for _ in range(3):
        reward([[1]] * 4, [[2, 2], [2, 2], [3], [2, 2]])
    assert tokenizer.decoded == 2
    monkeypatch.setattr("aligndec.rewards.functions._REMEMBERED", 1)
    assert reward([[1]] * 2, [[5], [6]]) == [1, 1]
    assert len(reward._decode._known) == 1


def test_log_ratio_has_the_sign_of_the_aligned_model() -> None:
    aligned, prior = (TableLM.random(5, order=1, eos_token_id=0, seed=s) for s in (1, 2))
    texts = [[2, 3, 0], [4], [1, 1, 1, 1]]
    got = rewards.LogRatioReward(aligned, prior, 0.3)([[1]] * 3, texts)
    for value, text in zip(got, texts, strict=True):
        log_p = [
            sum(
                float(lm.table[a].double().log_softmax(0)[b])
                for a, b in zip([1, *text], text, strict=False)
            )
            for lm in (aligned, prior)
        ]
        assert value == pytest.approx(0.3 * (log_p[0] - log_p[1]), abs=1e-6)
    # Decoding the prior with it leads towards the aligned model's strings.
    decoder = tq.TransferQ(prior, rewards.LogRatioReward(aligned, prior), alpha=1.0, k=5)
    out = decoder.generate([[1]], max_new_tokens=5)
    assert out.reward.isfinite().all()


def classifier(labels: int, pad: int | None = 0):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=31,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_labels=labels,
        pad_token_id=pad,
    )
    return transformers.LlamaForSequenceClassification(config).eval()


@pytest.mark.parametrize("labels", [1, 2, 3])
@pytest.mark.parametrize("pad", [0, None])
def test_classifiers(labels: int, pad: int | None) -> None:
    model = classifier(labels, pad)
    prompts, texts = [[5, 6], [7], [5, 6], [9]], [[1], [2, 3, 4], [8], [4]]
    got = rewards.SequenceClassifierReward(model, None, batch_size=2)(prompts, texts)
    for value, prompt, text in zip(got, prompts, texts, strict=True):
        logits = model(input_ids=torch.tensor([prompt + text])).logits[0].detach().double()
        want = logits[0] if labels == 1 else logits.log_softmax(0)[-1]
        if labels > 1:
            want = want - (1 - want.exp()).log()
        assert value == pytest.approx(float(want), abs=1e-5)
    if labels > 1:
        first = rewards.SequenceClassifierReward(model, None, label=0)(prompts, texts)
        assert first != got


def test_a_classifier_with_its_own_tokenizer() -> None:
    class Shifted:
        def __call__(self, texts: list[str]) -> dict[str, list[list[int]]]:
            return {"input_ids": [[ord(c) - 95 for c in text] for text in texts]}

    model = classifier(1)
    other = rewards.SequenceClassifierReward(model, Shifted(), lm_tokenizer=Letters())
    same = rewards.SequenceClassifierReward(model, None)
    assert other([[5], [6, 7]], [[1, 0], [2]]) == same([[6], [7, 8]], [[2], [3]])


def test_refusals() -> None:
    with pytest.raises(TypeError, match="fn must be callable"):
        rewards.TextReward(3, Letters())
    with pytest.raises(TypeError, match="tokenizer must have batch_decode"):
        rewards.TextReward(len, 3)
    with pytest.raises(TypeError, match=r"\(prompts, completions\), got 3 parameters"):
        rewards.TextReward(lambda a, b, c: a, Letters())
    with pytest.raises(ValueError, match="beta must be > 0"):
        rewards.LogRatioReward(TableLM.random(3), TableLM.random(3), 0.0)
    with pytest.raises(ValueError, match=r"label must be in \[0, 2\), got 2"):
        rewards.SequenceClassifierReward(classifier(2), None, label=2)
    with pytest.raises(ValueError, match="eval mode"):
        rewards.SequenceClassifierReward(classifier(2).train(), None)
    decoder = tq.Args(TableLM.random(3, eos_token_id=()), rewards.TextReward(len, Letters()), k=2)
    with pytest.raises(ad.RewardError, match="one number per item"):
        decoder.generate([[1]], max_new_tokens=2)
