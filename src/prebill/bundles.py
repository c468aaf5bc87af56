"""Models as files: verified local copies, which of them are in use, loaded without MLflow.

A copy lies in ``models_dir/<name>/<digest>/``. Beside it ``champion.json`` names the one in use and
``challenger.json`` the one that scores beside it without effect. Every file is checked against the
manifest, the manifest against the pointer. No pickle: text, JSON and ``.npz``.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prebill.core.errors import ModelError, NotFoundError
from prebill.settings import Settings

if TYPE_CHECKING:
    from prebill.core.scoring.models import Models

NAMES: Final = ("forest", "payment_risk", "error_risk")
MANIFEST: Final = "manifest.json"
_ADVICE: Final = "run `prebill models fetch`, or `prebill train`"


class Role(StrEnum):
    """What a local copy is there for."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"

    @property
    def pointer(self) -> str:
        """The file that names the copy."""
        return f"{self.value}.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model as files; ``facts`` is what its manifest says beside the digests."""

    name: str
    files: Mapping[str, bytes]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def manifest(self) -> bytes:
        """Canonical JSON: equal files and facts give equal bytes."""
        digests = {name: hashlib.sha256(text).hexdigest() for name, text in self.files.items()}
        content = {"name": self.name, "format": 1, "files": digests, "facts": dict(self.facts)}
        return json.dumps(content, indent=1, sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        return hashlib.sha256(self.manifest).hexdigest()


# ── Loading ──────────────────────────────────────────────────────────────────────────────────


def load_models(settings: Settings) -> "Models":
    """Load the champions. A model never trained is absent, not an error.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    return models_of({name: in_use(settings, name) for name in NAMES})


def load_challenger(settings: Settings) -> "Models | None":
    """Load the champions with every challenged one replaced by its challenger; None: no challenger.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    challengers = {name: in_use(settings, name, Role.CHALLENGER) for name in NAMES}
    if not any(challengers.values()):
        return None
    return models_of({name: one or in_use(settings, name) for name, one in challengers.items()})


def load_folder(folder: Path) -> "Models":
    """Load models from a folder of bundles (``<name>/manifest.json``) or of local copies.

    Raises
    ------
    ModelError
        It holds none, or a file is missing or altered.
    """
    bundles = {name: _pointed_at(folder / name, Role.CHAMPION) for name in NAMES}
    for name in NAMES:
        if bundles[name] is None and (folder / name / MANIFEST).exists():
            bundles[name] = read_bundle(folder / name)
    if not any(bundles.values()):
        message = f"{folder} holds no model: give the models folder of a trained installation"
        raise ModelError(message, folder=str(folder))
    return models_of(bundles)


def in_use(settings: Settings, name: str, role: Role = Role.CHAMPION) -> Bundle | None:
    """Return the verified copy that has a role; None: there never was one.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    return _pointed_at(settings.models_dir / known(name), role)


def pointed_digest(settings: Settings, name: str, role: Role) -> str | None:
    """Return the digest that a pointer names, without reading the copy; None: no pointer.

    Raises
    ------
    ModelError
        The pointer can't be read.
    """
    return _digest_at(settings.models_dir / name / role.pointer)


def stamps(settings: Settings) -> tuple[tuple[str, int, int], ...]:
    """Path, time and size of the files in use; as long as they are equal nothing was changed."""
    files = []
    for name in NAMES:
        for role in Role:
            pointer = settings.models_dir / name / role.pointer
            files.append(pointer)
            try:
                folder = copy_of(settings, name, _digest_at(pointer) or "absent")
            except ModelError:
                continue
            files += sorted(folder.glob("*"))
    return tuple(stamp for path in files for stamp in stamp_of(path))


def stamp_of(path: Path) -> list[tuple[str, int, int]]:
    """Path, time of change and size of a file; empty where it is absent."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [(str(path), found.st_mtime_ns, found.st_size)]


def models_of(bundles: Mapping[str, Bundle | None]) -> "Models":
    """Make models of verified bundles; ``versions`` has the digest of each one's own bytes."""
    from prebill.core.scoring.models import Models
    from prebill.core.scoring.models.error_risk import ErrorRisk
    from prebill.core.scoring.models.forest import Forest
    from prebill.core.scoring.models.payment_risk import PaymentRisk

    forest, risk, errors, versions = None, None, None, {}
    if (bundle := bundles.get("forest")) is not None:
        content = bundle.files["forest.npz"]
        versions["forest"] = hashlib.sha256(content).hexdigest()
        forest = Forest.from_npz(content, sha256=versions["forest"])
    if (bundle := bundles.get("payment_risk")) is not None:
        risk = PaymentRisk.from_bytes(dict(bundle.files))
        versions["payment_risk"] = risk.digest
    if (bundle := bundles.get("error_risk")) is not None:
        errors = ErrorRisk.from_bytes(dict(bundle.files))
        versions["error_risk"] = errors.digest
    return Models(forest, risk, versions, errors)


def known(name: str) -> str:
    """Return the name of a registered kind of model.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    if name not in NAMES:
        message = f"there is no model {name!r}: known are {', '.join(NAMES)}"
        raise NotFoundError(message, name=name)
    return name


# ── Files ────────────────────────────────────────────────────────────────────────────────────


def put_in_use(settings: Settings, bundle: Bundle, role: Role, number: int) -> None:
    """Write the copy, then the pointer to it: a reader sees the whole new one or the old one."""
    place = settings.models_dir / bundle.name
    write_bundle(bundle, copy_of(settings, bundle.name, bundle.digest))
    draft = place / f".{role.pointer}.{os.getpid()}"
    draft.write_text(json.dumps({"digest": bundle.digest, "version": number}), encoding="utf-8")
    draft.replace(place / role.pointer)


def take_out_of_use(settings: Settings, name: str, role: Role) -> None:
    """Remove a pointer; the copy stays."""
    (settings.models_dir / name / role.pointer).unlink(missing_ok=True)


def copy_of(settings: Settings, name: str, digest: str) -> Path:
    """The folder of a local copy."""
    return settings.models_dir / name / digest[:16]


def read_bundle(folder: Path, digest: str | None = None) -> Bundle:
    """Read a bundle and check every file.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    try:
        manifest = (folder / MANIFEST).read_bytes()
        content = json.loads(manifest)
        files = {name: (folder / name).read_bytes() for name in content["files"]}
        bundle = Bundle(content["name"], files, content["facts"])
    except FileNotFoundError as error:
        message = f"model file {error.filename} is missing: {_ADVICE}"
        raise ModelError(message, file=str(error.filename)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"the model in {folder} can't be read ({error}): {_ADVICE}"
        raise ModelError(message, folder=str(folder)) from error
    for name, text in files.items():
        if hashlib.sha256(text).hexdigest() != content["files"][name]:
            message = f"model file {folder / name} was altered: {_ADVICE}"
            raise ModelError(message, file=str(folder / name))
    if bundle.manifest != manifest or digest not in (None, bundle.digest):
        message = f"the manifest of the model in {folder} was altered: {_ADVICE}"
        raise ModelError(message, folder=str(folder))
    return bundle


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle beside its place, then move it there: readers see all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    for name, text in {**bundle.files, MANIFEST: bundle.manifest}.items():
        (draft / name).write_bytes(text)
    try:
        draft.rename(folder)
    except OSError:  # it is there: keep it if it is whole, else put the whole one in its place
        try:
            read_bundle(folder, bundle.digest)
        except ModelError:
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
    shutil.rmtree(draft, ignore_errors=True)


def _pointed_at(place: Path, role: Role) -> Bundle | None:
    digest = _digest_at(place / role.pointer)
    return None if digest is None else read_bundle(place / digest[:16], digest)


def _digest_at(pointer: Path) -> str | None:
    if not pointer.exists():
        return None
    try:
        return str(json.loads(pointer.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{pointer} can't be read: {_ADVICE}"
        raise ModelError(message, file=str(pointer)) from error
