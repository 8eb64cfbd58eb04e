"""The referee: whether the law that a sampler draws from is the one that it claims.

The way of a check: `law` (what the draws should follow) → `collect` (draws in mixed batches, and
the same ones again) → `statistics` (p-values) → `check` (which ones, at which level) → `report`.
"""

from aligndec.testing.referee.check import check_sampler
from aligndec.testing.referee.report import SamplerReport, SamplerTest

__all__ = ["SamplerReport", "SamplerTest", "check_sampler"]
