"""`aligndec.step` under its former name."""

from aligndec.step import FIELDS, Adaptor, Field, PackedAdaptors, pack

__all__ = ["FIELDS", "Adaptor", "Field", "PackedAdaptors", "pack"]
