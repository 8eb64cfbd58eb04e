"""Tokenizers over words that need no network: with a BOS, with an EOS behind, with a template."""

import pytest

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORDS = tuple("the a film book meal day was felt very good bad sad user assistant".split())
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


def tiny_tokenizer(*, bos=True, eos=False, template=TEMPLATE, words=WORDS):
    """Words to ids in order, after the special tokens; `bos`, `eos`: what encoding a text adds."""
    vocab = {word: i for i, word in enumerate((*SPECIAL, *words))}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single=("<s> " if bos else "") + "$A" + (" </s>" if eos else ""),
        special_tokens=[("<s>", 1), ("</s>", 2)],
    )
    out = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="right",
    )
    out.chat_template = template
    return out
