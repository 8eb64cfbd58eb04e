"""Gradients of scored strings through transformers models, chunk by chunk."""

import pytest
import torch
from support.tiny_models import tiny, tiny_or_skip

import aligndec as ad
from aligndec import rl

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12]]
ADAPTOR = ad.Adaptor(temperature=0.8, top_p=0.8)
MORE = {"max_new_tokens": 5, "num_return_sequences": 2, "per_token": True, "seed": 0}


def eager_log_q(model, run):
    """log q of every string by a masked log-softmax of whole logits, a string at a time."""
    width, mask, out = run.tokens.shape[1], run.kept.mask(61), []
    for i, (prompt, string) in enumerate(zip(run.prompts(), run.completions(), strict=True)):
        logits = model(input_ids=torch.tensor([prompt + string])).logits[0, len(prompt) - 1 : -1]
        inside = mask[i * width : i * width + len(string)]
        law = (logits.double() / 0.8).masked_fill(~inside, -torch.inf).log_softmax(-1)
        out.append(law.gather(1, torch.tensor(string)[:, None]).sum())
    return torch.stack(out)


@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Bloom", "Mistral", "Mamba"])
def test_books_and_gradients_are_those_of_whole_logits(kind) -> None:
    model = tiny_or_skip(kind)
    if kind == "Mamba":
        prompts = [[5, 6, 7]] * 3  # padding is not masked in its state while it trains
    else:
        prompts = PROMPTS
    run = ad.generate(model, prompts, adaptor=ADAPTOR, keep_sets=True, **MORE)
    advantages = torch.linspace(-1, 1, len(run)).double()
    new = rl.replay(model, run, batch_size=4)
    want = eager_log_q(model, run)
    torch.testing.assert_close(new.log_q[0], want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(new.log_q[0].detach(), run.log_q, atol=1e-5, rtol=1e-5)
    parameters = [p for p in model.parameters() if p.requires_grad]
    loss = rl.policy_gradient_loss(model, run, advantages, level="sequence", clip=None)
    ours = torch.autograd.grad(loss, parameters, allow_unused=True)
    value = -(advantages * (want - want.detach()).exp()).mean()
    theirs = torch.autograd.grad(value, parameters, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_who_gets_gradients() -> None:
    model = tiny("Llama")
    strings = [[3, 4], [5]]
    assert not ad.score_strings(model, PROMPTS[:2], strings).log_p.requires_grad
    scores = ad.score_strings(model, PROMPTS[:2], strings, gradient=True, per_token=True)
    assert scores.token_log_p.requires_grad
    plain = ad.score_strings(model, PROMPTS[:2], strings, per_token=True)
    for name in ("log_p", "log_z", "token_log_q", "length", "status"):
        torch.testing.assert_close(getattr(scores, name).detach(), getattr(plain, name))
    model.train()
    assert ad.score_strings(model, PROMPTS[:2], strings).log_q.requires_grad
    with torch.no_grad(), pytest.raises(ValueError, match="training mode"):
        ad.score_strings(model, PROMPTS[:2], strings)
    with torch.no_grad(), pytest.raises(ValueError, match="gradient must be False"):
        ad.score_strings(model, PROMPTS[:2], strings, gradient=True)


def test_adaptors_that_cut_and_empty_strings() -> None:
    model = tiny("Llama")
    adaptors = [ad.Adaptor(temperature=0.7, top_p=0.9), ad.Adaptor()]
    for strings in ([[3, 4], []], [[], []]):
        more = {"adaptors": adaptors, "per_token": True}
        got = ad.score_strings(model, PROMPTS[:2], strings, gradient=True, **more)
        want = ad.score_strings(model, PROMPTS[:2], strings, **more)
        torch.testing.assert_close(got.log_q.detach(), want.log_q)
        torch.testing.assert_close(got.token_kl.detach(), want.token_kl)
    with pytest.raises(ValueError, match="without mirostat and xtc"):
        ad.score_strings(model, [[3]], [[4]], [ad.Adaptor(mirostat_tau=2.0)], gradient=True)


def test_a_prompt_with_its_own_temperature() -> None:
    model = tiny("Llama")
    adaptors = [ad.Adaptor(temperature=t, top_k=9) for t in (0.5, 1.0, 0.5)]
    run = ad.generate(model, PROMPTS, adaptor=adaptors, keep_sets=True, **MORE)
    new = rl.replay(model, run)
    torch.testing.assert_close(new.token_log_q[0].detach(), run.token_log_q, atol=1e-5, rtol=1e-5)


def test_logits_that_are_not_the_heads_are_refused() -> None:
    model = tiny("Llama")
    forward = model.forward

    def capped(*args, **kwargs):
        out = forward(*args, **kwargs)
        out.logits = 0.05 * torch.tanh(out.logits / 0.05)
        return out

    model.forward = capped
    with pytest.raises(TypeError, match="logits that are its head's"):
        ad.score_strings(model, [[3]], [[4]], gradient=True)
