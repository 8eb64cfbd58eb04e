"""Prompts in, strings with their books out.

The way of a prompt: `prompts` (normal form) → `prepare` (what every loop settles first) →
`decode` (the loop around model and step) → `result` (`Generation`), which `parquet` stores. Where
a tokenizer is given, `text` stands before and behind it.
"""

from aligndec.generation.custom_generate import custom_generate
from aligndec.generation.decode import COMPACT_AT
from aligndec.generation.generate import generate
from aligndec.generation.lengths import check_lengths
from aligndec.generation.parquet import write_generation
from aligndec.generation.prepare import Prepared, adaptors_of, groups, prepare
from aligndec.generation.prompts import Prompts, as_prompts, trim
from aligndec.generation.refill import generate_refilled
from aligndec.generation.result import Generation, sequence_id
from aligndec.generation.score_strings import feed_known, score_strings
from aligndec.generation.scores import StringScores
from aligndec.generation.slots import planned_slots
from aligndec.generation.text import TextPrompts, read_prompts

__all__ = [
    "COMPACT_AT",
    "Generation",
    "Prepared",
    "Prompts",
    "StringScores",
    "TextPrompts",
    "adaptors_of",
    "as_prompts",
    "check_lengths",
    "custom_generate",
    "feed_known",
    "generate",
    "generate_refilled",
    "groups",
    "planned_slots",
    "prepare",
    "read_prompts",
    "score_strings",
    "sequence_id",
    "trim",
    "write_generation",
]
