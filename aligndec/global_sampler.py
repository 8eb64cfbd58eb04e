"""`aligndec.global_law` under its former name."""

from aligndec.global_law import GlobalSampler, GlobalSamples

__all__ = ["GlobalSampler", "GlobalSamples"]
