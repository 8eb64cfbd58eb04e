"""The law that an adaptor defines over whole strings, sampled from a model."""

from aligndec.global_law.sampler import GlobalSampler
from aligndec.global_law.samples import GlobalSamples
from aligndec.global_law.targets import log_weight

__all__ = ["GlobalSampler", "GlobalSamples", "log_weight"]
