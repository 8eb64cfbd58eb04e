"""`run.json`: settings, versions and digests, and whether two runs are the same."""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndec._version import __version__
from aligndec.corpus.methods import check_method
from aligndec.corpus.prompt_file import PromptFile
from aligndec.corpus.settings import Settings
from aligndec.corpus.slots import default_slots
from aligndec.corpus.sources import resolved, source_digest
from aligndec.shared import fingerprint

__all__ = ["Manifest"]

NAME = "run.json"
_FORMAT = 1
_PACKAGES = ("torch", "transformers", "pyarrow")
_PLACES = ("model", "prompts", "reference")
"""Settings that say where something is; what is there has a digest."""


@dataclass(frozen=True)
class Manifest:
    """What a run is. `n_prompts` is the number of prompts; `slots` is never None."""

    settings: Settings
    slots: int
    n_prompts: int
    digests: dict[str, str | None]
    versions: dict[str, str | None]

    @classmethod
    def make(cls, asked: Settings, found: Manifest | None, workers: int) -> Manifest:
        """Look at models and prompts; slots that nobody asked for are those of the run found."""
        check_method(asked)
        names = {n: resolved(v) for n in _PLACES if (v := getattr(asked, n)) is not None}
        settings = Settings(**{**vars(asked), **names})
        prompts = PromptFile(settings.prompts)
        digests: dict[str, str | None] = {
            "prompts": prompts.digest(),
            "model": source_digest(settings.model),
            "reference": settings.reference and source_digest(settings.reference),
        }
        same = found is not None and found.digests["prompts"] == digests["prompts"]
        count = found.n_prompts if found is not None and same else prompts.count()
        slots = settings.slots or (found.slots if found else default_slots(settings, workers))
        return cls(settings, slots, count, digests, _versions())

    @property
    def n_shards(self) -> int:
        """Shards of the run."""
        return -(-self.n_prompts // self.settings.per_shard)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the bytes depend on."""
        settings = self.settings.to_json()
        adaptor = settings.pop("adaptor")
        own = {k: v for k, v in settings.items() if k not in (*_PLACES, "slots")}
        digests = {f"the {name}": digest for name, digest in self.digests.items()}
        versions = {f"version of {name}": version for name, version in self.versions.items()}
        adaptors = {f"adaptor's {name}": value for name, value in adaptor.items()}
        # As JSON gives them back: tuples are lists there.
        found: dict[str, Any] = json.loads(
            json.dumps({**own, "slots": self.slots, **adaptors, **digests, **versions})
        )
        return found

    @property
    def digest(self) -> str:
        """Digest of `identity`."""
        return fingerprint(self.identity)

    def refuse_other(self, found: Manifest, folder: Path) -> None:
        """Raise where another run is there, with what differs."""
        new, old = self.identity, found.identity
        differ = [k for k in {**old, **new} if old.get(k) != new.get(k)]
        if differ:
            told = "; ".join(f"{k}: {old.get(k)} there, {new.get(k)} now" for k in differ[:6])
            raise ValueError(
                f"corpus: out must be a new folder or one of a run with the same settings, got "
                f"{folder}, which differs in {told}"
                + (f" and {len(differ) - 6} more" if len(differ) > 6 else "")
            )

    def to_json(self) -> dict[str, Any]:
        """Return what `run.json` holds."""
        return {
            "format": _FORMAT,
            "digest": self.digest,
            "settings": self.settings.to_json(),
            "slots": self.slots,
            "n_prompts": self.n_prompts,
            "n_shards": self.n_shards,
            "digests": self.digests,
            "versions": self.versions,
        }

    def write(self, folder: Path) -> bool:
        """Write `run.json`; False: one is there already."""
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".run-", suffix=".partial")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.to_json(), file, indent=1)
            os.chmod(name, 0o644)
            os.link(name, folder / NAME)  # unlike a rename, it does not replace
        except FileExistsError:
            return False
        finally:
            os.unlink(name)
        return True

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Read `run.json`; None: there is none."""
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] > _FORMAT:
                raise ValueError(f"format {found['format']} of a newer aligndec")
            manifest = cls(
                Settings.from_json(found["settings"]),
                *(found[name] for name in ("slots", "n_prompts", "digests", "versions")),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"corpus: out must be the folder of a run that this aligndec can read, got {path} "
                f"({type(error).__name__}: {error})"
            ) from error
        return manifest


def _versions() -> dict[str, str | None]:
    """Versions of what makes the bytes."""
    out: dict[str, str | None] = {"aligndec": __version__}
    for name in _PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            out[name] = None
    return out
