"""The command line `aligndec`: a folder for each command, beside them what commands share."""

from aligndec.cli.entry import app

__all__ = ["app"]
