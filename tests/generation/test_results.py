"""Results as people meet them: printed, indexed, laid together, stored and read again."""

import copy
import dataclasses
import json
import pickle

import pytest
import torch

import aligndec as ad
from aligndec import transfer_q
from aligndec.generation import StringScores
from aligndec.testing import TableLM

LM = TableLM.random(9, order=1, eos_token_id=0, seed=5)
PROMPTS = [[1, 2], [3, 4, 5]]


class Words:
    def __call__(self, text):
        return {"input_ids": [int(word) for word in text.split()]}

    def batch_decode(self, rows, skip_special_tokens=True):
        return [" ".join(map(str, row)) for row in rows]


def run(prompts=PROMPTS, seed=2, **kwargs):
    kwargs = dict(max_new_tokens=7, num_return_sequences=6, tokenizer=Words()) | kwargs
    return ad.generate(LM, prompts, seed=seed, **kwargs)


def reward(prompts, completions):
    return [float(len(completion)) for completion in completions]


def samples():
    return ad.GlobalSampler(LM, ad.Adaptor(top_k=4), tokenizer=Words(), max_new_tokens=5).sample(
        ["1 2", "3"], n_samples=4, seed=1
    )


def decoded():
    decoder = transfer_q.TransferQ(LM, reward, k=3, tokenizer=Words())
    return decoder.generate(["1 2", "3"], max_new_tokens=4, seed=1, num_return_sequences=7)


def scores():
    laws = [ad.Adaptor(), ad.Adaptor(top_k=2)]
    return ad.score_strings(LM, ["1 2", "3"], ["4 5", "6 0"], laws, tokenizer=Words())


def step():
    return ad.sample(torch.randn(40, 9), seed=1, positions=0)


RESULTS = {
    "Generation": lambda: run(
        adaptor=ad.Adaptor(top_p=0.9),
        per_token=True,
        reference=LM,
        keep_sets=True,
        penalties=ad.Penalties(repetition=1.2, logit_bias={3: 0.5}),
    ),
    "TransferQGeneration": decoded,
    "GlobalSamples": samples,
    "StringScores": scores,
    "Step": step,
}


def plain(value):
    """A result as nested dicts of lists, to be compared with ==."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_fields"):
        beside = vars(value) if hasattr(value, "__dict__") else {}
        return {name: plain(getattr(value, name)) for name in value._fields} | beside
    return value


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("way", ["pickle", "deepcopy", "torch"])
def test_stored_and_read_again(name, way, tmp_path):
    result = RESULTS[name]()
    if way == "pickle":
        again = pickle.loads(pickle.dumps(result))
    elif way == "deepcopy":
        again = copy.deepcopy(result)
    else:
        torch.save(result, tmp_path / "result.pt")
        again = torch.load(tmp_path / "result.pt", weights_only=True)
    assert type(again) is type(result)
    assert again is not result
    # NaN is unequal to itself, so the texts of the numbers are compared.
    assert repr(plain(again)) == repr(plain(result))


def test_torch_load_needs_no_import_before(tmp_path):
    """A fresh interpreter knows the types as soon as the package is imported."""
    import subprocess
    import sys

    torch.save(decoded(), tmp_path / "result.pt")
    code = (
        "import torch, aligndec, sys; "
        f"out = torch.load({str(tmp_path / 'result.pt')!r}, weights_only=True); "
        "print(type(out).__name__, len(out))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["TransferQGeneration", "14"]


def test_a_file_may_name_results_of_this_package_alone():
    from aligndec.shared import restore

    for kind in ("os:system", "aligndec.shared:restore", "aligndec.models:HFCausalLM"):
        with pytest.raises(ValueError, match=f"restore: kind must be a result type .* got {kind}"):
            restore(kind, {}, {})


@pytest.mark.parametrize("name", RESULTS)
def test_shown(name):
    result = RESULTS[name]()
    text = repr(result)
    assert text.startswith(f"{name}: ")
    assert len(text.splitlines()) <= 20
    assert max(map(len, text.splitlines())) <= 130
    html = result._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 1
    assert html.count("<tr>") == min(8, len(text.splitlines()) - 2) + 1 or name != "Step"


def test_what_a_text_holds_breaks_no_table():
    out = run()
    out.text = ("line\nbreak <b>bold</b> " * 9,) * len(out)
    assert len(repr(out).splitlines()) == 11
    assert "<b>" not in out._repr_html_()


def test_an_adaptor_shows_what_was_set():
    adaptor = ad.Adaptor(temperature=0.7, top_p=0.9)
    assert repr(adaptor) == "Adaptor(temperature=0.7, top_p=0.9)"
    assert eval(repr(adaptor), {"Adaptor": ad.Adaptor}) == adaptor


@pytest.mark.parametrize("name", RESULTS)
def test_to_pandas(name):
    pytest.importorskip("pandas")
    result = RESULTS[name]()
    frame = result.to_pandas()
    columns = result.to_dict()
    assert list(frame.columns) == list(columns)
    assert {len(column) for column in columns.values()} == {len(frame)}
    rows = {"Generation": 12, "TransferQGeneration": 14, "GlobalSamples": 8}
    assert len(frame) == rows.get(name, {"StringScores": 4, "Step": 40}.get(name))
    if name == "Step":
        assert frame["token"].tolist() == result.token.tolist()
    else:
        assert frame["prompt_text"].tolist() == columns["prompt_text"]
        assert frame["text"].iloc[0] == result.texts()[0]
    if name == "TransferQGeneration":
        assert frame["reward"].tolist() == result.reward.tolist()


def test_a_dataset_in_one_line():
    datasets = pytest.importorskip("datasets")
    out = run()
    assert datasets.Dataset.from_dict(out.to_dict())["text"][:] == out.texts()


def test_rows_by_index():
    out = run()
    for one, row in ((out[3], 3), (out[-1], 11)):
        assert len(one) == 1
        assert one.completions() == [out.completions()[row]]
        assert one.prompt_texts() == [out.prompt_texts()[row]]
    for index, rows in ((slice(2, 5), [2, 3, 4]), ([7, 0], [7, 0]), (out.draw == 1, [1, 7])):
        assert out[index].texts() == [out.texts()[i] for i in rows]
        assert out[index].log_p.tolist() == out.log_p[rows].tolist()
    assert [row.texts()[0] for row in out] == out.texts()
    with pytest.raises(IndexError, match=r"index must be in \[-N, N\) with N = 12, got 12"):
        out[12]


def test_concat_is_the_runs_in_order():
    one = run(per_token=True, adaptor=ad.Adaptor(top_k=2))
    two = run([[8, 7, 6, 5, 4]], seed=3, max_new_tokens=11, per_token=True)
    both = ad.Generation.concat([one, two])
    for name in ("completions", "prompts", "texts", "prompt_texts"):
        assert getattr(both, name)() == getattr(one, name)() + getattr(two, name)(), name
    for name in ("log_p", "log_q", "draw", "length", "status", "sequence_ids"):
        assert torch.equal(getattr(both, name), torch.cat([getattr(one, name), getattr(two, name)]))
    rows = both.to_dict()["token_log_q"]
    assert rows == one.to_dict()["token_log_q"] + two.to_dict()["token_log_q"]
    assert (both.seed, both.max_new_tokens) == (None, 11)
    assert both.adaptors == (ad.Adaptor(top_k=2),) * 2 + (ad.Adaptor(),)
    later = run(first_draw=6)
    same = ad.Generation.concat([run(), later])
    assert (same.seed, len(same.adaptors)) == (2, 1)
    assert ad.Generation.concat([later]) is later


def test_concat_of_kept_sets():
    parts = [run(keep_sets=3), run([[8, 7]], max_new_tokens=11, keep_sets=3)]
    both = ad.Generation.concat(parts)
    widths = [part.tokens.shape[1] for part in (both, *parts)]
    for i in range(len(both)):
        part, row = (0, i) if i < 12 else (1, i - 12)
        old, new = parts[part], both
        n = int(new.length[i])
        here = slice(i * widths[0], i * widths[0] + n)
        there = slice(row * widths[1 + part], row * widths[1 + part] + n)
        assert new.kept.lists()[here] == old.kept.lists()[there]
        assert new.kept.complete[here].tolist() == old.kept.complete[there].tolist()
    assert widths[1] != widths[2]


def test_concat_with_what_a_reward_brings():
    both = transfer_q.TransferQGeneration.concat([decoded(), decoded()])
    assert both.reward.tolist() == decoded().reward.tolist() * 2
    assert both.model_forwards == 2 * decoded().model_forwards


@pytest.mark.parametrize(
    ("parts", "error", "match"),
    [
        (lambda: [], TypeError, ">= 1 results of one type, got none"),
        (lambda: [run(), decoded()], TypeError, "got Generation, TransferQGeneration"),
        (lambda: [run(), run(eos_token_id=3)], ValueError, r"eos_token_id, got \(0,\) and \(3,\)"),
        (lambda: [run(), run(pad_token_id=3)], ValueError, "pad_token_id, got 0 and 3"),
        (lambda: [run(), run(per_token=True)], ValueError, "token_log_p or none, got it in 1 of 2"),
        (lambda: [run(), run(penalties=ad.Penalties(presence=1.0))], ValueError, "agree in penalt"),
        (lambda: [run(), run(tokenizer=None)], ValueError, "all have text or none"),
    ],
)
def test_concat_refuses(parts, error, match):
    with pytest.raises(error, match=rf"^Generation\.concat: parts must .*{match}"):
        ad.Generation.concat(parts())


def test_files_by_suffix(tmp_path):
    pytest.importorskip("pyarrow")
    out = run(reference=TableLM(torch.full((9, 9), torch.nan)))
    out.save(tmp_path / "run.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == out.texts()
    assert [row["tokens"] for row in rows] == out.completions()
    assert [row["log_p"] for row in rows] == out.log_p.tolist()
    assert {row["log_p_ref"] for row in rows} == {None}  # JSON has no NaN
    assert {row["seed"] for row in rows} == {2}
    for name in ("run.parquet", "run"):
        out.save(tmp_path / name)
        again = ad.Generation.load(tmp_path / name)
        assert again.texts() == out.texts()
        assert again.prompt_texts() == out.prompt_texts()
    with pytest.raises(
        ValueError, match=r"save: path must end in \.parquet or \.jsonl, got run\.csv"
    ):
        out.save(tmp_path / "run.csv")
    assert not (tmp_path / "run.csv").exists()


def test_texts_of_prompts_that_no_row_continues(tmp_path):
    pytest.importorskip("pyarrow")
    out = run()[6:]
    out.save(tmp_path / "run.parquet")
    assert ad.Generation.load(tmp_path / "run.parquet").prompt_text == out.prompt_text


def test_the_old_name_of_samples():
    out = samples()
    assert out.strings().completions() == out.samples().completions()


def test_scores_stay_a_tuple_of_tensors():
    assert len(scores()) == 7
    assert StringScores._fields[0] == "log_p"
