"""Stage 6, commit: the models go on behind the chosen branches, s_t+1 = [s_t, z]."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.transfer_q.branches import Branches
from aligndec.transfer_q.cursor import Cursor
from aligndec.transfer_q.live import Live
from aligndec.transfer_q.options import Options

__all__ = ["commit"]


def commit(options: Options, live: Live, branches: Branches, branch: Tensor, index: Tensor) -> Live:
    """Return live strings `index` int64 [m] behind their branches, `branch` int64 [b].

    The baseline has read the branches already: the chosen ones' columns of its cache are kept.
    """
    if len(index) == 0:
        return live.select(index)
    branch = branch[index]
    tokens = branches.paths.tokens[branch]
    baseline = _behind(options, live.baseline, branches, branch, tokens[:, -1], index)
    sft = live.sft
    if sft is not None:
        first, *rest = tokens.unbind(1)
        sft = sft.branch(index, first)
        for column in rest:
            sft = sft.feed(column)
    return Live(live.rows[index], live.sequence_ids[index], baseline, sft)


def _behind(
    options: Options,
    baseline: Cursor,
    branches: Branches,
    branch: Tensor,
    last: Tensor,
    index: Tensor,
) -> Cursor:
    """Return the baseline behind branches [m], whose last tokens it may still have to read."""
    front = branches.front
    if front is None:
        return baseline.branch(index, last)
    place = torch.zeros(len(branches.owner), dtype=torch.int64, device=index.device)
    place[front.index] = torch.arange(len(front.index), device=index.device)
    at = place[branch]
    return front.cursor.branch(at, last) if options.look_ahead == 0 else front.cursor.select(at)
