"""Strings of a grammar: xgrammar's bit masks say which tokens exist, at every step.

Needs `pip install xgrammar`. SmolLM2 writes JSON objects of a schema. A mask is what `allowed=`
takes as it is (int32 words, bit v % 32 of word v // 32), so the law that is cut and drawn from is
that of the model on the tokens that the grammar allows, and `log_p` is its. What the model itself
gives the same tokens stands beside: the difference is the mass that the grammar has left.
"""

import json

import torch
import xgrammar

import aligndec as ad
from aligndec import models

PROMPT, ROWS, CAP = "A person as JSON: ", 4, 60
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 1, "maximum": 99},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)


def constrained(
    lm: ad.StepLM, prompts: torch.Tensor, grammar: xgrammar.CompiledGrammar, **kwargs: object
) -> tuple[torch.Tensor, ad.SequenceState, torch.Tensor]:
    """Draw strings of a grammar: tokens [B, T], the state with their sums, and Σ log p [B].

    The last one is under the model without the grammar.
    """
    rows, size = len(prompts), lm.vocab_size
    logits, model_state = lm.prefill(prompts, torch.ones_like(prompts, dtype=torch.bool))
    state = ad.SequenceState.start(rows, eos_token_id=lm.eos_token_id)
    matchers = [xgrammar.GrammarMatcher(grammar) for _ in range(rows)]
    mask = xgrammar.allocate_token_bitmask(rows, size)
    free, tokens = torch.zeros(rows, dtype=torch.float64), []
    for _ in range(CAP):
        for row, matcher in enumerate(matchers):
            if not matcher.is_terminated():
                matcher.fill_next_token_bitmask(mask, row)
        running = ~state.finished
        step = ad.sample(logits, state=state, allowed=mask, **kwargs)
        free += ad.score(logits, torch.where(running, step.token, -1)).log_p
        for matcher, token, runs in zip(
            matchers, step.token.tolist(), running.tolist(), strict=True
        ):
            if runs:
                matcher.accept_token(token)
        tokens.append(step.token)
        if bool(state.finished.all()):
            break
        logits, model_state = lm.step(step.token, model_state)
    return torch.stack(tokens, 1), state, free


def main() -> None:
    model, tokenizer = ad.load("demo")
    lm = ad.as_step_lm(model)
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=lm.vocab_size)
    grammar = xgrammar.GrammarCompiler(info).compile_json_schema(SCHEMA, any_whitespace=False)
    prompts = torch.tensor([tokenizer(PROMPT)["input_ids"]] * ROWS)
    adaptor = ad.Adaptor(temperature=0.8, min_p=0.05)
    with torch.no_grad():
        tokens, state, free = constrained(lm, prompts, grammar, adaptor=adaptor, seed=1)
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    for row, text in enumerate(texts):
        person = json.loads(text)
        print(
            f"{person!s:42} log p on the grammar {float(state.sum_log_p[row]):7.2f}, "
            f"of the model {float(free[row]):7.2f}"
        )


if __name__ == "__main__":
    if models.default_gguf() is None:
        print(models.INSTALL)
    else:
        main()
