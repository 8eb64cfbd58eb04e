"""`aligndec.use_backend` and `aligndec.build_info` under their former place."""

from aligndec.shared import lazily

_MOVED = dict.fromkeys(("build_info", "use_backend"), "aligndec")

__getattr__, __dir__ = lazily(__name__, {}, tuple(_MOVED), moved=_MOVED)
