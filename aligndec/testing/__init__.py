"""Helpers for exact tests of models, adaptors and samplers."""

from aligndec.testing.check_step_lm import check_step_lm
from aligndec.testing.masses import masses
from aligndec.testing.referee import SamplerReport, SamplerTest, check_sampler
from aligndec.testing.table_lm import Strings, TableLM, enumerate_strings
from aligndec.testing.toy_model import ToyTokenizer, toy_model

__all__ = [
    "SamplerReport",
    "SamplerTest",
    "Strings",
    "TableLM",
    "ToyTokenizer",
    "check_sampler",
    "check_step_lm",
    "enumerate_strings",
    "masses",
    "toy_model",
]
