"""A model that counts what it is asked for."""


class Counting:
    """Counts the rows that the model is asked for."""

    def __init__(self, lm):
        self.lm, self.vocab_size, self.eos_token_id = lm, lm.vocab_size, lm.eos_token_id
        self.device, self.prompts, self.steps = lm.device, [], []

    def prefill(self, ids, mask):
        self.prompts.append(len(ids))
        return self.lm.prefill(ids, mask)

    def step(self, tokens, state):
        self.steps.append(len(tokens))
        return self.lm.step(tokens, state)

    def select(self, state, index):
        return self.lm.select(state, index)
