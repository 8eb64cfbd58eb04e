"""What every inference engine needs of us, without any engine.

A `DrawRequest` is what a request carries; a `DrawBatch` draws a token for those rows of the
engine's batch that carry one; a `BookLog` keeps what was drawn until somebody takes it.
"""

from aligndec.integrations.engine.batch import DrawBatch, Drawn
from aligndec.integrations.engine.books import BookLog, TakenBooks
from aligndec.integrations.engine.request import KEY, DrawRequest, request_of

__all__ = [
    "KEY",
    "BookLog",
    "DrawBatch",
    "DrawRequest",
    "Drawn",
    "TakenBooks",
    "request_of",
]
