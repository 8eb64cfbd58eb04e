"""transformers' causal models behind the step protocol."""

from aligndec.models.hf.causal_lm import HFCausalLM
from aligndec.models.hf.hidden import HiddenLM, hidden_lm
from aligndec.shared import lazily

__all__ = ["HFCausalLM", "HiddenLM", "hidden_lm", "why_not_shared"]

# What imports transformers waits until somebody asks for it.
__getattr__, __dir__ = lazily(__name__, {"why_not_shared": "aligndec.models.hf.sharing"}, __all__)
