"""The folder of a run: names by content, complete files, one run at a time."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("pyarrow")
pytest.importorskip("typer")

from aligndec.cli.console import CliError
from aligndec.cli.records import Records, fingerprint, tensor_digest


def test_fingerprints_depend_on_every_value_and_on_no_order() -> None:
    base = {"seed": 0, "adaptor": {"top_k": 5, "temperature": 1.0}, "prompt": [1, 2]}
    same = {"prompt": [1, 2], "adaptor": {"temperature": 1.0, "top_k": 5}, "seed": 0}
    assert fingerprint(base) == fingerprint(same)
    for change in ({"seed": 1}, {"prompt": [2, 1]}, {"adaptor": {"top_k": 5, "temperature": 0.9}}):
        assert fingerprint(base) != fingerprint({**base, **change})


def test_a_digest_sees_every_bit() -> None:
    weight = torch.zeros(3, 2)
    seen = {
        tensor_digest({"w": weight}),
        tensor_digest({"v": weight}),
        tensor_digest({"w": weight.T}),
    }
    seen |= {tensor_digest({"w": weight.half()}), tensor_digest({"w": weight - 0.0 * weight - 0.0})}
    changed = weight.clone()
    changed[2, 1] = torch.finfo(torch.float32).tiny
    seen.add(tensor_digest({"w": changed}))
    assert len(seen) == 5  # the last but one has the same bits
    assert tensor_digest({"w": torch.zeros(2, 3).T}) == tensor_digest({"w": weight})
    assert tensor_digest({"w": weight.bfloat16()}) != tensor_digest({"w": weight.half()})


def test_a_part_is_made_once(tmp_path: Path) -> None:
    records, calls = Records(tmp_path), []

    def make() -> dict[str, list[float]]:
        calls.append(1)
        return {"x": [1.5, 2.5]}

    path = records.path("kind", "name", {"seed": 0})
    for _ in range(2):
        assert records.columns(path, make)["x"].tolist() == [1.5, 2.5]
    assert len(calls) == 1
    records.columns(records.path("kind", "name", {"seed": 1}), make)
    assert len(calls) == 2


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path)
    path = records.path("kind", "name", {})
    with pytest.raises(ZeroDivisionError):
        records.columns(path, lambda: {"x": [1 / 0]})
    assert list(path.parent.iterdir()) == []


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    records = Records(tmp_path)
    path = records.path("kind", "name", {})
    path.write_bytes(b"half of a file")
    with pytest.raises(CliError, match=rf"{path.name} cannot be read .*: remove it"):
        records.columns(path, dict)


def test_one_run_at_a_time_and_leftovers_go(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Records(folder).lock():
        leftover = folder / "strings" / ".part.parquet.1.partial"
        leftover.parent.mkdir()
        leftover.touch()
        with (
            pytest.raises(CliError, match="no other run is using"),
            Records(folder).lock(),
        ):
            pass
        assert leftover.exists()
    with Records(folder).lock():
        assert not leftover.exists()
