"""TRL's GRPO trainer on truncated samples: rollouts by `generate`, log-probabilities by replay.

`Rollout` is a rollout function that draws with an adaptor and remembers the kept sets;
`ReplayGRPOTrainer` is its trainer with log-probabilities on these sets. Needs the extra
`trl` (TRL >= 1.16).
"""

from aligndec.integrations.trl.rollout import Rollout
from aligndec.shared import lazily

__all__ = ["ReplayGRPOTrainer", "Rollout"]

# What imports TRL waits until somebody asks for it.
__getattr__, __dir__ = lazily(
    __name__, {"ReplayGRPOTrainer": "aligndec.integrations.trl.compat"}, __all__
)
