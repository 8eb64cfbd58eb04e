"""Exact independent strings by rejection, token by token.

The way of a string: `strings` (one a slot, behind its prompt) → `draw` (its next token) → `accept`
(whether it passes, fails or ends) → `records` (what was accepted) → `refill` (who takes the slots
that became free) → `draw` …; `loop` alone knows them all, `run` splits prompts and puts together.
"""

from aligndec.global_law.rejection.run import reject

__all__ = ["reject"]
