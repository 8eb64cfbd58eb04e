"""GRPO with TRL on truncated samples, with and without replay of their kept sets.

A tiny random model learns to write the letter e. Both runs draw with top_p = 0.6; one trains on the
law that drew, the other on the full vocabulary, as trainers do that do not know the sets. Printed
each few steps: the reward, and the mean importance ratio E[p_trainer / q_sampler] of a token before
the update, which is 1 where the trainer's law is the sampler's. Needs aligndec[trl]; a minute on a
CPU. `--figure FILE` draws both curves.
"""

import os
import sys
import tempfile

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # rollout functions are young

import torch
import transformers
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from trl import GRPOConfig

import aligndec as ad
from aligndec import rl
from aligndec.integrations.trl import ReplayGRPOTrainer, Rollout

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ADAPTOR = ad.Adaptor(temperature=1.0, top_p=0.6)
STEPS, PROMPTS, DRAWS, TOKENS = 40, 4, 8, 8


def tiny_model():
    words = {word: i for i, word in enumerate(["<pad>", "<eos>", *LETTERS])}
    letters = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", eos_token="<eos>"
    )
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    return transformers.LlamaForCausalLM(config), tokenizer


def train(replay: bool) -> tuple[list[float], list[float]]:
    """Return the mean reward and the mean importance ratio of each step."""
    model, tokenizer = tiny_model()
    rollout = Rollout(ADAPTOR, seed=1)
    rewards, ratios = [], []

    def reward(completion_ids, **_):
        run = rollout.generation  # the batch that is being rewarded, before the update
        model.eval()
        books = rl.replay(model, run, kept=replay, gradient=False)
        model.train()
        ratios.append(float(rl.importance_ratio(books, run).mean))
        wanted = tokenizer.convert_tokens_to_ids("e")
        out = [ids.count(wanted) / TOKENS for ids in completion_ids]
        rewards.append(sum(out) / len(out))
        return out

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=PROMPTS * DRAWS,
            num_generations=DRAWS,
            max_completion_length=TOKENS,
            max_steps=STEPS,
            learning_rate=3e-3,
            temperature=ADAPTOR.temperature,
            bf16=False,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            gradient_checkpointing=False,
        )
        trainer = ReplayGRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": list(LETTERS[:PROMPTS]) * STEPS}),
            processing_class=tokenizer,
            rollout_func=rollout,
            replay=replay,
        )
        trainer.train()
    return rewards, ratios


def draw(curves, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for name, (rewards, ratios) in curves.items():
        left.plot(rewards, label=name)
        right.plot(ratios, label=name)
    left.set(xlabel="step", ylabel="reward: share of e", title="GRPO, top_p = 0.6")
    right.set(xlabel="step", ylabel="mean importance ratio", title="trainer's law / sampler's law")
    right.axhline(1.0, color="black", lw=0.5)
    left.legend()
    figure.savefig(path, dpi=130)


curves = {"replay of kept sets": train(True), "full vocabulary": train(False)}
for name, (rewards, ratios) in curves.items():
    print(f"{name}: {len(rewards)} steps, reward {rewards[0]:.3f} -> {rewards[-1]:.3f}")
    print("  mean importance ratio", *(f"{ratio:.4f}" for ratio in ratios[::8]))
if "--figure" in sys.argv:
    draw(curves, sys.argv[sys.argv.index("--figure") + 1])
