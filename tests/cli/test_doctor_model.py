"""`aligndec doctor --model`: what is said of a model that works, and of one that does not."""

import pytest

pytest.importorskip("transformers")
pytest.importorskip("rich")
from support.tiny_models import tiny

from aligndec.cli import doctor_model, model_store
from aligndec.cli.console import console


def said(model, monkeypatch) -> tuple[bool, str]:
    loaded = model_store.LoadedModel(model, None, source="here")
    monkeypatch.setattr(model_store, "load", lambda name: loaded)
    with console.capture() as capture:
        works = doctor_model.examine_model("here")
    return works, " ".join(capture.get().split())


def test_a_model_that_shares_its_prompts(monkeypatch):
    works, text = said(tiny("GPT2"), monkeypatch)
    assert works
    assert "here (GPT2LMHeadModel)" in text
    assert text.count("continuations share their prompt") == 2
    assert "can be decoded with its cache" in text


def test_what_keeps_a_model_from_sharing_is_said(monkeypatch):
    works, text = said(tiny("GPT2", attn_implementation="eager"), monkeypatch)
    assert works
    assert "its keys are read by aten." in text


def test_a_model_whose_rows_depend_on_each_other_is_found(monkeypatch):
    model = tiny("GPT2")
    model.transformer.wpe.register_forward_hook(lambda module, args, out: out + out.mean(0))
    forward = model.forward

    def padded(*args, attention_mask=None, **kwargs):  # forgets its padding
        return forward(*args, **kwargs)

    model.forward = padded
    works, text = said(model, monkeypatch)
    assert not works
    assert "check_step_lm: " in text


def test_a_refused_model_is_named(monkeypatch):
    works, text = said(tiny("GPT2").train(), monkeypatch)
    assert not works
    assert "eval mode" in text
