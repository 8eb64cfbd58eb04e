"""Small things that every room uses: checks of arguments, files, progress, lazy names."""

from aligndec.shared.files import PARTIAL, replacing
from aligndec.shared.ids import in_vocabulary, integers, listed, token_ids
from aligndec.shared.laws import (
    Rows,
    as_rows,
    broadcast,
    lead_of,
    numbers,
    on_support,
    refuse_infinite,
    rewards_and_law,
    tensor_of,
)
from aligndec.shared.lazy import lazily
from aligndec.shared.log import logger
from aligndec.shared.progress import token_bar
from aligndec.shared.ragged import dense, offsets_of, picked, row_of_entry
from aligndec.shared.replicates import at_a_time
from aligndec.shared.scalars import at_least, at_least_if_given, real, whole
from aligndec.shared.tensors import draw_uniforms, on_device, positions_of, seed_of, vector

__all__ = [
    "PARTIAL",
    "Rows",
    "as_rows",
    "at_a_time",
    "at_least",
    "at_least_if_given",
    "broadcast",
    "dense",
    "draw_uniforms",
    "in_vocabulary",
    "integers",
    "lazily",
    "lead_of",
    "listed",
    "logger",
    "numbers",
    "offsets_of",
    "on_device",
    "on_support",
    "picked",
    "positions_of",
    "real",
    "refuse_infinite",
    "replacing",
    "rewards_and_law",
    "row_of_entry",
    "seed_of",
    "tensor_of",
    "token_bar",
    "token_ids",
    "vector",
    "whole",
]
