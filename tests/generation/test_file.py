"""One Parquet file per run: every field comes back bit for bit."""

import dataclasses
import math
import sys

import pytest
import torch

import aligndec as ad
from aligndec.models import FunctionLM
from aligndec.testing.table_lm import TableLM

LM = TableLM.random(6, order=1, eos_token_id=(0, 5), seed=5)


def run(**kwargs):
    kwargs = dict(max_new_tokens=9, num_return_sequences=4, pad_token_id=2, seed=-3) | kwargs
    return ad.generate(LM, [[1, 2], [3, 4, 5, 1]], **kwargs)


def assert_same(a, b):
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, torch.Tensor):
            assert x.dtype == y.dtype, field.name
            torch.testing.assert_close(x, y, rtol=0, atol=0, equal_nan=True)
        else:
            assert x == y, field.name
    assert a.finish_reason == b.finish_reason


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"per_token": True, "reference": LM, "first_draw": 7, "prompt_ids": [9, 4]},
        {"adaptor": [ad.Adaptor(temperature=0.7, cut_on="base"), ad.Adaptor(top_k=3)]},
        {"reference": FunctionLM(lambda i, m: torch.full((len(i), 6), math.nan), vocab_size=6)},
    ],
    ids=["plain", "everything", "two adaptors", "NaN"],
)
def test_round_trip(tmp_path, kwargs):
    pytest.importorskip("pyarrow")
    out = run(**kwargs)
    out.save(tmp_path / "run.parquet")
    assert_same(out, ad.Generation.load(tmp_path / "run.parquet"))
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]


def test_a_selection_keeps_its_prompts(tmp_path):
    pytest.importorskip("pyarrow")
    out = run().select(torch.tensor([6, 5]))
    out.save(tmp_path / "run.parquet")
    assert_same(out, ad.Generation.load(tmp_path / "run.parquet"))


def test_the_file_reads_as_a_table(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = run()
    out.save(tmp_path / "run.parquet")
    table = parquet.read_table(tmp_path / "run.parquet").to_pydict()
    assert table["tokens"] == out.completions()
    assert table["prompt"] == out.prompts()
    assert table["finish_reason"] == out.finish_reason
    assert table["log_z"] == out.log_z.tolist()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "run.parquet"
    run().save(path)
    before = path.read_bytes()

    def fail(table, where, **kwargs):
        where.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(parquet, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        run(seed=1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_parquet_files_are_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"Generation\.load: path must be a file of"):
        ad.Generation.load(tmp_path / "x.parquet")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'aligndec\[cli\]'"):
        run().save(tmp_path / "run.parquet")


def test_select_and_views():
    out = run()
    some = out.select(torch.tensor([3, 0]))
    assert some.completions() == [out.completions()[3], out.completions()[0]]
    assert some.prompts() == [[1, 2], [1, 2]]
    assert len(some) == 2
    assert torch.equal(some.input_ids, out.input_ids)
    assert out.input_ids.tolist() == [[2, 2, 1, 2], [3, 4, 5, 1]]
    assert torch.equal(out.to("cpu").tokens, out.tokens)
