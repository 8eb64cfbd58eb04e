"""Corpora: the strings of a study or a rollout, by one process or by many machines, byte for byte.

A `Run` is a folder; what is in a shard's file is a function of the run's settings, its prompts and
the shard's index, so it does not matter who makes it. `run_local`, `run_ray` and `run_rank` only
say which process makes which shard.
"""

from aligndec.corpus.folder import Busy
from aligndec.corpus.ledger import Full
from aligndec.corpus.local import run_local
from aligndec.corpus.progress import Progress
from aligndec.corpus.prompt_file import Prompt, PromptFile
from aligndec.corpus.rank import Rank, rank_here, run_rank
from aligndec.corpus.ray import run_ray
from aligndec.corpus.run import Run
from aligndec.corpus.scoring import score_run
from aligndec.corpus.settings import Settings, parsed, parsed_adaptor
from aligndec.corpus.status import Status
from aligndec.corpus.worker import Done, Failed, Worker

__all__ = [
    "Busy",
    "Done",
    "Failed",
    "Full",
    "Progress",
    "Prompt",
    "PromptFile",
    "Rank",
    "Run",
    "Settings",
    "Status",
    "Worker",
    "parsed",
    "parsed_adaptor",
    "rank_here",
    "run_local",
    "run_rank",
    "run_ray",
    "score_run",
]
