"""How many rows a worker decodes together where nobody says it."""

from __future__ import annotations

import torch

from aligndec.corpus.prompt_file import PromptFile
from aligndec.corpus.settings import Settings
from aligndec.corpus.sources import load_source
from aligndec.generation import as_prompts, planned_slots, read_prompts
from aligndec.models import as_step_lm

__all__ = ["default_slots"]

_LOOKED_AT = 256  # prompts


def default_slots(settings: Settings, workers: int) -> int:
    """Return the slots that the memory allows for the first prompts, at most those of a shard."""
    model, tokenizer = load_source(settings.model)
    lm = as_step_lm(model)
    prompts = PromptFile(settings.prompts).block(0, min(_LOOKED_AT, settings.per_shard))
    given = read_prompts("corpus", tokenizer, [p.value for p in prompts], None)
    ids, mask = as_prompts(*("corpus", given.input_ids, None, lm.vocab_size, 0))
    on_gpu = torch.device(lm.device).type == "cuda"
    rows = settings.per_shard * settings.draws
    sharing = 1 if on_gpu else workers
    return planned_slots(lm, ids, mask, settings.max_new_tokens, rows, workers=sharing)
