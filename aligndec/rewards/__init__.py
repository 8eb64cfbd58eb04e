"""Reward functions over token ids, from functions of texts, classifiers and pairs of models.

Each is a callable `(prompt_ids, completion_ids) -> list of float`, as `TransferQ` and its family
call it: once per decision, for all candidates and rollouts.
"""

from aligndec.rewards.calls import Ids, Reward, RewardCalls
from aligndec.rewards.functions import LogRatioReward, SequenceClassifierReward, TextReward
from aligndec.rewards.named import Judge, imported, load_reward, vader

__all__ = [
    "Ids",
    "Judge",
    "LogRatioReward",
    "Reward",
    "RewardCalls",
    "SequenceClassifierReward",
    "TextReward",
    "imported",
    "load_reward",
    "vader",
]
