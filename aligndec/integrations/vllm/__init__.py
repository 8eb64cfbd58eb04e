"""Inside vLLM: its loop, our step. Needs vLLM (V1 engine).

`AligndecSampler` is the logits processor that draws, `AligndecWorker` the worker extension that
hands the books out, `vllm_params` makes requests of both, and `VLLMCausalLM` puts them together
into `generate` and `score_strings`.
"""

from aligndec.integrations.vllm.model import VLLMCausalLM
from aligndec.integrations.vllm.params import vllm_params
from aligndec.integrations.vllm.sampler import AligndecSampler
from aligndec.integrations.vllm.worker import AligndecWorker

__all__ = ["AligndecSampler", "AligndecWorker", "VLLMCausalLM", "vllm_params"]
