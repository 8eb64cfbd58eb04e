"""pytest-benchmark: one test per ratio, the table of targets at the end."""

import pytest
import torch
from cases import cases
from report import Row, machine, show, versions

_ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--compiled", action="store_true", help="also torch.compile of the eager chain (slow)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        every = list(cases(compiled=metafunc.config.getoption("--compiled")))
        metafunc.parametrize("case", every, ids=str)


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> list[Row]:
    """Receives what was measured."""
    return request.config.stash[_ROWS]


@pytest.fixture
def _threads():
    """Gives the thread count back, also when a test fails."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info.update(machine(), versions=versions())


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if config.stash[_ROWS]:
        terminalreporter.section("targets")
        terminalreporter.write_line(show(config.stash[_ROWS]))
