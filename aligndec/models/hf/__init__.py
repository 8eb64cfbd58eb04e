"""transformers' causal models behind the step protocol."""

from aligndec.models.hf.causal_lm import HFCausalLM

__all__ = ["HFCausalLM"]
