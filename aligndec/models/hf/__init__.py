"""transformers' causal models behind the step protocol."""

from aligndec.models.hf.causal_lm import HFCausalLM
from aligndec.shared import lazily

__all__ = ["HFCausalLM", "why_not_shared"]

# What imports transformers waits until somebody asks for it.
__getattr__, __dir__ = lazily(__name__, {"why_not_shared": "aligndec.models.hf.sharing"}, __all__)
