"""One Parquet file per run: explicit schema, metadata as JSON in the footer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aligndec._version import __version__
from aligndec.generation.penalised import as_json, from_json
from aligndec.shared import kind_of, offsets_of, result_type, write_table
from aligndec.step import Adaptor, KeptSets

__all__ = ["read_generation", "write_generation"]

_KEY = b"aligndec.generation"
_FORMAT = 1
_INT = ("draw", "length", "status")
_SUMS = ("log_p", "log_q", "log_z", "log_kept", "kl")
_OPTIONAL = ("log_p_ref",)
_PER_TOKEN = tuple(f"token_{name}" for name in (*_SUMS, "log_p_ref"))
_CHUNK = 2**30  # ids


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Generation.save and Generation.load need pyarrow: pip install 'aligndec[cli]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _ragged(pa: Any, values: Tensor, length: Tensor, *, last: bool = False) -> Any:
    """List column of the first (or last) `length` entries of each row of `values` [N, T]."""
    column = torch.arange(values.shape[1])
    start = values.shape[1] - length if last else torch.zeros_like(length)
    keep = (column >= start[:, None]) & (column < (start + length)[:, None])
    offsets = torch.nn.functional.pad(length.cumsum(0), (1, 0))
    flat = pa.array(values[keep].numpy())
    return pa.LargeListArray.from_arrays(pa.array(offsets.numpy()), flat)


def _padded(column: Any, width: int, fill: float, dtype: torch.dtype) -> Tensor:
    """Inverse of `_ragged` for values at the start of their rows."""
    lists = column.to_pylist()
    out = torch.full((len(lists), width), fill, dtype=dtype)
    for row, values in zip(out, lists, strict=True):
        row[: len(values)] = torch.tensor(values, dtype=dtype)
    return out


def _set_column(pa: Any, kept: KeptSets, length: Tensor) -> Any:
    """Column list<list<int32>>: per string the sets of its tokens, null where not complete."""
    width = kept.batch // max(len(length), 1)
    there = torch.arange(width) < length[:, None]
    sets = kept.select(there.reshape(-1).nonzero()[:, 0])
    token = offsets_of(length)  # where each string starts in `sets`
    ids = sets.offsets[token] // _CHUNK
    # A list counts in 32 bits: another chunk wherever a string reaches into another block of ids.
    bounds: Any = (ids.diff()[1:] > 0).nonzero()[:, 0] + 1 if len(length) else []
    chunks = []
    for first, last in pairwise([0, *map(int, bounds), len(length)]):
        own = sets.select(torch.arange(int(token[first]), int(token[last])))
        unknown = torch.nn.functional.pad(~own.complete, (0, 1)).numpy()
        offsets = pa.array(own.offsets.numpy(), pa.int32(), mask=unknown)
        inner = pa.ListArray.from_arrays(offsets, pa.array(own.ids.numpy()))
        starts = (token[first : last + 1] - token[first]).numpy()
        chunks.append(pa.ListArray.from_arrays(pa.array(starts, pa.int32()), inner))
    return pa.chunked_array(chunks)


def _kept_sets(column: Any, length: Tensor, width: int) -> KeptSets:
    """Inverse of `_set_column`."""
    lengths, known, ids = [torch.zeros(0).long()], [torch.zeros(0).bool()], [torch.zeros(0).int()]

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(values.to_numpy(zero_copy_only=False).copy())

    for chunk in column.chunks:
        sets = chunk.flatten()
        lengths.append(tensor(sets.value_lengths().fill_null(0)).long())
        known.append(tensor(sets.is_valid()))
        ids.append(tensor(sets.flatten()))
    there = (torch.arange(width) < length[:, None]).reshape(-1)
    sizes, complete = torch.zeros(len(there)).long(), torch.ones(len(there)).bool()
    sizes[there], complete[there] = torch.cat(lengths), torch.cat(known)
    return KeptSets(torch.cat(ids), offsets_of(sizes), complete)


def write_generation(
    generation: Any,
    base: type,
    path: Path,
    more: Mapping[str, Any] | None = None,
    footer: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write a `Generation` (`base`, or a class that extends it) under `path`, atomically.

    `more`: further columns [N], which reading leaves alone; `footer`: further metadata.
    """
    pa, _ = _pyarrow()
    g = generation.to("cpu")
    prompt_length = g.attention_mask.sum(1)[g.prompt_index]
    columns: dict[str, Any] = {
        "prompt_id": pa.array(g.prompt_ids[g.prompt_index].numpy()),
        "prompt_index": pa.array(g.prompt_index.numpy()),
        "prompt": _ragged(pa, g.input_ids[g.prompt_index], prompt_length, last=True),
        "tokens": _ragged(pa, g.tokens, g.length),
        "finished": pa.array(g.finished.numpy()),
        "finish_reason": pa.array(g.finish_reason, pa.string()),
    }
    if g.text is not None:
        columns["prompt_text"] = pa.array(g.prompt_texts(), pa.large_string())
        columns["text"] = pa.array(g.texts(), pa.large_string())
    for name in (*_INT, *_SUMS):
        columns[name] = pa.array(getattr(g, name).numpy())
    for name in (*_OPTIONAL, *_PER_TOKEN):
        value = getattr(g, name)
        if value is not None:
            flat = value.dim() == 1
            columns[name] = pa.array(value.numpy()) if flat else _ragged(pa, value, g.length)
    if g.kept is not None:
        columns["kept_ids"] = _set_column(pa, g.kept, g.length)
    common = {f.name for f in dataclasses.fields(base)}
    own = {f.name: getattr(g, f.name) for f in dataclasses.fields(g) if f.name not in common}
    for name, value in own.items():  # what a reward brings: a column per sum, counters beside
        if isinstance(value, Tensor):
            columns[name] = pa.array(value.numpy())
    metadata = {
        "own": {k: None if isinstance(v, Tensor) else v for k, v in own.items()},
        "kind": "" if type(g) is base else kind_of(type(g)),
        "format": _FORMAT,
        "version": __version__,
        "seed": g.seed,
        "max_new_tokens": g.max_new_tokens,
        "pad_token_id": g.pad_token_id,
        "eos_token_id": list(g.eos_token_id),
        "adaptors": [dataclasses.asdict(adaptor) for adaptor in g.adaptors],
        "penalties": as_json(g.penalties),
        "stop_strings": g.stop_strings,
        "width": g.tokens.shape[1],
        "prompt_width": g.input_ids.shape[1],
        # Prompts that no row continues (after `select`): the "prompt" column does not hold them.
        "other_prompts": {
            i: g.input_ids[i][g.attention_mask[i]].tolist()
            for i in set(range(len(g.prompt_ids))) - set(g.prompt_index.tolist())
        },
        "prompt_ids": g.prompt_ids.tolist(),
        "prompt_text": g.prompt_text,
    }
    columns |= more or {}
    own_footer = {_KEY: json.dumps(metadata).encode(), **(footer or {})}
    table = pa.table(columns).replace_schema_metadata(own_footer)
    write_table(table, path)


def _kind(meta: dict[str, Any], base: type) -> Any:
    """Return the class that a file names, `base` or one of this package that extends it."""
    # Files of older versions do not name it: what has fields of its own came from Transfer Q*.
    first = "aligndec.transfer_q:TransferQGeneration" if meta.get("own") else ""
    name = meta.get("kind", first)
    kind = result_type(name) if name else base
    if kind is None or not issubclass(kind, base):
        raise ValueError(
            f"Generation.load: kind must be a result type of this aligndec, got {name}"
        )
    return kind


def read_generation(base: type, path: Path) -> Any:
    """Read what `write_generation` wrote."""
    _, pq = _pyarrow()
    table = pq.read_table(path)
    raw = (table.schema.metadata or {}).get(_KEY)
    if raw is None:
        raise ValueError(f"Generation.load: path must be a file of Generation.save, got {path}")
    meta = json.loads(raw)
    if meta["format"] > _FORMAT:
        raise ValueError(
            f"Generation.load: format must be <= {_FORMAT}, got {meta['format']} (written by "
            f"aligndec {meta['version']})"
        )

    def flat(name: str) -> Tensor:
        return torch.from_numpy(table[name].to_numpy(zero_copy_only=False).copy())

    pad, names = meta["pad_token_id"], set(table.column_names)
    prompt_index, width = flat("prompt_index"), meta["prompt_width"]
    prompts = {int(i): prompt for i, prompt in meta["other_prompts"].items()}
    prompts |= dict(zip(prompt_index.tolist(), table["prompt"].to_pylist(), strict=True))
    input_ids = torch.full((len(prompts), width), pad, dtype=torch.int64)
    attention_mask = torch.zeros(len(prompts), width, dtype=torch.bool)
    for i, prompt in prompts.items():
        input_ids[i, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.int64)
        attention_mask[i, width - len(prompt) :] = True
    fields: dict[str, Any] = {name: flat(name) for name in (*_INT, *_SUMS)}
    fields |= {name: flat(name) for name in _OPTIONAL if name in names}
    for name in _PER_TOKEN:
        if name in names:
            fields[name] = _padded(table[name], meta["width"], 0.0, torch.float64)
    if "kept_ids" in names:
        fields["kept"] = _kept_sets(table["kept_ids"], fields["length"], meta["width"])
    if meta.get("stop_strings"):
        reasons = table["finish_reason"].to_pylist()
        fields["stopped"] = torch.tensor([reason == "stop" for reason in reasons])
    if meta.get("prompt_text") is not None:
        fields["prompt_text"] = tuple(meta["prompt_text"])
        fields["text"] = tuple(table["text"].to_pylist())
    own = meta.get("own", {})
    fields |= {name: flat(name) if value is None else value for name, value in own.items()}
    return _kind(meta, base)(
        tokens=_padded(table["tokens"], meta["width"], pad, torch.int64),
        input_ids=input_ids,
        attention_mask=attention_mask,
        prompt_ids=torch.tensor(meta["prompt_ids"], dtype=torch.int64),
        prompt_index=prompt_index,
        finished=flat("finished"),
        seed=meta["seed"],
        max_new_tokens=meta["max_new_tokens"],
        pad_token_id=pad,
        eos_token_id=tuple(meta["eos_token_id"]),
        penalties=from_json(meta.get("penalties")),
        stop_strings=tuple(meta.get("stop_strings", ())),
        adaptors=tuple(Adaptor(**values) for values in meta["adaptors"]),
        **fields,
    )
