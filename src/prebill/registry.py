"""Models: log, register, alias in MLflow; keep verified local copies; load them without MLflow.

The only place that imports MLflow, and only inside functions: a service that scores reads its own
copy (manifest, SHA-256, text and ``.npz`` files, no pickle) and runs when MLflow is away.

A local copy lies in ``models_dir/<name>/<digest>/``; ``champion.json`` beside it names the one in
use. Every file is checked against the manifest, the manifest against ``champion.json``.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prebill.core.errors import ModelError, NotFoundError, StorageError, TransientError
from prebill.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from prebill.core.scoring.models import Models

NAMES: Final = ("forest", "payment_risk")
CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
MANIFEST: Final = "manifest.json"
POINTER: Final = "champion.json"
EXPERIMENT: Final = "prebill"
_BUNDLE: Final = "bundle"
_PREFIX: Final = "prebill-"
_DIGEST_TAG: Final = "prebill.digest"


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


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version; ``aliases`` such as champion or previous."""

    name: str
    number: int
    digest: str
    aliases: tuple[str, ...]
    run_id: str
    tags: Mapping[str, str]


# ── Serving: local copies only ───────────────────────────────────────────────────────────────


def load_models(settings: Settings) -> "Models":
    """Load the champions' verified local copies. A model never trained is absent, not an error.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    return _models({name: champion(settings, name) for name in NAMES})


def load_folder(folder: Path) -> "Models":
    """Load models from a folder of bundles (``<name>/manifest.json``) or of local copies.

    Raises
    ------
    ModelError
        It holds none, or a file is missing or altered.
    """
    bundles = {name: _pointed_at(folder / name) for name in NAMES}
    for name in NAMES:
        if bundles[name] is None and (folder / name / MANIFEST).exists():
            bundles[name] = read_bundle(folder / name)
    if not any(bundles.values()):
        message = f"{folder} holds no model: give the models folder of a trained installation"
        raise ModelError(message, folder=str(folder))
    return _models(bundles)


def champion(settings: Settings, name: str) -> Bundle | None:
    """Return the verified local copy in use; None: none was ever promoted."""
    return _pointed_at(settings.models_dir / name)


def read_bundle(folder: Path, digest: str | None = None) -> Bundle:
    """Read a bundle and check every file.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    advice = "run `prebill models promote` again to fetch it, or `prebill train`"
    try:
        manifest = (folder / MANIFEST).read_bytes()
        content = json.loads(manifest)
        files = {name: (folder / name).read_bytes() for name in content["files"]}
        bundle = Bundle(content["name"], files, content["facts"])
    except FileNotFoundError as error:
        message = f"model file {error.filename} is missing: {advice}"
        raise ModelError(message, file=str(error.filename)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"the model in {folder} can't be read ({error}): {advice}"
        raise ModelError(message, folder=str(folder)) from error
    for name, text in files.items():
        if hashlib.sha256(text).hexdigest() != content["files"][name]:
            message = f"model file {folder / name} was altered: {advice}"
            raise ModelError(message, file=str(folder / name))
    if bundle.manifest != manifest or digest not in (None, bundle.digest):
        message = f"the manifest of the model in {folder} was altered: {advice}"
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


def _pointed_at(place: Path) -> Bundle | None:
    pointer = place / POINTER
    if not pointer.exists():
        return None
    try:
        digest = str(json.loads(pointer.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{pointer} can't be read: run `prebill models promote` again"
        raise ModelError(message, file=str(pointer)) from error
    return read_bundle(place / digest[:16], digest)


def _models(bundles: Mapping[str, Bundle | None]) -> "Models":
    from prebill.core.scoring.models import Models
    from prebill.core.scoring.models.forest import Forest
    from prebill.core.scoring.models.payment_risk import PaymentRisk

    forest, risk, versions = None, None, {}
    if (bundle := bundles["forest"]) is not None:
        content = bundle.files["forest.npz"]
        versions["forest"] = hashlib.sha256(content).hexdigest()
        forest = Forest.from_npz(content, sha256=versions["forest"])
    if (bundle := bundles["payment_risk"]) is not None:
        risk = PaymentRisk.from_bytes(dict(bundle.files))
        versions["payment_risk"] = risk.digest
    return Models(forest, risk, versions)


# ── Registering and promoting: MLflow ────────────────────────────────────────────────────────


def prepare(settings: Settings) -> None:
    """Create or migrate MLflow's tables, one process at a time: two at once crash."""
    with _client(settings):
        pass


def register(
    settings: Settings,
    bundle: Bundle,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    documents: Mapping[str, str],
) -> Version:
    """Log a run with its figures and documents, and register its bundle as a new version."""
    with _client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        registered = _PREFIX + bundle.name
        run = client.create_run(_experiment(client, settings), run_name=bundle.name)
        run_id: str = run.info.run_id
        _log(client, run_id, parameters=parameters, metrics=metrics, documents=documents)
        folder = Path(scratch) / bundle.digest
        write_bundle(bundle, folder)
        client.log_artifacts(run_id, str(folder), _BUNDLE)
        client.set_terminated(run_id)
        if not client.search_registered_models(f"name = '{registered}'"):
            client.create_registered_model(registered)
        source = f"{run.info.artifact_uri}/{_BUNDLE}"
        tags = {_DIGEST_TAG: bundle.digest}
        made = client.create_model_version(registered, source, run_id=run_id, tags=tags)
        return _version(made)


def record(
    settings: Settings,
    title: str,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    documents: Mapping[str, str],
) -> str:
    """Log a run that registers no model, for example what drift found; return its id."""
    with _client(settings) as client:
        run = client.create_run(_experiment(client, settings), run_name=title)
        run_id: str = run.info.run_id
        _log(client, run_id, parameters=parameters, metrics=metrics, documents=documents)
        client.set_terminated(run_id)
        return run_id


def _log(
    client: Any,
    run_id: str,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    documents: Mapping[str, str],
) -> None:
    for name, value in parameters.items():
        client.log_param(run_id, name, str(value)[:500])
    for name, figure in metrics.items():
        client.log_metric(run_id, name, figure)
    for name, text in documents.items():
        client.log_text(run_id, text, name)


def versions(settings: Settings, name: str) -> list[Version]:
    """Return the registered versions, newest first."""
    with _client(settings) as client:
        found = client.search_model_versions(f"name = '{_PREFIX}{_known(name)}'")
        aliases: dict[str, list[str]] = {}
        for model in client.search_registered_models(f"name = '{_PREFIX}{name}'"):
            for alias, number in model.aliases.items():
                aliases.setdefault(str(number), []).append(alias)
        all_of_them = [_version(one, aliases.get(str(one.version), [])) for one in found]
    return sorted(all_of_them, key=lambda version: -version.number)


def promote(settings: Settings, name: str, number: int) -> Version:
    """Make a version the champion: fetched and verified first, then named, then put in use.

    Raises
    ------
    NotFoundError
        There is no such version.
    ModelError
        What MLflow holds is not what was registered.
    """
    known = {version.number: version for version in versions(settings, name)}
    if number not in known:
        numbers = ", ".join(str(one) for one in known) or "none"
        message = f"{name} has no version {number} (there are: {numbers}): `prebill models list`"
        raise NotFoundError(message, name=name, number=number)
    bundle = _fetch(settings, known[number])
    before = next((v for v in known.values() if CHAMPION in v.aliases), None)
    with _client(settings) as client:
        if before is not None and before.number != number:
            client.set_registered_model_alias(_PREFIX + name, PREVIOUS, str(before.number))
        client.set_registered_model_alias(_PREFIX + name, CHAMPION, str(number))
    _use(settings, bundle, number)
    return known[number]


def rollback(settings: Settings, name: str) -> Version:
    """Make the champion before the present one the champion again.

    Raises
    ------
    NotFoundError
        There was none before.
    """
    before = next((v for v in versions(settings, name) if PREVIOUS in v.aliases), None)
    if before is None:
        message = f"{name} has no earlier champion to go back to: `prebill models list`"
        raise NotFoundError(message, name=name)
    return promote(settings, name, before.number)


def refresh(settings: Settings) -> list[str]:
    """Fetch champions that another machine promoted; what couldn't be fetched comes back in words.

    The last verified copies stay in use.
    """
    notes = []
    for name in NAMES:
        try:
            live = next((v for v in versions(settings, name) if CHAMPION in v.aliases), None)
            if live is not None:
                _use(settings, _fetch(settings, live), live.number)
        except (TransientError, ModelError) as error:
            notes.append(f"{name}: {error}; the last verified copy stays in use")
    return notes


def _fetch(settings: Settings, version: Version) -> Bundle:
    """Return a version's bundle, from the local copy if that is whole."""
    place = settings.models_dir / version.name / version.digest[:16]
    if place.exists():
        try:
            return read_bundle(place, version.digest)
        except ModelError:
            shutil.rmtree(place)
    with _client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        folder = Path(client.download_artifacts(version.run_id, _BUNDLE, scratch))
        bundle = read_bundle(folder, version.digest)
    write_bundle(bundle, place)
    return bundle


def _use(settings: Settings, bundle: Bundle, number: int) -> None:
    place = settings.models_dir / bundle.name
    write_bundle(bundle, place / bundle.digest[:16])
    draft = place / f".{POINTER}.{os.getpid()}"
    draft.write_text(json.dumps({"digest": bundle.digest, "version": number}), encoding="utf-8")
    draft.replace(place / POINTER)


def _version(found: "ModelVersion", aliases: list[str] | None = None) -> Version:
    return Version(
        name=found.name.removeprefix(_PREFIX),
        number=int(found.version),
        digest=found.tags.get(_DIGEST_TAG, ""),
        aliases=tuple(sorted(aliases or [])),
        run_id=found.run_id or "",
        tags=dict(found.tags),
    )


def _known(name: str) -> str:
    if name not in NAMES:
        message = f"there is no model {name!r}: known are {', '.join(NAMES)}"
        raise NotFoundError(message, name=name)
    return name


def _experiment(client: Any, settings: Settings) -> str:
    """The experiment; its artifacts lie where the settings say, never in the working folder."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    if not settings.mlflow_tracking_uri.startswith("sqlite"):
        return str(client.create_experiment(EXPERIMENT))  # a server has a place of its own
    place = (settings.home / "mlflow-artifacts").resolve()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place.as_uri()))


@contextmanager
def _client(settings: Settings) -> Iterator[Any]:
    """Open MLflow under a file lock, so that only one process at a time migrates its tables."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    uri = settings.mlflow_tracking_uri
    with warnings.catch_warnings():
        # MLflow imports and maps with calls that its own dependencies deprecate.
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        try:
            with _locked(settings.home):
                client = MlflowClient(tracking_uri=uri, registry_uri=uri)
                client.search_experiments(max_results=1)
        except StorageError:
            raise
        except Exception as error:
            raise _away(uri, error) from error
        try:
            yield client
        except (ModelError, NotFoundError):
            raise
        except Exception as error:
            raise _away(uri, error) from error


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / ".mlflow.lock").open("w")
    except OSError as error:
        message = f"{home} can't be written: {error.strerror}"
        raise StorageError(message, path=str(home)) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _away(uri: str, error: Exception) -> TransientError:
    """What MLflow raises depends on its store (its own, SQL's, HTTP's classes): all mean away."""
    shown = uri.rpartition("@")[2]
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    message = (
        f"MLflow at {shown} does not answer ({reason}): start it or mend PREBILL_MLFLOW_"
        "TRACKING_URI; scoring goes on with the last verified models"
    )
    return TransientError(message, uri=shown)
