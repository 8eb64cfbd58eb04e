"""Lists the warnings that other packages raise about themselves: once each, with the version.

A pytest plugin. They do not fail a run (`filterwarnings` in pyproject.toml), and are not hidden.
"""

from __future__ import annotations

import warnings
from collections import Counter
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import pytest

_seen: Counter[tuple[str, str]] = Counter()


def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Count a warning under the package of the file that raised it."""
    parts = Path(warning_message.filename).parts
    places = [i for i, part in enumerate(parts) if part.endswith("-packages")]
    package = parts[places[-1] + 1] if places else Path(warning_message.filename).name
    text = str(warning_message.message).strip().partition("\n")[0]
    _seen[package, f"{warning_message.category.__name__}: {text[:100]}"] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the list, if there is something on it."""
    if not _seen:
        return
    terminalreporter.section("warnings of other packages")
    owners = packages_distributions()
    for (package, text), count in sorted(_seen.items()):
        try:
            found = version(owners.get(package, [package])[0])
        except PackageNotFoundError:
            found = "(no package)"
        terminalreporter.line(f"{package} {found}: {text} ({count})")
