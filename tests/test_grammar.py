"""The example with a grammar: its strings are the grammar's, its books those of the masked law."""

import re
import runpy
from pathlib import Path

import pytest
import torch

import aligndec as ad
from aligndec.testing.table_lm import TableLM

xgrammar = pytest.importorskip("xgrammar")

TEXTS = ["", "a", "b", "ab", "ba", "(", ")", "((", "x", "))"]  # 0 ends a string
V, CAP = len(TEXTS), 60
LM = TableLM.random(V, order=1, eos_token_id=0, seed=5)
EBNF = 'root ::= "(" "a"+ ")" | "(" root ")"'
WORD = re.compile(r"\(+a+\)+")


def test_strings_and_books_are_those_of_the_grammar():
    example = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "grammar.py"))
    info = xgrammar.TokenizerInfo(TEXTS, vocab_size=V, stop_token_ids=[0])
    grammar = xgrammar.GrammarCompiler(info).compile_grammar(EBNF)
    prompts = torch.ones(200, 1, dtype=torch.int64)
    adaptor = ad.Adaptor(temperature=1.3, top_p=0.95)
    with torch.no_grad():
        tokens, state, free = example["constrained"](LM, prompts, grammar, adaptor=adaptor, seed=1)
    ended = state.finished
    assert int(ended.sum()) > 150
    for row in ended.nonzero()[:, 0].tolist():
        ids = tokens[row, : int(state.length[row])].tolist()
        text = "".join(TEXTS[i] for i in ids)
        assert WORD.fullmatch(text)
        assert text.count("(") == text.count(")")
        # The law by hand: the model's on the tokens that a fresh matcher allows.
        matcher, log_p, full, before = xgrammar.GrammarMatcher(grammar), 0.0, 0.0, 1
        for token in ids:
            mask = xgrammar.allocate_token_bitmask(1, V)
            matcher.fill_next_token_bitmask(mask, 0)
            there = [bool(int(mask[0, 0]) >> v & 1) for v in range(V)]
            x = LM.table[before].double()
            full += float(x.log_softmax(0)[token])
            log_p += float(x.masked_fill(~torch.tensor(there), -torch.inf).log_softmax(0)[token])
            assert matcher.accept_token(token)
            before = token
        assert float(state.sum_log_p[row]) == pytest.approx(log_p, abs=1e-5)
        assert float(free[row]) == pytest.approx(full, abs=1e-5)
    # The control: without the mask hardly a string is a word of the grammar.
    plain = ad.generate(LM, [[1]], num_return_sequences=200, max_new_tokens=CAP, seed=1)
    words = ["".join(TEXTS[i] for i in ids) for ids in plain.completions()]
    assert sum(WORD.fullmatch(word) is not None for word in words) < 20
