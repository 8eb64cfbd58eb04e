"""The house: rooms by subject, arrows downwards, no circles, faces that define nothing."""

import ast
from pathlib import Path

import pytest
from support.import_graph import circles, imports, modules

PACKAGE = Path(__file__).parents[1] / "aligndec"
IN_CHECKOUT = PACKAGE.is_dir()

pytestmark = pytest.mark.skipif(not IN_CHECKOUT, reason="needs the source tree")

# Bottom first. A room may import rooms of lower floors and, without a circle, of its own.
FLOORS = (
    {"errors", "rng", "_version", "shared"},
    {"reference"},
    {"ops"},
    {"step"},
    {"imh", "tilting", "best_of_n", "asymptotics", "tradeoff"},
    {"models"},
    {"generation"},
    {"transfer_q", "global_law", "rewards", "rl", "plots", "testing"},
    {"cli", "integrations", "corpus"},
)
# Where names that users had are still to be found.
OLD_PLACES = {"adaptors", "state", "global_sampler", "backend"}
# Its folders are commands, not rooms: one command line that imports what it needs.
COMMANDS = "aligndec.cli"
GRAPH = imports(PACKAGE) if IN_CHECKOUT else {}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


def test_every_room_has_a_floor() -> None:
    rooms = {room(m) for m in GRAPH} - {""} - OLD_PLACES
    assert len(rooms) >= 15
    assert rooms <= set().union(*FLOORS)


def test_arrows_point_downwards() -> None:
    up = []
    for module, targets in GRAPH.items():
        here = room(module)
        if not here or here in OLD_PLACES:
            continue
        for target in targets:
            # The package itself stands above all rooms but the command line.
            there = room(target)
            above = floor(there) > floor(here) if there else here not in FLOORS[-1]
            if above or there in OLD_PLACES:
                up.append(f"{module} -> {target}")
    assert not up, up


def test_no_circles() -> None:
    assert not circles(GRAPH)


def test_no_circles_between_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for module, targets in GRAPH.items():
        here = rooms.setdefault(room(module), set())
        here |= {room(t) for t in targets} - {room(module)}
    del rooms[""]
    assert not circles({name: {t for t in targets if t} for name, targets in rooms.items()})


def test_rooms_are_entered_by_their_face() -> None:
    """From outside of a package only the package is imported, never one of its modules."""
    packages = [m for m, path in modules(PACKAGE).items() if path.name == "__init__.py"]
    past = []
    for module, targets in GRAPH.items():
        for target in targets:
            inside = [p for p in packages if p != "aligndec" and target.startswith(f"{p}.")]
            strangers = [p for p in inside if not f"{module}.".startswith(f"{p}.")]
            if strangers and not (module + ".").startswith(f"{COMMANDS}."):
                past.append(f"{module} -> {target}")
    assert not past, past


def test_faces_define_nothing() -> None:
    faces = [path for path in modules(PACKAGE).values() if path.name == "__init__.py"]
    assert len(faces) >= 15
    for path in faces:
        for node in ast.parse(path.read_text()).body:
            passes_on = isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.If))
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert passes_on or docstring, f"{path.parent.name}: {ast.unparse(node)[:60]}"


def test_the_top_is_a_lobby() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 14


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, [["b", "c"]]),
        ({"a": {"b", "c"}, "b": {"a"}, "c": {"d"}, "d": {"c"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], found: list[list[str]]) -> None:
    assert sorted(circles(graph)) == found
