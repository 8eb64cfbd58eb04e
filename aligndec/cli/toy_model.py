"""Where the toy model used to be: it lives in `aligndec.testing` now."""

from aligndec.testing import ToyTokenizer, toy_model

__all__ = ["ToyTokenizer", "toy_model"]
