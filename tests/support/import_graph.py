"""The package's imports as a graph, read from the source: nothing is executed."""

import ast
from collections import defaultdict
from pathlib import Path

Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Dotted name to file; a package stands for its `__init__.py`, its face."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Graph:
    """Module to the modules it names in import statements, inside functions too."""
    known, graph = modules(root), defaultdict(set)
    for name, path in known.items():
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                # Inside of a package `from package import module` means the module; from outside
                # what a face hands on is its own affair.
                inside = name.startswith(f"{node.module}.")
                named = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [n if inside and n in known else node.module for n in named]
            else:
                continue
            graph[name] |= {t for t in targets if t in known and t != name}
    return dict(graph)


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that can all reach each other (Tarjan 1972), the largest first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return sorted(found, key=len, reverse=True)
