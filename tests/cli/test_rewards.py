"""Rewards of the study: VADER by hand-checked texts, a sequence classifier from a folder."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("typer")

from aligndec.cli.console import CliError
from aligndec.cli.rewards import load_reward
from aligndec.cli.toy_model import ToyTokenizer, toy_model

WORDS = ToyTokenizer.words


def ids(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


def test_vader_judges_the_completion_alone() -> None:
    pytest.importorskip("vaderSentiment")
    judge = load_reward("vader", ToyTokenizer())
    texts = ["the film was great", "the film was terrible", "the film was", "the film was great"]
    rewards = judge.score([ids("bad awful sad")] * 4, [[*ids(text), 0] for text in texts])
    assert rewards.dtype == torch.float64
    good, bad, neutral, again = rewards.tolist()
    assert good > 0.5
    assert bad < -0.4
    assert neutral == 0.0
    assert again == good


def classifier(folder: Path, labels: int) -> Path:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", *WORDS[1:]))}
    words = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]"
    )
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), num_hidden_layers=1, num_labels=labels, pad_token_id=0, **sizes
    )
    torch.manual_seed(labels)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_classifier_from_a_folder(tmp_path: Path) -> None:
    one, two = (load_reward(str(classifier(tmp_path / str(n), n)), ToyTokenizer()) for n in (1, 2))
    assert one.name == "1, output"
    assert two.name == "2, log-odds of LABEL_1"
    assert one.settings != two.settings
    prompts, texts = [ids("the film")] * 2, [ids("was great"), ids("was bad")]
    for judge in (one, two):
        first, second = judge.score(prompts, texts).tolist()
        assert first != second
        assert judge.score(prompts[:1], texts[:1]).tolist() == pytest.approx([first])


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CliError, match="--reward must be vader, or a folder or id"):
        load_reward(str(tmp_path / "empty"), ToyTokenizer())


def test_the_toy_model_is_fixed() -> None:
    model, tokenizer = toy_model()
    assert model.vocab_size == len(WORDS)
    assert model.eos_token_id == (0,)
    first = tokenizer("what a day")["input_ids"]
    assert first == tokenizer("what a day")["input_ids"]
    assert all(1 <= i < len(WORDS) for i in first)
    assert tokenizer.batch_decode([[3, 0], [0]]) == ["film", ""]
    assert tokenizer.batch_decode([[3, 0]], skip_special_tokens=False) == ["film <end>"]
