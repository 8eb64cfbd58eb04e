"""Small things that every room uses: checks of arguments, files, progress, lazy names."""

from aligndec.shared.digests import file_digest, fingerprint, tensor_digest
from aligndec.shared.files import PARTIAL, replacing, write_table
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
from aligndec.shared.results import kind_of, restore, result, result_type
from aligndec.shared.scalars import (
    at_least,
    at_least_if_given,
    plain,
    plain_arguments,
    plain_fields,
    real,
    whole,
)
from aligndec.shared.seeds import fresh_seed, run_seed
from aligndec.shared.show import SHOWN, as_frame, as_html, as_text, place_columns
from aligndec.shared.tensors import draw_uniforms, on_device, positions_of, seed_of, vector

__all__ = [
    "PARTIAL",
    "SHOWN",
    "Rows",
    "as_frame",
    "as_html",
    "as_rows",
    "as_text",
    "at_a_time",
    "at_least",
    "at_least_if_given",
    "broadcast",
    "dense",
    "draw_uniforms",
    "file_digest",
    "fingerprint",
    "fresh_seed",
    "in_vocabulary",
    "integers",
    "kind_of",
    "lazily",
    "lead_of",
    "listed",
    "logger",
    "numbers",
    "offsets_of",
    "on_device",
    "on_support",
    "picked",
    "place_columns",
    "plain",
    "plain_arguments",
    "plain_fields",
    "positions_of",
    "real",
    "refuse_infinite",
    "replacing",
    "restore",
    "result",
    "result_type",
    "rewards_and_law",
    "row_of_entry",
    "run_seed",
    "seed_of",
    "tensor_digest",
    "tensor_of",
    "token_bar",
    "token_ids",
    "vector",
    "whole",
    "write_table",
]
