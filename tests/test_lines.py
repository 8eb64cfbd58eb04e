"""Loops that are lines: each stage knows earlier stages only, and the loop alone knows them all."""

from pathlib import Path

import pytest
from support.import_graph import Graph, imports

PACKAGE = Path(__file__).parents[1] / "aligndec"
IN_CHECKOUT = PACKAGE.is_dir()

pytestmark = pytest.mark.skipif(not IN_CHECKOUT, reason="needs the source tree")

# The stages of a line in their order, and who may know all of them.
LINES = {
    "transfer_q": ("candidates", "branches", "rollouts", "values", "choice", "commit"),
    "global_law.rejection": ("strings", "draw", "accept", "records", "refill"),
}
LOOP, RECORDS = "loop", "records"
GRAPH = imports(PACKAGE) if IN_CHECKOUT else {}


def room(graph: Graph, name: str) -> Graph:
    """The modules of a package and what they import of it, by their names inside of it."""
    prefix = f"aligndec.{name}."
    return {
        module.removeprefix(prefix): {t.removeprefix(prefix) for t in targets if prefix in t}
        for module, targets in graph.items()
        if module.startswith(prefix)
    }


def reached(graph: Graph, module: str) -> set[str]:
    """Everything that a module imports, itself or through others."""
    seen: set[str] = set()
    todo = {module}
    while todo:
        todo = set().union(*(graph[m] for m in todo)) - seen
        seen |= todo
    return seen


def backward(graph: Graph, stages: tuple[str, ...]) -> list[str]:
    """Arrows from a stage to a later one, or to the loop."""
    later = {stage: {*stages[i + 1 :], LOOP} for i, stage in enumerate(stages)}
    return [f"{s} -> {t}" for s in stages for t in sorted(reached(graph, s) & later[s])]


@pytest.mark.parametrize("name", LINES)
def test_stages_know_earlier_ones_only(name: str) -> None:
    assert not backward(room(GRAPH, name), LINES[name])


@pytest.mark.parametrize("name", LINES)
def test_the_loop_alone_knows_all_stages(name: str) -> None:
    graph = room(GRAPH, name)
    assert [m for m, targets in graph.items() if targets >= set(LINES[name])] == [LOOP]


def test_no_stage_of_transfer_q_sees_the_records() -> None:
    graph = room(GRAPH, "transfer_q")
    assert RECORDS in graph[LOOP]
    assert not [s for s in LINES["transfer_q"] if RECORDS in reached(graph, s)]


def test_arrows_backward_are_found() -> None:
    line = {"a": {"x"}, "b": {"a"}, "c": {"a", "b"}, "x": set[str](), LOOP: {"a", "b", "c"}}
    assert backward(line, ("a", "b", "c")) == []
    assert backward({**line, "x": {"c"}}, ("a", "b", "c")) == ["a -> b", "a -> c", "b -> c"]
    assert backward({**line, "b": {LOOP}}, ("a", "b", "c")) == ["b -> c", "b -> loop", "c -> loop"]
