"""What decoding a row costs in memory, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["free_memory", "row_bytes", "tensor_bytes"]

_ROOM = 2.0
"""A growing cache has room for half as much again, and a gather holds the old one beside it."""
_LOGITS = 16
"""Bytes per token of the vocabulary: a row of float32 logits, its copy, and the step's own."""
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated: of the GPU, or of this machine and its control group."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held
    amounts = [_available()]
    try:  # a container's own bound
        most = (_CGROUP / "memory.max").read_text().strip()
        if most != "max":
            used = int((_CGROUP / "memory.current").read_text())
            amounts.append(int(most) - used)
    except (OSError, ValueError):
        pass
    return max(0, min(amounts))


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    # Other systems tell what they have, not what is free: a half of it.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def row_bytes(lm: Any, ids: Tensor, mask: Tensor, max_new_tokens: int) -> int:
    """Bytes that a row of `lm` takes at its longest: its state, which is measured, and its logits.

    Parameters
    ----------
    lm : StepLM
    ids, mask : int64 and bool [1, T]
        The longest prompt, which is read once.
    max_new_tokens : int
        Length cap.
    """
    width = ids.shape[1]
    state = tensor_bytes(lm.prefill(ids, mask)[1])
    return int(_ROOM * state * (width + max_new_tokens) / width) + _LOGITS * int(lm.vocab_size)


def tensor_bytes(state: Any) -> int:
    """Bytes of all tensors that can be reached from an object, each storage once."""
    seen: set[int] = set()
    total, todo = 0, [state]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, torch.nn.Module):
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            total += item.numel() * item.element_size()
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list | tuple | set):
            todo.extend(item)
        elif hasattr(item, "__dict__") and not isinstance(item, type):
            todo.extend(vars(item).values())
    return total
