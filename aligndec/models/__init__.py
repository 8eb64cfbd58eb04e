"""Language models as the loops see them: prefill once, step token by token, gather rows.

A model is anything with the members of `StepLM`. `HFCausalLM` wraps a transformers model with
its key-value (or recurrent) cache, `FunctionLM` wraps a plain function of the whole prefix.
`prepack` makes a torch model faster on a CPU. `load` reads a model and its tokenizer by name.
"""

from aligndec.models.counted import Counted
from aligndec.models.demo_model import INSTALL, PACKAGE, cache_dir, cached_default, default_gguf
from aligndec.models.hf import HFCausalLM, HiddenLM, hidden_lm
from aligndec.models.load import load, load_as, need_transformers
from aligndec.models.memory import free_memory, row_bytes, tensor_bytes
from aligndec.models.narrowed import Narrowed, narrowed
from aligndec.models.prepack import prepack
from aligndec.models.quiet import quiet
from aligndec.models.step_lm import FunctionLM, StepLM, as_step_lm
from aligndec.shared import lazily

__all__ = [
    "INSTALL",
    "PACKAGE",
    "Counted",
    "FunctionLM",
    "HFCausalLM",
    "HiddenLM",
    "Narrowed",
    "StepLM",
    "as_step_lm",
    "cache_dir",
    "cached_default",
    "default_gguf",
    "free_memory",
    "hidden_lm",
    "load",
    "load_as",
    "narrowed",
    "need_transformers",
    "prepack",
    "quiet",
    "row_bytes",
    "tensor_bytes",
    "why_not_shared",
]

# What imports transformers waits until somebody asks for it.
__getattr__, __dir__ = lazily(__name__, {"why_not_shared": "aligndec.models.hf"}, __all__)
