"""Inside a real vLLM: strings and books equal those of `generate`. `make test-vllm` runs it."""

import os

import pytest
import torch

import aligndec as ad

pytest.importorskip("vllm")
transformers = pytest.importorskip("transformers")

PROMPTS = [[1, 5, 6, 7], [1, 9, 3], [1, 44, 55, 66, 77, 88], [1, 12]]
LAWS = [
    ad.Adaptor(temperature=0.8, top_p=0.9),
    ad.Adaptor(top_k=5),
    ad.Adaptor(typical_p=0.7),
    ad.Adaptor(temperature=1.3, top_n_sigma=1.5),
]
ONE = os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0"
FIELDS = ("log_p", "log_q", "log_z", "log_kept", "kl")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=1000,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    made = transformers.LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        made.lm_head.weight.mul_(20)
    folder = tmp_path_factory.mktemp("model")
    made.save_pretrained(folder)
    return made, str(folder)


@pytest.fixture(scope="module")
def lm(model):
    from aligndec.integrations.vllm import VLLMCausalLM

    return VLLMCausalLM.load(
        model[1],
        skip_tokenizer_init=True,
        enforce_eager=True,
        dtype="float32",
        max_model_len=128,
        max_num_seqs=16,
        max_num_batched_tokens=128,
        **(dict(distributed_executor_backend="uni") if ONE else {}),
    )


def same(ours, theirs) -> None:
    assert torch.equal(ours.tokens, theirs.tokens)
    assert torch.equal(ours.length, theirs.length)
    assert ours.finish_reason == theirs.finish_reason
    for name in FIELDS:
        a, b = getattr(ours, f"token_{name}"), getattr(theirs, f"token_{name}")
        assert float((a - b).abs().max()) < 1e-5, name


def test_strings_books_and_sets_equal_generate(lm, model) -> None:
    given = dict(max_new_tokens=12, seed=7, num_return_sequences=6, per_token=True, keep_sets=50)
    ours = lm.generate(PROMPTS, LAWS, **given)
    theirs = ad.generate(model[0], PROMPTS, adaptor=LAWS, **given)
    same(ours, theirs)
    assert ours.kept.lists() == theirs.kept.lists()
    assert lm.llm.collective_rpc("aligndec_held") == [0]


def test_draws_do_not_depend_on_the_split(lm) -> None:
    given = dict(max_new_tokens=6, seed=5)
    whole = lm.generate(PROMPTS[:2], LAWS[:2], num_return_sequences=4, **given)
    later = lm.generate([PROMPTS[1]], LAWS[1], prompt_ids=[1], first_draw=3, **given)
    assert whole.completions()[7] == later.completions()[0]


def test_forced_scoring(lm, model) -> None:
    strings = [[5, 900, 3, 2], [], [77], [4, 4, 4]]
    laws = (ad.Adaptor(), ad.Adaptor(temperature=0.8, min_p=1e-4))
    ours = lm.score_strings(PROMPTS, strings, laws, per_token=True)
    theirs = ad.score_strings(model[0], PROMPTS, strings, laws, per_token=True)
    assert torch.equal(ours.status, theirs.status)
    assert torch.equal(ours.length, theirs.length)
    for name in FIELDS:
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=0, atol=5e-5)


def test_requests_without_ours_are_untouched(lm) -> None:
    from vllm import SamplingParams

    from aligndec.integrations.vllm import vllm_params

    plain = SamplingParams(temperature=0.0, max_tokens=8, detokenize=False)
    prompt = {"prompt_token_ids": PROMPTS[0]}
    alone = lm.llm.generate([prompt], plain, use_tqdm=False)[0].outputs[0].token_ids
    ours = vllm_params(LAWS[0], seed=7, max_tokens=8, ignore_eos=True, detokenize=False)
    mixed = lm.llm.generate([prompt] * 3, [ours, plain, ours], use_tqdm=False)
    assert list(mixed[1].outputs[0].token_ids) == list(alone)
    assert mixed[0].outputs[0].token_ids == mixed[2].outputs[0].token_ids
    lm.llm.collective_rpc("aligndec_take", args=("",))


def test_children_are_draws(lm, model) -> None:
    from aligndec.integrations.vllm import vllm_params

    several = vllm_params(
        LAWS[0], prompt_id=3, seed=7, n=4, max_tokens=8, ignore_eos=True, detokenize=False
    )
    out = lm.llm.generate([{"prompt_token_ids": PROMPTS[0]}], several, use_tqdm=False)[0]
    theirs = ad.generate(
        *(model[0], [PROMPTS[0]]),
        adaptor=LAWS[0],
        max_new_tokens=8,
        seed=7,
        num_return_sequences=4,
        prompt_ids=[3],
        eos_token_id=(),
    )
    assert [list(o.token_ids) for o in out.outputs] == theirs.completions()
    lm.llm.collective_rpc("aligndec_take", args=("",))


def test_refused_when_it_enters(lm) -> None:
    from vllm import SamplingParams
    from vllm.exceptions import VLLMValidationError

    from aligndec.integrations.vllm import vllm_params

    good = vllm_params(LAWS[0], max_tokens=2)
    bad = SamplingParams(temperature=0.5, max_tokens=2, extra_args=good.extra_args)
    with pytest.raises(VLLMValidationError, match=r"must be left alone.*temperature = 0.5"):
        lm.llm.generate([{"prompt_token_ids": [1, 5]}], bad, use_tqdm=False)


@pytest.mark.skipif(not ONE, reason="steps the engine by hand: one process")
def test_abort(lm, model) -> None:
    """One request is killed in the middle; the others lose and double nothing."""
    from aligndec.integrations.vllm import vllm_params

    engine = lm.llm.llm_engine
    for draw in range(4):
        params = vllm_params(
            *(LAWS[0],), draw=draw, seed=7, run="p", max_tokens=10, ignore_eos=True
        )
        params.detokenize = False
        engine.add_request(f"r{draw}", {"prompt_token_ids": PROMPTS[0]}, params)
    done = {}
    for turn in range(60):
        for out in engine.step():
            if out.finished:
                done[out.request_id.split("-")[0]] = list(out.outputs[0].token_ids)
        if turn == 3:
            engine.abort_request(["r1"])
        if not engine.has_unfinished_requests():
            break
    books = lm.llm.collective_rpc("aligndec_take", args=("p",))[0]
    theirs = ad.generate(
        *(model[0], [PROMPTS[0]]),
        adaptor=LAWS[0],
        max_new_tokens=10,
        seed=7,
        num_return_sequences=4,
        eos_token_id=(),
    ).completions()
    for draw in (0, 2, 3):
        assert books[str(draw)]["token"][:10] == theirs[draw]
        assert books[str(draw)]["position"][:10] == list(range(10))
    killed = books.get("1", {"token": []})["token"]
    assert killed == theirs[1][: len(killed)]
    assert 0 < len(killed) < 10
