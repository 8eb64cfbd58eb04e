"""Runs on one machine: in this process, or by processes that are told which shard is next."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait
from typing import Any

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.ledger import Ledger
from aligndec.corpus.progress import Progress, default_progress
from aligndec.corpus.status import Status
from aligndec.corpus.worker import Failed, Work, Worker, attempt

__all__ = ["run_local", "work_here"]

_START = "the worker could not start: "


def work_here(
    run: RunFolder,
    shards: Iterable[int] | None = None,
    *,
    progress: Progress | None = None,
    work: Work = Worker,
    shared: bool = True,
) -> int:
    """Do shards in this process; return how many were set aside."""
    with run.lock(shared=shared):
        ledger = Ledger(run, shards, progress or default_progress())
        if len(ledger):
            do = work(str(run.folder))
            while (index := ledger.take()) is not None:
                ledger.settle(attempt(do, index))
        ledger.progress.close()
    return ledger.failed


def run_local(
    run: RunFolder,
    workers: int | None = None,
    *,
    progress: Progress | None = None,
    work: Work = Worker,
) -> Status:
    """Do all pending shards with processes of this machine.

    Parameters
    ----------
    run : Run
    workers : int, optional
        Processes, each with its own model and `settings.threads` threads; default as many as there
        are cores for. The bytes do not depend on it.
    progress : Progress, optional
        Who is told.
    work : callable
        `work(folder)` is called in each process and returns a function of the shard's index.

    Returns
    -------
    Status
        Shards that failed three times are set aside in it.

    Raises
    ------
    Busy
        Another driver works on the run.
    Full
        The disk has no room.
    """
    count = workers or max(1, len(os.sched_getaffinity(0)) // run.settings.threads)
    with run.lock():
        ledger = Ledger(run, None, progress or default_progress())
        team = _Team(run, work)
        try:
            team.drive(ledger, min(count, len(ledger)))
        finally:
            team.stop()
            ledger.progress.close()
    return run.status()


class _Member:
    """A process, the pipe to it, and the shard that it has."""

    def __init__(self, number: int, run: RunFolder, work: Work) -> None:
        self.number = number
        self.pipe, theirs = _CONTEXT.Pipe()
        arguments = (theirs, str(run.folder), work, run.settings.threads)
        self.process = _CONTEXT.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.shard: int | None = None


class _Team:
    """The workers of a run: one that dies is replaced, and its shard counts as failed once."""

    def __init__(self, run: RunFolder, work: Work) -> None:
        self.run, self.work = run, work
        self.members: list[_Member] = []

    def drive(self, ledger: Ledger, count: int) -> None:
        self.members = [_Member(i, self.run, self.work) for i in range(count)]
        for member in self.members:
            self._give(member, ledger)
        while any(m.shard is not None for m in self.members):
            ready = wait([m.pipe for m in self.members if m.shard is not None])
            for member in [m for m in self.members if m.pipe in ready]:
                shard = member.shard
                assert shard is not None
                try:
                    outcome: Any = member.pipe.recv()
                except (EOFError, ConnectionResetError):
                    member.process.join()
                    code = member.process.exitcode or 0
                    how = signal.Signals(-code).name if code < 0 else f"status {code}"
                    outcome = Failed(shard, f"the worker died ({how})", False)
                    member = self._replaced(member)
                if isinstance(outcome, Exception):
                    raise outcome
                ledger.settle(outcome, member.number)
                self._give(member, ledger)
                # What failed is in the queue again: those that had nothing to do may take it.
                for idle in self.members:
                    if idle.shard is None and len(ledger):
                        self._give(idle, ledger)

    def _replaced(self, old: _Member) -> _Member:
        new = _Member(old.number, self.run, self.work)
        self.members[self.members.index(old)] = new
        return new

    def _give(self, member: _Member, ledger: Ledger) -> None:
        member.shard = ledger.take()
        if member.shard is not None:
            try:
                member.pipe.send(member.shard)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it died meanwhile: the pipe says so when it is read

    def stop(self) -> None:
        """Let the workers go; those that are at work are ended, their shards are made again."""
        for member in self.members:
            member.pipe.close()
            if member.shard is not None:
                member.process.terminate()
        for member in self.members:
            member.process.join()


_CONTEXT = mp.get_context("spawn")


def _serve(pipe: Connection, folder: str, work: Work, threads: int) -> None:
    """Do the shards that come through the pipe, until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides
    try:
        do = work(folder)
    except Exception as error:
        pipe.send(RuntimeError(f"{_START}{type(error).__name__}: {error}"))
        return
    try:
        while True:
            pipe.send(attempt(do, pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
