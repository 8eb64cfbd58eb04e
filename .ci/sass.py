"""The machine code of the CUDA kernels: instructions with the source lines they come from, loops.

A hot loop is named in the source: a comment `// hot: NAME` stands on the line of its `for`. What a
loop does now and then only is marked too, `// seldom: SHARE` on a line, SHARE being the part of the
turns in which that line's code runs. Lines with `// seldom` are looked up through all functions
that were inlined there, so a mark on a call covers what is called.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Place = tuple[str, int]
"""File and line."""

_FUNCTION = re.compile(r"^//-+ \.text\.(\S+) +-+$")
_LABEL = re.compile(r"^(\.L_\S+|\$\S+):")
_CODE = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(.+?)\s*;")
_PLACE = re.compile(r'//## File "([^"]+)", line (\d+)(?: inlined at "([^"]+)", line (\d+))?')
_TARGET = re.compile(r"`\((\.L_\w+)\)")
_GUARD = re.compile(r"^@!?U?P[T0-9]+\s+")


@dataclass(frozen=True)
class Instruction:
    """One instruction; `places`: its line and those it was inlined at."""

    text: str
    places: frozenset[Place]

    @property
    def guarded(self) -> bool:
        """Whether a predicate decides if it runs."""
        return self.text.startswith("@")

    @property
    def opcode(self) -> str:
        """With its modifiers: FADD.FTZ."""
        return _GUARD.sub("", self.text).split()[0]

    @property
    def name(self) -> str:
        """Without modifiers: FADD."""
        return self.opcode.split(".")[0]


@dataclass
class Function:
    """One kernel: instructions, and where labels stand."""

    name: str
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def successors(self, i: int) -> Iterator[int]:
        """Where execution may go on after instruction i."""
        step = self.code[i]
        target = _TARGET.search(step.text)
        if step.name in ("EXIT", "RET") and not step.guarded:
            return
        if step.name in ("BRA", "BRX") and target:
            yield self.labels[target[1]]
            if not step.guarded and "," not in step.text.split("`")[0]:
                return
        if i + 1 < len(self.code):
            yield i + 1

    def loops(self) -> list[list[int]]:
        """Natural loops, innermost ones only, each as its instructions in order."""
        before: dict[int, list[int]] = {}
        for i in range(len(self.code)):
            for j in self.successors(i):
                before.setdefault(j, []).append(i)
        found: dict[int, set[int]] = {}
        for i in range(len(self.code)):
            for head in self.successors(i):
                if head > i:
                    continue
                members, todo = found.setdefault(head, {head}), [i]
                while todo:
                    j = todo.pop()
                    if j not in members:
                        members.add(j)
                        todo += before.get(j, [])
        loops = [m for m in found.values() if min(m) in found]
        return [sorted(m) for m in loops if not any(o < m for o in loops)]


def disassemble(cubin: Path, nvdisasm: str) -> list[Function]:
    """Read all kernels of a cubin that was compiled with -lineinfo."""
    command = [nvdisasm, "-c", "-gi", str(cubin)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return parse(text)


def parse(text: str) -> list[Function]:
    """Read what `nvdisasm -c -gi` prints."""
    functions: list[Function] = []
    places: set[Place] = set()
    fresh = False
    for line in text.splitlines():
        if begin := _FUNCTION.match(line):
            functions.append(Function(begin[1]))
            places = set()
        elif not functions:
            continue
        elif place := _PLACE.search(line):
            if not fresh:
                places, fresh = set(), True
            places.add((place[1], int(place[2])))
            if place[3]:
                places.add((place[3], int(place[4])))
        elif label := _LABEL.match(line):
            functions[-1].labels[label[1]] = len(functions[-1].code)
        elif code := _CODE.match(line):
            fresh = False
            functions[-1].code.append(Instruction(code[1], frozenset(places)))
    return [f for f in functions if f.code]


_MARK = re.compile(r"// (hot|seldom): (\S+)")


def marks(sources: Iterator[Path]) -> tuple[dict[str, set[Place]], dict[Place, float]]:
    """Read the marks: the places of each hot loop, and the share in which other places run.

    A mark speaks for its statement: its line and those before it that do not end one.
    """
    hot: dict[str, set[Place]] = {}
    seldom: dict[Place, float] = {}
    for path in sources:
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            mark = _MARK.search(line)
            if mark is None:
                continue
            first = i
            while first > 0 and not lines[first - 1].rstrip().endswith((";", "{", "}", ":")):
                first -= 1
            for number in range(first + 1, i + 2):
                if mark[1] == "hot":
                    hot.setdefault(mark[2], set()).add((path.name, number))
                else:
                    seldom[path.name, number] = float(mark[2])
    return hot, seldom


@dataclass(frozen=True)
class Loop:
    """What one turn of a hot loop costs, divided by the logits that it reads."""

    instructions: float
    float64: float
    shared: float
    """Wavefronts of the shared memory."""
    logits: int


_WIDTH = {"128": 16, "64": 8, "U16": 2, "U8": 1}


def measure(function: Function, loop: list[int], seldom: dict[Place, float]) -> Loop:
    """Count a loop; an instruction on a marked line counts in part."""
    total = float64 = shared = 0.0
    loaded = {"LDS": 0, "LDG": 0}
    for i in loop:
        step = function.code[i]
        shares = [seldom[p] for p in ((Path(f).name, n) for f, n in step.places) if p in seldom]
        share = min(shares, default=1.0)
        total += share
        width = max((_WIDTH.get(part, 4) for part in step.opcode.split(".")[1:]), default=4)
        if step.name in ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX") or ".F64" in step.opcode:
            float64 += share
        if step.name in loaded and share == 1.0:
            loaded[step.name] += width
        if step.name in ("LDS", "STS"):
            shared += share * width / 4
        if step.name == "ATOMS":
            shared += share * 3.5
    logits = 1
    return Loop(total, float64, shared, logits)
