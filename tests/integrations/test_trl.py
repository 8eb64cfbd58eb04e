"""Rollouts that keep their sets, and TRL's trainer on the law that drew."""

from types import SimpleNamespace

import pytest
import torch
from support.tiny_models import tiny

import aligndec as ad
from aligndec import rl
from aligndec.integrations.trl import Rollout

ADAPTOR = ad.Adaptor(temperature=0.8, top_p=0.6)
SPREAD = {"vocab_size": 28, "initializer_range": 0.2, "eos_token_id": 1}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = {word: i for i, word in enumerate(["<pad>", "<eos>", *LETTERS])}
    letters = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
    letters.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", eos_token="<eos>"
    )


def trainer_of(model):
    """What a rollout asks of a trainer."""
    return SimpleNamespace(
        model=model,
        accelerator=SimpleNamespace(unwrap_model=lambda m: m),
        args=SimpleNamespace(max_completion_length=5),
        processing_class=tokenizer(),
    )


def batch_of(run):
    """Ids and mask as a trainer pads them, in another order than they were drawn in."""
    order = torch.tensor([3, 1, 0, 2])
    ids = torch.cat([run.input_ids[run.prompt_index], run.tokens], 1)
    columns = torch.arange(run.tokens.shape[1]) < run.length[:, None]
    mask = torch.cat([run.attention_mask[run.prompt_index], columns], 1)
    return order, ids[order], mask[order].long()


def test_a_rollout_replays_what_it_drew_in_any_order() -> None:
    model = tiny("Llama", **SPREAD).train()
    rollout = Rollout(ADAPTOR, seed=4)
    out = rollout(["a", "abc", "b", "b"], trainer_of(model))
    assert model.training
    run = rollout.generation
    assert out["completion_ids"] == run.completions()
    assert [len(x) for x in out["logprobs"]] == run.length.tolist()
    order, ids, mask = batch_of(run)
    step = rollout.score(model, ids, mask, run.tokens.shape[1])
    torch.testing.assert_close(step.log_q.detach(), run.token_log_q[order], atol=1e-5, rtol=1e-5)
    # The control: over the full vocabulary every truncated token costs the mass of its set.
    full = rl.replay(model.eval(), run, kept=False, gradient=False).token_log_q[0]
    assert float((run.token_log_q - full).sum()) > 1.0
    torch.testing.assert_close(full, run.token_log_q + run.token_log_kept, atol=1e-5, rtol=1e-5)
    step.log_q.sum().backward()
    assert float(model.lm_head.weight.grad.abs().max()) > 0


def test_batches_differ_and_are_forgotten_in_time() -> None:
    model = tiny("Llama", **SPREAD)
    rollout = Rollout(ADAPTOR, seed=4, memory=2)
    first = rollout(["a", "b"], trainer_of(model))
    second = rollout(["a", "b"], trainer_of(model))
    assert first["completion_ids"] != second["completion_ids"]
    again = Rollout(ADAPTOR, seed=5)(["a", "b"], trainer_of(model))
    assert again["completion_ids"] == second["completion_ids"]
    with pytest.raises(KeyError, match="remembers"):
        rollout.sets(first["prompt_ids"][0], first["completion_ids"][0])
    assert rollout.sets(second["prompt_ids"][0], second["completion_ids"][0]).batch


def test_refusals() -> None:
    with pytest.raises(TypeError, match="adaptor must be an Adaptor"):
        Rollout(0.9)
    with pytest.raises(ValueError, match="without dynamic_temperature"):
        Rollout(ad.Adaptor(dynamic_temperature=(0.5, 1.0, 1.0)))
    with pytest.raises(ValueError, match="memory must be >= 1"):
        Rollout(ADAPTOR, memory=0)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A trainer of a tiny model, and the log-probabilities that its losses were given."""
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    from aligndec.integrations.trl import ReplayGRPOTrainer

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")

    def make(replay: bool, **more):
        rollout = Rollout(ADAPTOR, seed=1)
        options = dict(
            output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4,
            max_completion_length=4, max_steps=1, temperature=0.8, bf16=False, use_cpu=True,
            report_to=[], disable_tqdm=True, save_strategy="no", logging_strategy="no",
            gradient_checkpointing=False,
        )  # fmt: skip
        seen = []

        class Watched(ReplayGRPOTrainer):
            def _get_per_token_logps_and_entropies(self, *args, **kwargs):
                out = super()._get_per_token_logps_and_entropies(*args, **kwargs)
                seen.append((args[1], args[2].bool(), out[0].detach()))
                return out

        trainer = Watched(
            model=tiny("Llama", **SPREAD),
            reward_funcs=lambda completion_ids, **_: [float(sum(c)) for c in completion_ids],
            args=trl.GRPOConfig(**{**options, **more}),
            train_dataset=datasets.Dataset.from_dict({"prompt": ["a", "b"] * 2}),
            processing_class=tokenizer(),
            rollout_func=rollout,
            replay=replay,
        )
        trainer.train()
        return rollout.generation, seen

    return make


@pytest.mark.slow
@pytest.mark.parametrize("replay", [True, False])
def test_the_trainer_scores_the_law_that_drew(trained, replay) -> None:
    run, seen = trained(replay)
    books = {
        (*prompt, *completion): row[: len(completion)]
        for prompt, completion, row in zip(
            run.prompts(), run.completions(), run.token_log_q, strict=True
        )
    }
    ids, real, logps = seen[0]
    gaps = []
    for row, mask, got in zip(ids, real, logps, strict=True):
        key = tuple(row[mask].tolist())
        gaps.append(float((books[key] - got[: len(books[key])]).abs().max()))
    assert len(gaps) == 8
    assert (max(gaps) < 1e-4) == replay
    assert replay or min(gaps) > 0.1


@pytest.mark.slow
def test_another_temperature_is_refused(trained) -> None:
    with pytest.raises(ValueError, match=r"args\.temperature must be the adaptor's"):
        trained(True, temperature=1.0)
