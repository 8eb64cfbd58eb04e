"""Stop strings: found where transformers finds them, counted as drawn, kept in the file."""

import numpy as np
import pytest
import torch

import aligndec as ad
from aligndec.generation.stops import Stops, _padded, _table, as_strings, token_bytes
from aligndec.testing.table_lm import TableLM

TEXT = "stop it, stopped the stopper at the top. naïve déjà vu 🙂🙂 日本語"
TEXTS = ["<e>", "a", "b", "ab", "ba", "aab", "c", "bca", "é", " x"]
V = len(TEXTS)
LM = TableLM.random(V, order=1, eos_token_id=0, seed=5)


class Tokenizer:
    """What there is at the least: texts of tokens."""

    def __len__(self):
        return V

    def __call__(self, text, **kwargs):
        raise AssertionError("prompts are ids")

    def decode(self, ids):
        return "".join(TEXTS[i] for i in ids)

    def batch_decode(self, rows, **kwargs):
        return [self.decode(row) for row in rows]


def run(stop, lm=LM, **kwargs):
    kwargs = dict(max_new_tokens=15, num_return_sequences=12, seed=3) | kwargs
    return ad.generate(lm, [[1, 2], [7, 4]], stop_strings=stop, tokenizer=Tokenizer(), **kwargs)


def first_stop(prompt, text, stop):
    """The number of tokens up to the one in which a stop string ends, or None."""
    ends, said = [], "".join(TEXTS[i] for i in prompt)
    start = len(said)
    for token in text:
        said += TEXTS[token]
        ends.append(len(said))
    for n, (low, high) in enumerate(zip([start, *ends], ends, strict=False), 1):
        for s in stop:
            for end in range(low + 1, high + 1):
                if said[:high][max(0, end - len(s)) : end] == s:
                    return n
    return None


@pytest.mark.parametrize("stop", ["ab", "aba", "bb", "é", "x", ("abab", "cab", "ca")])
@pytest.mark.parametrize("batch_size", [None, 5])
def test_a_string_ends_where_its_text_holds_one(stop, batch_size):
    listed = (stop,) if isinstance(stop, str) else stop
    free = ad.generate(LM, [[1, 2], [7, 4]], max_new_tokens=15, num_return_sequences=12, seed=3)
    out = run(stop, batch_size=batch_size, per_token=True)
    reasons = out.finish_reason
    for row, (prompt, text) in enumerate(zip(free.prompts(), free.completions(), strict=True)):
        n = first_stop(prompt, text, listed)
        ended = n is not None and not (n == len(text) and text[-1] == 0)
        assert out.completions()[row] == (text[:n] if ended else text)
        assert reasons[row] == ("stop" if ended else free.finish_reason[row])
    assert "stop" in reasons
    assert set(reasons) != {"stop"}
    # The books are those of the tokens that were drawn, the last one included.
    assert out.length.tolist() == [len(text) for text in out.completions()]
    scores = ad.score_strings(LM, out.prompts(), out.completions())
    torch.testing.assert_close(scores.log_p[0], out.log_p, rtol=1e-12, atol=1e-12)
    assert not bool((out.finished & out.stopped).any())


def stops_of(stop, texts, rows):
    table = torch.from_numpy(_table(stop.encode(), *_padded(texts)))
    state = torch.zeros(rows, 1, dtype=torch.int64)
    return Stops(table, torch.tensor([0]), state, torch.zeros(rows).bool())


def test_nothing_to_stop_at_changes_nothing():
    free = ad.generate(LM, [[1, 2], [7, 4]], max_new_tokens=15, num_return_sequences=12, seed=3)
    out = run(["zzz"])
    assert out.completions() == free.completions()
    assert out.finish_reason == free.finish_reason
    assert free.stopped is None
    assert run([]).stopped is None


def test_the_table_is_a_search_in_the_text():
    """Random texts over two letters, whose stop strings overlap themselves."""
    g = np.random.default_rng(1)
    texts = [bytes(g.choice([97, 98], g.integers(0, 6)).tolist()) for _ in range(40)]
    for pattern in (b"a", b"ab", b"aab", b"abab", b"aabaab", b"bbbb"):
        stops = stops_of(pattern.decode(), texts, 30)
        said = [b""] * 30
        for _ in range(25):
            token = torch.from_numpy(g.integers(0, 40, 30))
            now = stops.append(token).tolist()
            for row, i in enumerate(token.tolist()):
                before, said[row] = len(said[row]), said[row] + texts[i]
                ends = range(before + 1, len(said[row]) + 1)
                assert now[row] == any(said[row][:end].endswith(pattern) for end in ends)


def test_the_file_keeps_the_reason(tmp_path):
    pytest.importorskip("pyarrow")
    out = run(["ab", "é"])
    out.save(tmp_path / "run.parquet")
    back = ad.Generation.load(tmp_path / "run.parquet")
    assert back.finish_reason == out.finish_reason
    assert torch.equal(back.stopped, out.stopped)
    assert back.stop_strings == ("ab", "é")
    assert any(text.endswith("ab") for text in back.texts())
    both = ad.Generation.concat([out, back])
    assert both.finish_reason == out.finish_reason * 2
    assert both.stop_strings == ("ab", "é")
    some = out.select(torch.tensor([3, 1]))
    assert some.finish_reason == [out.finish_reason[3], out.finish_reason[1]]


def test_what_is_refused():
    with pytest.raises(ValueError, match="generate: tokenizer must be given with stop_strings"):
        ad.generate(LM, [[1]], max_new_tokens=1, stop_strings="a")
    with pytest.raises(ValueError, match="stop_strings must be of 1 to 16384 bytes, got ''"):
        run(["a", ""])
    with pytest.raises(TypeError, match="stop_strings must be a str or several, got 3"):
        run([3])
    assert as_strings(("b", "a", "b")) == ("b", "a")


@pytest.fixture(scope="module")
def byte_level():
    """A trained byte-level tokenizer whose tokens split characters."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=320, initial_alphabet=letters)
    inner.train_from_iterator([TEXT] * 9, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner)


def test_equal_to_the_criteria_of_transformers(byte_level):
    transformers = pytest.importorskip("transformers")
    size = len(byte_level)
    texts = token_bytes(byte_level, size + 3)
    assert texts[size:] == [b""] * 3
    assert token_bytes(byte_level, size + 3) is texts
    words = byte_level("stopped naïve déjà vu 🙂日本語")["input_ids"]
    assert b"".join(texts[i] for i in words).decode() == "stopped naïve déjà vu 🙂日本語"
    for stop in ("é", "🙂", "jà v", "本"):  # also in the middle of a token, and over several
        said, ends = b"", []
        for n, i in enumerate(words):
            said += texts[i]
            ends += [n] if stop.encode() in said and not ends else []
        mine = stops_of(stop, texts, 1)
        assert [n for n, i in enumerate(words) if mine.append(torch.tensor([i])).any()][:1] == ends
    g = torch.Generator().manual_seed(2)
    # Tokens that occur in the text, so that stop strings come about.
    useful = torch.tensor(sorted({*words, *byte_level("st op top pp tt stopper")["input_ids"]}))
    ids = useful[torch.randint(0, len(useful), (200, 12), generator=g)]
    found = 0
    for stop in ("stop", "top", " st", "pp", "tt"):
        criterion = transformers.StopStringCriteria(byte_level, [stop])
        mine = stops_of(stop, texts, 200)
        for t in range(12):
            now = mine.append(ids[:, t])
            assert torch.equal(now, criterion(ids[:, : t + 1], None))
            found += int(now.sum())
    assert found > 50
