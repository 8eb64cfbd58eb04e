"""Text in, text out: strings, chats and encodings give the same ids; one BOS, no EOS."""

import pytest
import torch

import aligndec as ad
from aligndec import transfer_q
from aligndec.generation import read_prompts

pytest.importorskip("transformers")
from support.tiny_models import tiny
from support.tiny_tokenizers import SPECIAL, WORDS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SIZE = len(SPECIAL) + len(WORDS)
TEXTS = ["the film was", "a very sad book"]
IDS = [[1, 4, 6, 10], [1, 5, 12, 15, 7]]
CHAT = [{"role": "user", "content": "the film"}]


def ids_of(given, tokenizer=TOKENIZER, mask=None):
    return read_prompts("f", tokenizer, given, mask).input_ids


def test_strings_chats_and_encodings():
    assert ids_of(TEXTS[0]) == IDS[:1]
    assert ids_of(TEXTS) == ids_of(tuple(TEXTS)) == IDS
    assert ids_of(CHAT) == ids_of([CHAT]) == [[1, 16, 4, 6, 17]]
    assert ids_of(TOKENIZER(TEXTS)) == IDS
    assert ids_of([TOKENIZER(text) for text in TEXTS]) == IDS
    assert ids_of(TOKENIZER(TEXTS[0])) == IDS[:1]
    # Padded on the right, as this tokenizer does: its mask says which tokens are real.
    padded = TOKENIZER(TEXTS, padding=True, return_tensors="pt")
    assert not padded["attention_mask"].all()
    assert ids_of(padded) == ids_of(TOKENIZER(TEXTS, padding=True)) == IDS
    assert ids_of([TEXTS[0], CHAT, [3, 3]]) == [IDS[0], [1, 16, 4, 6, 17], [3, 3]]


def test_ids_stay_as_they_are():
    assert ids_of(IDS) is IDS
    tensor = torch.tensor([[1, 1, 2]])
    assert ids_of(tensor) is tensor
    assert ids_of(TEXTS, tokenizer=None) is TEXTS


def test_an_answer_that_was_begun_goes_on():
    begun = [*CHAT, {"role": "assistant", "content": "very good"}]
    assert ids_of([begun]) == [[1, 16, 4, 6, 17, 12, 13]]


def test_one_bos_and_no_eos():
    both, without = tiny_tokenizer(eos=True), tiny_tokenizer(bos=False)
    assert both(TEXTS[0])["input_ids"] == [*IDS[0], 2]  # what it adds by itself
    assert ids_of(TEXTS, both) == ids_of(both(TEXTS), both) == IDS
    assert ids_of(TEXTS, without) == [row[1:] for row in IDS]
    # A text that brings its BOS, and one that went through the template before.
    twice = [f"<s> {TEXTS[0]}", TOKENIZER(f"<s> {TEXTS[0]}")]
    assert twice[1]["input_ids"][:2] == [1, 1]
    assert ids_of(twice) == [IDS[0]] * 2
    assert ids_of("", both) == ids_of("", without) == [[1]]
    # An EOS that the text itself ends with is part of it, where none is added.
    assert ids_of("the film </s>") == [[1, 4, 6, 2]]


@pytest.mark.parametrize(
    ("given", "tokenizer", "error", "match"),
    [
        (
            CHAT,
            tiny_tokenizer(template=None),
            ValueError,
            r"input_ids\[0\] must be .*chat_template",
        ),
        (
            CHAT,
            tiny_tokenizer(template="{{ 1 // 0 }}"),
            ValueError,
            r"input_ids\[0\] must .*ZeroDiv",
        ),
        ({"text": "the"}, TOKENIZER, TypeError, r"input_ids\[0\] must be .* got dict with text"),
        (TEXTS, object(), TypeError, "tokenizer must be callable .* got object"),
    ],
)
def test_what_cannot_be_read_is_named(given, tokenizer, error, match):
    with pytest.raises(error, match=f"^f: {match}"):
        ids_of(given, tokenizer)


def test_a_mask_beside_text_is_refused():
    with pytest.raises(ValueError, match="attention_mask must be None when input_ids is text"):
        ids_of(TEXTS, mask=torch.ones(2, 4))


def test_text_through_generate(tmp_path):
    model = tiny("Llama", vocab_size=SIZE)
    kwargs = dict(max_new_tokens=6, num_return_sequences=3, seed=4)
    out = ad.generate(model, TEXTS, tokenizer=TOKENIZER, **kwargs)
    bare = ad.generate(model, IDS, **kwargs)
    assert torch.equal(out.tokens, bare.tokens)
    assert torch.equal(out.log_q, bare.log_q)
    decoded = TOKENIZER.batch_decode(bare.completions(), skip_special_tokens=True)
    assert out.texts() == bare.texts(TOKENIZER) == decoded
    assert out.prompt_texts() == [text for text in TEXTS for _ in range(3)]
    assert bare.prompt_texts(TOKENIZER) == out.prompt_texts()
    assert out.select(torch.tensor([4, 0])).texts() == [decoded[4], decoded[0]]
    chat = ad.generate(model, [CHAT], tokenizer=TOKENIZER, max_new_tokens=1)
    assert chat.prompt_texts() == ["user the film assistant"]
    with pytest.raises(ValueError, match=r"Generation\.texts: tokenizer must be given"):
        bare.texts()


def test_text_through_score_strings():
    model = tiny("Llama", vocab_size=SIZE)
    words = ["very good", "sad"]
    told = ad.score_strings(model, TEXTS, words, tokenizer=tiny_tokenizer(eos=True))
    ids = ad.score_strings(model, IDS, [[12, 13], [15]])
    assert all(torch.equal(a, b) for a, b in zip(told, ids, strict=True))
    assert (told.texts(), told.prompt_texts()) == (words, TEXTS)
    assert told.to_dict()["text"] == words
    with pytest.raises(ValueError, match=r"StringScores\.texts: .*given a tokenizer"):
        ids.texts()


@pytest.mark.parametrize("method", ["imh", "rejection", "sir", "smc", "pimh", "suffix"])
def test_text_through_the_global_sampler(method):
    model = tiny("Llama", vocab_size=SIZE)
    kwargs = dict(method=method, max_new_tokens=3)
    law, call = ad.Adaptor(temperature=0.9), dict(n_samples=2, seed=1)
    told = ad.GlobalSampler(model, law, tokenizer=TOKENIZER, **kwargs).sample(TEXTS, **call)
    bare = ad.GlobalSampler(model, law, **kwargs).sample(IDS, **call)
    assert torch.equal(told.index, bare.index)
    assert told.samples().completions() == bare.samples().completions()
    assert told.texts() == bare.texts(TOKENIZER)
    assert told.prompt_texts() == [text for text in TEXTS for _ in range(2)]


def decoders():
    def reward(prompts, completions):
        return [float(sum(completion)) for completion in completions]

    yield lambda model, **kw: transfer_q.TransferQ(model, reward, k=3, rollout_tokens=2, **kw)
    yield lambda model, **kw: transfer_q.Args(model, reward, k=3, **kw)
    yield lambda model, **kw: transfer_q.ControlledDecoding(
        model, reward, k=3, rollout_tokens=2, **kw
    )
    yield lambda model, **kw: transfer_q.BestOfN(model, reward, n=3, **kw)
    yield lambda model, **kw: transfer_q.BlockwiseBestOfN(model, reward, n=3, block_size=2, **kw)


@pytest.mark.parametrize("build", list(decoders()))
def test_text_through_decoding_with_a_reward(build):
    model = tiny("Llama", vocab_size=SIZE)
    told = build(model, tokenizer=TOKENIZER).generate(TEXTS, max_new_tokens=3, seed=1)
    bare = build(model).generate(IDS, max_new_tokens=3, seed=1)
    assert told.completions() == bare.completions()
    assert told.texts() == bare.texts(TOKENIZER)
    assert told.prompt_texts() == TEXTS
