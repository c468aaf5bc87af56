"""MLflow: log runs, register versions, name them by alias, fetch their files. Nothing else uses it.

The library is imported inside functions only: a service that scores reads its own verified copies
(`bundles.py`) and runs when MLflow is away. Which version is live is decided, and recorded in the
database, by `workflows/promotion.py`; the aliases here show it to people.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prebill.bundles import Bundle, Role, copy_of, known, read_bundle, write_bundle
from prebill.core.errors import (
    ConflictError,
    ModelError,
    NotFoundError,
    StorageError,
    TransientError,
)
from prebill.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION: Final = Role.CHAMPION.value
CHALLENGER: Final = Role.CHALLENGER.value
PREVIOUS: Final = "previous"
ARCHIVED: Final = "archived"
EXPERIMENT: Final = "prebill"
#: Tags of a version: its digest, whether its evaluation allows promotion, and why.
DIGEST: Final = "prebill.digest"
PASSED: Final = "prebill.passed"
VERDICT: Final = "prebill.verdict"
#: Digest of the champion that it was compared with; empty: there was none.
AGAINST: Final = "prebill.against"
_STAGE: Final = "prebill.stage"
_BUNDLE: Final = "bundle"
_PREFIX: Final = "prebill-"
#: MLflow's databases keep no longer text of a tag.
_LONGEST_TAG: Final = 8_000
#: MLflow shows this tag as the description of a run.
_NOTE: Final = "mlflow.note.content"


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version. ``aliases``: champion, challenger, previous."""

    name: str
    number: int
    digest: str
    aliases: tuple[str, ...]
    run_id: str
    tags: Mapping[str, str]

    @property
    def stage(self) -> str:
        """What it is now, in one word."""
        if self.aliases:
            return ", ".join(self.aliases)
        return self.tags.get(_STAGE, "candidate")


@dataclass(frozen=True, slots=True)
class Logged:
    """What a run logs beside its model: all of it text or numbers."""

    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: Artifact path → text: card, report, plots (SVG), tables (CSV).
    documents: Mapping[str, str] = field(default_factory=dict)
    #: On the run; ``note`` becomes its description.
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def prepare(settings: Settings) -> None:
    """Create or migrate MLflow's tables, one process at a time: two at once crash."""
    with _client(settings):
        pass


def register(
    settings: Settings, bundle: Bundle, logged: Logged, *, tags: Mapping[str, str] | None = None
) -> Version:
    """Log a run and register its bundle as a new version with ``tags``."""
    with _client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        registered = _PREFIX + bundle.name
        run_tags = {**logged.tags, **({_NOTE: logged.note} if logged.note else {})}
        short = {name: text[:_LONGEST_TAG] for name, text in run_tags.items()}
        experiment = _experiment(client, settings)
        run = client.create_run(experiment, run_name=bundle.name, tags=short)
        run_id: str = run.info.run_id
        _log(client, run_id, logged)
        folder = Path(scratch) / bundle.digest
        write_bundle(bundle, folder)
        client.log_artifacts(run_id, str(folder), _BUNDLE)
        client.set_terminated(run_id)
        if not client.search_registered_models(f"name = '{registered}'"):
            client.create_registered_model(registered)
        source = f"{run.info.artifact_uri}/{_BUNDLE}"
        given = {DIGEST: bundle.digest}
        given |= {name: text[:_LONGEST_TAG] for name, text in (tags or {}).items()}
        made = client.create_model_version(registered, source, run_id=run_id, tags=given)
        return _version(made)


def record(settings: Settings, title: str, logged: Logged) -> str:
    """Log a run that registers no model, for example what drift found; return its id."""
    with _client(settings) as client:
        run = client.create_run(_experiment(client, settings), run_name=title)
        run_id: str = run.info.run_id
        _log(client, run_id, logged)
        client.set_terminated(run_id)
        return run_id


def _log(client: Any, run_id: str, logged: Logged) -> None:
    """Parameters and metrics in one call each, documents one by one."""
    from mlflow.entities import Metric, Param

    params = [Param(name, str(value)[:500]) for name, value in logged.parameters.items()]
    now_ms = int(time.time() * 1000)
    metrics = [Metric(name, figure, now_ms, 0) for name, figure in logged.metrics.items()]
    client.log_batch(run_id, metrics=metrics, params=params)
    for name, text in logged.documents.items():
        client.log_text(run_id, text, name)


def versions(settings: Settings, name: str) -> list[Version]:
    """Return the registered versions, newest first."""
    with _client(settings) as client:
        found = client.search_model_versions(f"name = '{_PREFIX}{known(name)}'")
        aliases: dict[str, list[str]] = {}
        for model in client.search_registered_models(f"name = '{_PREFIX}{name}'"):
            for alias, number in model.aliases.items():
                aliases.setdefault(str(number), []).append(alias)
        all_of_them = [_version(one, aliases.get(str(one.version), [])) for one in found]
    return sorted(all_of_them, key=lambda version: -version.number)


def version(settings: Settings, name: str, number: int) -> Version:
    """Return one version.

    Raises
    ------
    NotFoundError
        There is no such version.
    """
    there = {one.number: one for one in versions(settings, name)}
    if number not in there:
        numbers = ", ".join(str(one) for one in there) or "none"
        message = f"{name} has no version {number} (there are: {numbers}): `prebill models list`"
        raise NotFoundError(message, name=name, number=number)
    return there[number]


def fetch(settings: Settings, name: str, number: int, digest: str) -> Bundle:
    """Return a version's verified files: the local copy if that is whole, else from MLflow.

    Raises
    ------
    ConflictError
        The version is not what ``digest`` names: its tag was changed, or MLflow was replaced.
    ModelError
        What MLflow holds is not what was registered.
    """
    place = copy_of(settings, name, digest)
    if place.exists():
        try:
            return read_bundle(place, digest)
        except ModelError:
            shutil.rmtree(place)
    wanted = version(settings, name, number)
    if wanted.digest != digest:
        there = wanted.digest[:12] or "unknown"
        message = (
            f"{name} version {number} in MLflow is {there}, not {digest[:12]} as recorded: "
            "it is not used; restore MLflow's store, or train and promote a new version"
        )
        raise ConflictError(message, name=name, number=number)
    with _client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        folder = Path(client.download_artifacts(wanted.run_id, _BUNDLE, scratch))
        bundle = read_bundle(folder, digest)
    write_bundle(bundle, place)
    return bundle


def name_champion(settings: Settings, name: str, number: int) -> None:
    """Point the alias; the champion before becomes previous, the one before that is archived."""
    there = versions(settings, name)
    with _client(settings) as client:
        registered = _PREFIX + name
        before = _holder(there, CHAMPION)
        if before is not None and before.number != number:
            _archive(client, _holder(there, PREVIOUS), unless=(number, before.number))
            client.set_registered_model_alias(registered, PREVIOUS, str(before.number))
        elif (previous := _holder(there, PREVIOUS)) is not None and previous.number == number:
            client.delete_registered_model_alias(registered, PREVIOUS)
        client.set_registered_model_alias(registered, CHAMPION, str(number))
        challenger = _holder(there, CHALLENGER)
        if challenger is not None and challenger.number == number:
            client.delete_registered_model_alias(registered, CHALLENGER)


def name_challenger(settings: Settings, name: str, number: int | None) -> None:
    """Point the alias, or take it away; the challenger before is archived."""
    there = versions(settings, name)
    with _client(settings) as client:
        _archive(client, _holder(there, CHALLENGER), unless=(number,))
        if number is None:
            client.delete_registered_model_alias(_PREFIX + name, CHALLENGER)
        else:
            client.set_registered_model_alias(_PREFIX + name, CHALLENGER, str(number))


def annotate(settings: Settings, one: Version, tags: Mapping[str, str]) -> None:
    """Set tags of a version and of its run: a later verdict, who validated it."""
    with _client(settings) as client:
        for key, value in tags.items():
            short = value[:_LONGEST_TAG]
            client.set_model_version_tag(_PREFIX + one.name, str(one.number), key, short)
            client.set_tag(one.run_id, key, short)


def ui_command(settings: Settings, port: int) -> list[str]:
    """Return the command that serves MLflow's own pages on the installation's store.

    On loopback only: MLflow asks nobody who they are.

    Raises
    ------
    ConflictError
        The store is a server already: open its own address.
    """
    uri = settings.mlflow_tracking_uri
    if uri.startswith("http"):
        raise ConflictError(f"MLflow runs at {uri} already: open that address", uri=uri)
    options = {
        "--backend-store-uri": uri,
        "--artifacts-destination": _artifacts(settings),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
    }
    words = [word for pair in options.items() for word in pair]
    return [sys.executable, "-m", "mlflow", "server", *words]


def _holder(there: list[Version], alias: str) -> Version | None:
    return next((one for one in there if alias in one.aliases), None)


def _archive(client: Any, one: Version | None, *, unless: tuple[int | None, ...]) -> None:
    """Say of a version that nothing points to any more that its time is over."""
    if one is not None and one.number not in unless:
        client.set_model_version_tag(_PREFIX + one.name, str(one.number), _STAGE, ARCHIVED)


def _version(found: "ModelVersion", aliases: list[str] | None = None) -> Version:
    return Version(
        name=found.name.removeprefix(_PREFIX),
        number=int(found.version),
        digest=found.tags.get(DIGEST, ""),
        aliases=tuple(sorted(aliases or [])),
        run_id=found.run_id or "",
        tags=dict(found.tags),
    )


def _experiment(client: Any, settings: Settings) -> str:
    """The experiment; its artifacts lie where the settings say, never in the working folder."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    if not settings.mlflow_tracking_uri.startswith("sqlite"):
        return str(client.create_experiment(EXPERIMENT))  # a server has a place of its own
    return str(client.create_experiment(EXPERIMENT, artifact_location=_artifacts(settings)))


def _artifacts(settings: Settings) -> str:
    return (settings.home / "mlflow-artifacts").resolve().as_uri()


@contextmanager
def _client(settings: Settings) -> Iterator[Any]:
    """Open MLflow under a file lock, so that only one process at a time migrates its tables."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
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
        except (ConflictError, ModelError, NotFoundError):
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
