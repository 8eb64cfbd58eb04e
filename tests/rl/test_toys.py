"""Policies whose every string can be enumerated: the gradient with replay, and without."""

import itertools
from dataclasses import replace

import pytest
import torch

import aligndec as ad
from aligndec import rl

V, DRAWS = 6, 8_000
ADAPTORS = (
    ad.Adaptor(temperature=0.7, top_p=0.8),
    ad.Adaptor(temperature=1.4, top_k=3),
    ad.Adaptor(temperature=1.4, min_p=0.6),
    ad.Adaptor(temperature=0.7, p_less=2.0),
)


class Toy:
    """A Markov policy with logits theta [V, V], prompt 0, strings of T tokens and a reward each."""

    def __init__(self, steps: int, adaptor: ad.Adaptor) -> None:
        random = torch.Generator().manual_seed(3)
        self.theta = torch.randn(V, V, generator=random).requires_grad_()
        self.lm = ad.FunctionLM(lambda ids, mask: self.theta[ids[:, -1]], vocab_size=V)
        self.reward = torch.randn([V] * steps, generator=random).double() + 1.0
        self.mask = ad.kept_mask(self.theta.detach(), adaptor)
        self.strings = list(itertools.product(range(V), repeat=steps))
        self.tau, self.steps = adaptor.temperature, steps
        drawing = {"max_new_tokens": steps, "num_return_sequences": DRAWS, "seed": 5}
        self.run = ad.generate(
            self.lm, [[0]], adaptor=adaptor, keep_sets=True, per_token=True, **drawing
        )
        self.advantages = self.reward[tuple(self.run.tokens.T)]

    def log_laws(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """ln q and ln p_tau of every string, the sets held fixed."""
        scaled = theta.double() / self.tau
        log_q = scaled.masked_fill(~self.mask, -torch.inf).log_softmax(-1)
        log_p = scaled.log_softmax(-1)
        paths = [list(itertools.pairwise((0, *string))) for string in self.strings]
        sums = [
            torch.stack([sum(law[a, b] for a, b in path) for path in paths])
            for law in (log_q, log_p)
        ]
        return sums[0], sums[1]

    def expected(self, replayed: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean of one string's gradient and the standard error of DRAWS of them, by enumeration.

        With replay r grad ln q, else S r grad ln p_tau, S = p_tau / q the kept mass of the string.
        """
        log_q, log_p = self.log_laws(self.theta)
        inside = log_q.detach() > -torch.inf
        law, scored = log_q.detach().exp()[inside], log_q if replayed else log_p
        rows = [torch.autograd.grad(s, self.theta, retain_graph=True)[0] for s in scored[inside]]
        weight = (scored - log_q).detach().exp()[inside] * self.reward.reshape(-1)[inside]
        each = weight[:, None] * torch.stack(rows).double().reshape(len(law), -1)
        mean = law @ each
        return mean, ((law @ each**2 - mean**2).clamp(min=0) / DRAWS).sqrt()

    def estimate(self, **options) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(
            rl.policy_gradient_loss(self.lm, self.run, self.advantages, clip=None, **options),
            self.theta,
        )
        return -gradient.double().reshape(-1)


def deviation(estimate, mean, error) -> float:
    """The largest difference in standard errors; float32 logits are exact to 1e-6."""
    return float(((estimate - mean).abs() / (error + 1e-6)).max())


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("adaptor", ADAPTORS, ids=("top_p", "top_k", "min_p", "p_less"))
def test_the_gradient_is_that_of_the_expected_reward(steps, adaptor) -> None:
    toy = Toy(steps, adaptor)
    log_q, _ = toy.log_laws(toy.theta)
    inside = log_q.detach() > -torch.inf
    value = (log_q[inside].exp() * toy.reward.reshape(-1)[inside]).sum()
    exact = torch.autograd.grad(value, toy.theta)[0].double().reshape(-1)
    mean, error = toy.expected(replayed=True)
    torch.testing.assert_close(mean, exact, atol=1e-6, rtol=0)  # two enumerations agree
    assert deviation(toy.estimate(level="sequence"), exact, error) < 4.5
    # Without replay: biased by the closed form, and far from the gradient that is wanted.
    biased, its_error = toy.expected(replayed=False)
    control = toy.estimate(level="sequence", kept=False)
    assert deviation(control, biased, its_error) < 4.5
    assert deviation(control, exact, error) > 8


@pytest.mark.parametrize("normalise", ["tokens", "strings"])
def test_levels_agree_where_the_policy_has_not_moved(normalise) -> None:
    toy = Toy(2, ADAPTORS[0])
    whole = toy.estimate(level="sequence")
    tokens = toy.estimate(level="token", normalise=normalise)
    torch.testing.assert_close(2 * tokens, whole, atol=1e-6, rtol=0)  # a mean over two tokens
    torch.testing.assert_close(toy.estimate(level="sequence", tis=2.0), whole, atol=1e-6, rtol=0)


def test_a_policy_that_moved_is_weighted_and_clipped() -> None:
    toy = Toy(1, ADAPTORS[0])
    with torch.no_grad():
        toy.theta += 0.5 * torch.randn(V, V, generator=torch.Generator().manual_seed(1))
    new = rl.replay(toy.lm, toy.run)
    ratio = rl.importance_ratio(new, toy.run).ratio[:, 0].detach()
    assert float(ratio.max()) > 1.2
    assert float(ratio.min()) < 0.8
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / DRAWS**0.5
    a, rho = toy.advantages, ratio
    clipped = torch.minimum(rho * a, rho.clamp(0.8, 1.2) * a).mean()
    loss = rl.policy_gradient_loss(toy.lm, toy.run, a)
    torch.testing.assert_close(-loss.detach(), clipped, atol=1e-9, rtol=0)
    truncated = rl.policy_gradient_loss(toy.lm, toy.run, a, tis=1.1)
    torch.testing.assert_close(
        -truncated.detach(), (rho.clamp(max=1.1) * a).mean(), atol=1e-9, rtol=0
    )
    # Under the clip nothing flows into tokens that moved too far the wanted way; tis keeps them.
    far = (a > 0) & (rho > 1.2)
    kept, gone = (
        torch.autograd.grad(
            rl.policy_gradient_loss(toy.lm, toy.run.select(far.nonzero()[:, 0]), a[far], **how),
            toy.theta,
        )[0]
        .abs()
        .max()
        for how in ({"tis": 1.1}, {"clip": 0.2})
    )
    assert float(gone) == 0 < float(kept)


def test_a_run_without_its_sets_is_refused() -> None:
    toy = Toy(1, ADAPTORS[0])
    bare = replace(toy.run, kept=None)
    with pytest.raises(ValueError, match=r"generation\.kept must be there .*keep_sets=True"):
        rl.policy_gradient_loss(toy.lm, bare, toy.advantages)
    short = ad.generate(
        *(toy.lm, [[0]]), adaptor=ADAPTORS[0], max_new_tokens=1, seed=0, keep_sets=1, per_token=True
    )
    with pytest.raises(ValueError, match=r"must be complete, .* strings \[0\]"):
        rl.policy_gradient_loss(toy.lm, short, torch.ones(1))
    with pytest.raises(ValueError, match=r"advantages must be finite, got nan at 0"):
        rl.policy_gradient_loss(toy.lm, toy.run, torch.full((DRAWS,), torch.nan))
    sums = replace(toy.run, token_log_q=None)
    with pytest.raises(ValueError, match="must have books per token"):
        rl.policy_gradient_loss(toy.lm, sums, toy.advantages)
