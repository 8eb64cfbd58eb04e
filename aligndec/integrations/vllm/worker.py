"""The worker extension through which books leave a worker."""

from __future__ import annotations

from typing import Any

from aligndec.integrations.vllm.sampler import AligndecSampler

__all__ = ["AligndecWorker"]


class AligndecWorker:
    """Methods that `LLM.collective_rpc` finds on every worker (`worker_extension_cls`)."""

    def aligndec_take(self, run: str = "") -> dict[str, dict[str, Any]]:
        """Return the books of a run by sequence, as plain lists, and forget them.

        Names of sequences are str: they cross processes as JSON does. Empty on all workers but
        tensor-parallel rank 0.
        """
        sampler = AligndecSampler.live
        if sampler is None:
            return {}
        return {str(sequence): book for sequence, book in sampler.take(run).items()}

    def aligndec_held(self) -> int:
        """Return how many tokens' books are held."""
        sampler = AligndecSampler.live
        return 0 if sampler is None else len(sampler.books)
