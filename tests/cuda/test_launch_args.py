"""The ctypes mirrors of the argument structs are laid out like the compiled ones."""

import ctypes
import os
import shutil
import subprocess

import pytest
from support import launch_args
from support.host_cuda import ROOT

HEADERS = sorted(p.name for p in (ROOT / "csrc" / "launch").glob("*.h") if "_entry" not in p.name)


def mirrors() -> dict[str, type[ctypes.Structure]]:
    """Every mirror in the module, by the name of the struct."""
    named = [*vars(launch_args).values(), *launch_args.SPARSE.values()]
    return {m.__name__: m for m in named if isinstance(m, type) and issubclass(m, ctypes.Structure)}


def claims(name: str, mirror: type[ctypes.Structure]) -> list[str]:
    """The offset of each field and the size of the struct, as C++ assertions."""
    struct = f"aligndec::{name}"
    offsets = {field: getattr(mirror, field).offset for field, *_ in mirror._fields_}
    found = [
        f'static_assert(offsetof({struct}, {field}) == {offset}, "{name}.{field}");'
        for field, offset in offsets.items()
    ]
    return [
        *found,
        f'static_assert(sizeof({struct}) == {ctypes.sizeof(mirror)}, "size of {name}");',
    ]


def refused(lines: list[str]) -> str:
    """What the compiler says of these assertions; nothing when they hold."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ (set CXX)")
    include = [f'#include "launch/{name}"' for name in HEADERS if name != "half.h"]
    source = "\n".join(["#include <cstddef>", *include, *lines])
    command = [*compiler.split(), "-std=c++20", "-fsyntax-only", "-Wno-invalid-offsetof"]
    command += [f"-I{ROOT / 'csrc'}", "-x", "c++", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return done.stderr


def test_every_field_is_where_the_kernels_look_for_it() -> None:
    found = mirrors()
    assert len(found) >= 20
    said = refused([line for name, mirror in found.items() for line in claims(name, mirror)])
    assert not said, said[:2000]


def test_a_field_that_moved_is_noticed() -> None:
    moved = launch_args.structure("ChainArgs", "log_weight* length chains seed sequence_ids*")
    said = refused(claims("ChainArgs", moved))
    assert "ChainArgs.length" in said
    assert "ChainArgs.seed" not in said
    assert "size of ChainArgs" in said
