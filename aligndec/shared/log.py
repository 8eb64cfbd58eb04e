"""The one logger of the library, "aligndec": it says what takes long or stays on the disk."""

from __future__ import annotations

import logging

__all__ = ["logger"]

logger = logging.getLogger("aligndec")
