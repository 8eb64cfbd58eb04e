"""Transfer Q* by enumeration, from its definitions: plain sums over strings, no package code.

A toy is a model over V tokens whose strings end at an end token or at length T, with a reward for
every string. Everything is float64 and a function of the prefix.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from support.oracle import chi_square_p
from torch import Tensor

import aligndec as ad

PROMPT = 1
Text = tuple[int, ...]


@dataclass(eq=False)
class Toy:
    vocab: int
    length: int
    eos: tuple[int, ...]
    beta: float
    seed: int

    @cached_property
    def prefixes(self) -> list[Text]:
        """Unfinished texts shorter than T, the empty one first."""
        layers = [[()]]
        for _ in range(self.length - 1):
            tokens = [z for z in range(self.vocab) if z not in self.eos]
            layers.append([(*s, z) for s in layers[-1] for z in tokens])
        return [s for layer in layers for s in layer]

    @cached_property
    def strings(self) -> list[Text]:
        """Finished texts."""
        whole = [(*s, z) for s in self.prefixes for z in range(self.vocab)]
        return [y for y in whole if y[-1] in self.eos or len(y) == self.length]

    def _noise(self, n: int, salt: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 10 + salt)
        return torch.randn(n, generator=generator, dtype=torch.float64)

    @cached_property
    def sft(self) -> dict[Text, Tensor]:
        """log π_sft(·|s)."""
        rows = self._noise(len(self.prefixes) * self.vocab, 0).view(-1, self.vocab).float()
        return dict(zip(self.prefixes, rows.double().log_softmax(1), strict=True))

    @cached_property
    def reward(self) -> dict[Text, float]:
        return dict(zip(self.strings, self._noise(len(self.strings), 1).tolist(), strict=True))

    @cached_property
    def baseline_reward(self) -> dict[Text, float]:
        own = self._noise(len(self.strings), 2).tolist()
        return {y: 0.3 * self.reward[y] + x for y, x in zip(self.strings, own, strict=True)}

    def done(self, s: Text) -> bool:
        return len(s) == self.length or (len(s) > 0 and s[-1] in self.eos)

    def continuations(self, policy: dict[Text, Tensor], s: Text) -> list[tuple[float, Text]]:
        """ln-probability and text of every string that goes on from `s`."""
        if self.done(s):
            return [(0.0, s)]
        return [
            (float(policy[s][z]) + log_p, y)
            for z in range(self.vocab)
            for log_p, y in self.continuations(policy, (*s, z))
        ]

    def log_mean_exp(self, policy: dict[Text, Tensor], s: Text, score: dict[Text, float]) -> float:
        """ln E_π[exp(score / β) | s]."""
        terms = [log_p + score[y] / self.beta for log_p, y in self.continuations(policy, s)]
        return float(torch.tensor(terms, dtype=torch.float64).logsumexp(0))

    def aligned(self, policy: dict[Text, Tensor], score: dict[Text, float]) -> dict[Text, Tensor]:
        """Token law of ρ ∝ π · exp(score / β), the trajectory-level optimum."""
        out = {}
        for s in self.prefixes:
            tail = [self.log_mean_exp(policy, (*s, z), score) for z in range(self.vocab)]
            out[s] = (policy[s] + torch.tensor(tail, dtype=torch.float64)).log_softmax(0)
        return out

    @cached_property
    def baseline(self) -> dict[Text, Tensor]:
        """log π_BL, the optimum for r_BL (as float32 logits have it)."""
        exact = self.aligned(self.sft, self.baseline_reward)
        return {s: row.float().double().log_softmax(0) for s, row in exact.items()}

    def lm(self, policy: dict[Text, Tensor], dtype: torch.dtype = torch.float32) -> ad.FunctionLM:
        """The policy as a model over the prompt [PROMPT]; beyond length T it is uniform."""
        base = self.vocab + 1
        table = torch.zeros(base**self.length, self.vocab, dtype=dtype)
        for s, row in policy.items():
            table[self._code(s)] = row.to(dtype)

        def logits(ids: Tensor, mask: Tensor) -> Tensor:
            text = ids[:, 1:]
            if text.shape[1] >= self.length:
                return torch.zeros(len(ids), self.vocab, dtype=dtype)
            powers = base ** torch.arange(text.shape[1])
            return table[((text + 1) * powers).sum(1)]

        return ad.FunctionLM(logits, vocab_size=self.vocab, eos_token_id=self.eos)

    def _code(self, s: Text) -> int:
        return sum((z + 1) * (self.vocab + 1) ** i for i, z in enumerate(s))

    def as_reward(self, score: dict[Text, float], shift: float = 0.0):
        """The score as a reward function; what lies beyond length T does not count."""

        def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
            return [score[tuple(text[: self.length])] + shift for text in texts]

        return reward

    # --- the algorithm with N rollouts --------------------------------------------------------

    def decision(
        self, s: Text, n: int, alpha: float, estimate, reference: dict[Text, Tensor]
    ) -> Tensor:
        """Law of the token after `s`: the mean over all rollouts of π_ref exp(Q̂/α)/C.

        `estimate(s, z, outcomes)` is Q̂ of N outcomes, each the text of a finished string.
        """
        options = []  # per candidate: values and their probabilities
        for z in range(self.vocab):
            ways = self.continuations(self.baseline, (*s, z))
            times = 1 if self.done((*s, z)) else n
            values: dict[float, float] = {}
            for outcome in itertools.product(ways, repeat=times):
                q = estimate(s, z, [y for _, y in outcome])
                weight = math.exp(sum(log_p for log_p, _ in outcome))
                values[round(q, 12)] = values.get(round(q, 12), 0.0) + weight
            options.append(values)
        grids = torch.meshgrid(
            *(torch.tensor(list(v), dtype=torch.float64) for v in options), indexing="ij"
        )
        weights = torch.meshgrid(
            *(torch.tensor(list(v.values()), dtype=torch.float64) for v in options), indexing="ij"
        )
        q, weight = torch.stack(grids, -1), torch.stack(weights, -1).prod(-1)
        law = (reference[s] + q / alpha).softmax(-1)
        return (law * weight[..., None]).reshape(-1, self.vocab).sum(0)

    def string_law(self, policy: dict[Text, Tensor]) -> Tensor:
        """Probabilities of `strings` when each token has the law policy[s]."""
        out = []
        for y in self.strings:
            out.append(math.prod(float(policy[y[:t]][y[t]]) for t in range(len(y))))
        return torch.tensor(out, dtype=torch.float64)

    def cells(self, out: ad.Generation) -> Tensor:
        """Number of each generated string in `strings`."""
        number = {y: i for i, y in enumerate(self.strings)}
        return torch.tensor([number[tuple(y)] for y in out.completions()])


def p_value(cells: Tensor, law: Tensor) -> float:
    """Chi-square of independent cells [N] against a law [S]."""
    return chi_square_p(torch.bincount(cells, minlength=len(law)), law)


TOYS = {
    "with end": Toy(vocab=3, length=3, eos=(0,), beta=0.7, seed=1),
    "without end": Toy(vocab=3, length=3, eos=(), beta=0.5, seed=2),
    "four tokens": Toy(vocab=4, length=3, eos=(2,), beta=0.8, seed=3),
    "length four": Toy(vocab=3, length=4, eos=(1,), beta=0.6, seed=4),
}
