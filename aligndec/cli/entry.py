"""Where the command line starts, or says which extra is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["app"]

app: Callable[[], None]

try:
    import rich as _rich  # noqa: F401
    import typer as _typer  # noqa: F401
except ModuleNotFoundError as _error:
    _missing = _error.name

    def _without_extra() -> None:
        """Say which extra is missing."""
        sys.exit(f"aligndec: the command line needs {_missing}: pip install 'aligndec[cli,hf]'")

    app = _without_extra
else:
    from aligndec.cli.app import typer_app as app
