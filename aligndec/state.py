"""`aligndec.step` under its former name."""

from aligndec.step import SUMS, SequenceState

__all__ = ["SUMS", "SequenceState"]
