"""Results: machine and versions, the table on the terminal, the JSON file."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from interleave import Timing
from suite import LIMITS

import aligndec as ad

__all__ = ["Load", "Row", "gpu", "load_rows", "save", "show"]

_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "ATEN_CPU_CAPABILITY")


@dataclass(frozen=True)
class Row:
    """One measured ratio; `section` names its entry of `suite.LIMITS`."""

    section: str
    adaptor: str
    logits: str
    shape: tuple[int, ...]
    threads: int
    against: str
    ratio: float
    ours: float  # seconds (bytes for memory)
    theirs: float
    repeats: int
    ours_median: float = 0.0
    theirs_median: float = 0.0

    @classmethod
    def timed(cls, section: str, *place: Any, ours: Timing, theirs: Timing) -> "Row":
        """The row of two timings; `place`: the fields from `adaptor` to `against`."""
        ratio = LIMITS[section].ratio(ours.best, theirs.best)
        times = (ours.best, theirs.best, ours.repeats, ours.median, theirs.median)
        return cls(section, *place, ratio, *times)

    @property
    def ok(self) -> bool:
        return LIMITS[self.section].met(self.ratio)


class Load:
    """CPU time that other processes took while this object lives: the quietness of the machine."""

    def __init__(self) -> None:
        self._start = self._now()
        self.average = os.getloadavg()[0]

    def others(self) -> float:
        """Busy cores of other processes since the start, on average."""
        wall, busy, own = (b - a for a, b in zip(self._start, self._now(), strict=True))
        return round(max(0.0, busy - own) / max(wall, 1e-9), 2)

    @staticmethod
    def _now() -> tuple[float, float, float]:
        try:
            fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
            user, nice, system, _, _, irq, softirq, steal = map(int, fields)
            busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            busy = 0.0
        own = os.times()
        return time.monotonic(), busy, sum(own[:4])


def machine() -> dict[str, Any]:
    """Processor, cores, caches and instruction sets as lscpu and torch name them."""
    out: dict[str, Any] = {"system": platform.platform(), "cores": os.cpu_count()}
    try:
        text = subprocess.run(["lscpu", "-J"], capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return out | {"model": platform.processor()}
    entries, wanted = json.loads(text)["lscpu"], {}
    while entries:  # some versions nest the entries
        entry = entries.pop(0)
        entries += entry.get("children", [])
        wanted[entry["field"].rstrip(":")] = entry["data"]
    names = {"Model name": "model", "CPU family": "family", "Model": "model_number"}
    names |= {"L2 cache": "l2", "L3 cache": "l3"}
    out |= {name: wanted[field] for field, name in names.items() if field in wanted}
    return out | {"torch_capability": torch.backends.cpu.get_cpu_capability()} | gpu()


def gpu() -> dict[str, Any]:
    """What the roofline of the GPU follows from, when this process has used one."""
    if not torch.cuda.is_initialized():
        return {}
    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    # Two transfers a clock; the clock is in kHz, the bus in bits.
    bandwidth = 2e3 * found.memory_clock_rate * found.memory_bus_width / 8
    return {
        "gpu": found.name,
        "gpu_capability": f"{found.major}.{found.minor}",
        "gpu_multiprocessors": found.multi_processor_count,
        "gpu_l2": found.L2_cache_size,
        "gpu_bytes_per_second": bandwidth,
    }


def versions() -> dict[str, Any]:
    out: dict[str, Any] = {"python": platform.python_version()}
    for package in ("torch", "transformers", "numpy"):
        try:
            out[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            out[package] = None
    return out | {"aligndec": ad.build_info()}


def save(
    path: Path, rows: Sequence[Row], load: Load, command: str | None = None, **more: Any
) -> None:
    """Write the rows with everything that is needed to judge or repeat them, and `more`.

    The file is replaced as a whole: who is stopped meanwhile leaves the one before.
    """
    record = {
        "command": command or " ".join(["python", *sys.argv]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "environment": {name: os.environ.get(name) for name in _VARIABLES},
        "load": {"average_at_start": load.average, "busy_cores_of_others": load.others()},
        "limits": {name: limit._asdict() for name, limit in LIMITS.items()},
        "rows": [asdict(row) | {"ok": row.ok} for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record | more, indent=1) + "\n")
    new.replace(path)


def load_rows(path: Path) -> list[Row]:
    """Return the rows of a file that `save` has written; none when there is no file."""
    if not path.is_file():
        return []
    rows = json.loads(path.read_text())["rows"]
    return [
        Row(**{k: v for k, v in r.items() if k != "ok"} | {"shape": tuple(r["shape"])})
        for r in rows
    ]


def _seconds(value: float) -> str:
    if value < 1e-4:
        return f"{value * 1e6:.1f} us"
    return f"{value * 1e6:.0f} us" if value < 1e-3 else f"{value * 1e3:.2f} ms"


def show(rows: Sequence[Row]) -> str:
    """Lines of a table: target, measured, ok."""
    head = ("what", "adaptor", "logits", "shape", "thr", "against", "ours", "theirs")
    table = [(*head, "target", "measured", "ok")]
    for row in rows:
        limit = LIMITS[row.section]
        memory = row.section == "memory"
        sizes = [f"{v / 2**20:.2f} MiB" if memory else _seconds(v) for v in (row.ours, row.theirs)]
        shape = " x ".join(map(str, row.shape))
        cells = (row.section, row.adaptor, row.logits, shape, str(row.threads), row.against, *sizes)
        result = (f"{limit.sense} {limit.target:g}", f"{row.ratio:.4g}", "yes" if row.ok else "NO")
        table.append((*cells, *result))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in table]
    missed = sum(not row.ok for row in rows)
    return "\n".join([*lines, f"{len(rows)} ratios, {missed} outside of their target"])
