"""Names that torch, transformers and TRL do not promise stand in one module each."""

import ast
from pathlib import Path

import pytest

import aligndec

PACKAGE = Path(aligndec.__file__).parent
COMPAT = {"ops/compat.py", "models/hf/compat.py", "integrations/trl/compat.py"}
LIBRARIES = ("torch", "transformers", "trl")
# Modules of transformers that it documents for use by others.
DOCUMENTED = {"transformers", "transformers.utils"}

MODULES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def own_names() -> set[str]:
    """Every private name that the package itself gives to something, and those of Python."""
    names = {"_fields", "_replace", "_asdict", "_C"}  # namedtuple, and the extension
    for path, tree in MODULES.items():
        if path.relative_to(PACKAGE).as_posix() in COMPAT:
            continue  # what they override is not ours
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):  # a function of a module is no attribute
                names.update(n.name for n in node.body if isinstance(n, ast.FunctionDef))
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr__"):
                names.update(n.value for n in node.args[1:2] if isinstance(n, ast.Constant))
            elif isinstance(node, ast.alias) and node.asname:
                names.add(node.asname)
    return names


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    return []


OWN = own_names()


def foreign(tree: ast.AST) -> list[str]:
    """Private names of these libraries in a module, with their lines."""
    found = []
    for node in ast.walk(tree):
        for name in imported(node):
            top, *rest = name.split(".")
            if top in LIBRARIES and any(map(is_private, rest)):
                found.append((node.lineno, name))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transformers"):
            found += [(node.lineno, node.module)] * (node.module not in DOCUMENTED)
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            parts = ast.unparse(node).split(".")
            if parts[0] in LIBRARIES or node.attr not in OWN:
                found.append((node.lineno, ast.unparse(node)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value) and name.value not in OWN:
                found.append((node.lineno, name.value))
    return [f"{line}: {name}" for line, name in found]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_private_names_of_libraries_stand_in_one_place(path: Path) -> None:
    found = foreign(MODULES[path])
    # The compat modules are where such names belong, and show that they are found.
    assert bool(found) == (path.relative_to(PACKAGE).as_posix() in COMPAT), found


@pytest.mark.parametrize(
    "line",
    [
        "import torch._C",
        "from torch._C import _is_tracing",
        "from torch.utils import _pytree",
        "from transformers.cache_utils import DynamicLayer",
        "torch.ops.mkldnn._is_mkldnn_bf16_supported()",
        "weight._version",
        "getattr(model, '_supports_default_dynamic_cache', None)",
    ],
)
def test_a_private_name_is_found(line: str) -> None:
    assert foreign(ast.parse(line))
