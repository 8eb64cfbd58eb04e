"""Runs on a Ray cluster: one actor for each model, told which shard is next.

Ray restarts actors that die and gives their shard again; what is done is known from the files, so
the driver may die too and be started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.ledger import ATTEMPTS, Ledger
from aligndec.corpus.progress import Progress, default_progress
from aligndec.corpus.status import Status
from aligndec.corpus.worker import Done, Failed, Work, attempt, checking

__all__ = ["most_actors", "options_of", "run_ray"]

_OPTIONS = ("num_cpus", "num_gpus", "memory", "accelerator_type")


def run_ray(
    run: RunFolder,
    address: str = "auto",
    *,
    actors: int | None = None,
    resources: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    work: Work = checking,
) -> Status:
    """Do all pending shards with actors of a Ray cluster.

    Parameters
    ----------
    run : Run
        Its folder, the prompts and the models must be there under the same names on all nodes.
    address : str
        Of the cluster; "auto": the one that this machine belongs to, else a new one on it.
    actors : int, optional
        Default as many as the cluster has resources for.
    resources : mapping, optional
        Of an actor: `num_cpus` (default `settings.threads`), `num_gpus`, `memory`,
        `accelerator_type`, or resources of the cluster by name.
    progress, work
        As in `run_local`.

    Returns
    -------
    Status
        Shards that failed three times, or took three actors with them, are set aside in it.

    Raises
    ------
    ImportError
        Ray is not installed.
    Busy, Full
        As in `run_local`.
    """
    ray = _ray()
    with run.lock():
        ledger = Ledger(run, None, progress or default_progress())
        started = not ray.is_initialized()
        if started:
            own = None if address == "auto" else address
            ray.init(address=own, log_to_driver=False, logging_level="ERROR")
        team: list[Any] = []
        try:
            needs = {"num_cpus": run.settings.threads, **(resources or {})}
            count = min(actors or most_actors(ray.cluster_resources(), needs), len(ledger))
            kind = ray.remote(_Actor).options(
                **options_of(needs), max_restarts=-1, max_task_retries=ATTEMPTS - 1
            )
            team = [kind.remote(str(run.folder.absolute()), work) for _ in range(count)]
            _drive(ray, team, ledger)
        finally:
            for actor in team:
                ray.kill(actor)
            if started:
                ray.shutdown()
            ledger.progress.close()
    return run.status()


class _Actor:
    """A worker of the cluster."""

    def __init__(self, folder: str, work: Work) -> None:
        self._do = work(folder)

    def ready(self) -> None:
        """Tell that the model is loaded."""

    def shard(self, index: int) -> Done | Failed:
        """Do a shard."""
        return attempt(self._do, index)


def _drive(ray: Any, team: list[Any], ledger: Ledger) -> None:
    # An actor that finds no room in the cluster yet is never ready, and is given nothing.
    busy: dict[Any, tuple[int, int | None]] = {
        actor.ready.remote(): (number, None) for number, actor in enumerate(team)
    }
    idle: set[int] = set()
    while busy:
        (ref,), _ = ray.wait(list(busy), num_returns=1)
        number, index = busy.pop(ref)
        try:
            outcome = ray.get(ref)
        except ray.exceptions.RayError as error:
            if index is None:  # its constructor raised: so would every other one's
                raise RuntimeError(f"corpus: a Ray actor could not start: {error}") from error
            lines = str(error).strip().splitlines()[:1]
            failed = Failed(index, f"the actor died {ATTEMPTS} times ({lines})", False)
            ledger.settle(failed, number, last=True)
        else:
            if index is not None:
                ledger.settle(outcome, number)
        idle.add(number)
        while idle and (index := ledger.take()) is not None:
            number = idle.pop()
            busy[team[number].shard.remote(index)] = (number, index)
        if not len(ledger) and all(given is None for _, given in busy.values()):
            return


def options_of(needs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an actor that needs these resources."""
    known = {name: value for name, value in needs.items() if name in _OPTIONS}
    other = {name: value for name, value in needs.items() if name not in _OPTIONS}
    return {**known, "resources": other} if other else known


def most_actors(there: Mapping[str, float], needs: Mapping[str, Any]) -> int:
    """Return how many actors a cluster has resources for, at least one."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    counts = [
        int(there.get(names.get(name, name), 0) // value)
        for name, value in needs.items()
        if isinstance(value, int | float) and value > 0
    ]
    return max(1, min(counts, default=1))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError("corpus: --ray needs Ray: pip install 'aligndec[ray]'") from error
    return ray
