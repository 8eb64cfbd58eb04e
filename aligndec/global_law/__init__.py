"""The law that an adaptor defines over whole strings, sampled from a model."""

from aligndec.global_law.sampler import GlobalSampler
from aligndec.global_law.samples import GlobalSamples
from aligndec.global_law.targets import METHODS, log_weight

__all__ = ["METHODS", "GlobalSampler", "GlobalSamples", "log_weight"]
