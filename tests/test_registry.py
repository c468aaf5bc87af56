"""MLflow: logged, registered, fetched, named; on its database and on a real server; away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from prebill import registry
from prebill.bundles import Role, copy_of, load_models, put_in_use
from prebill.core.errors import ConflictError, ModelError, NotFoundError, TransientError
from prebill.registry import Logged, Version
from prebill.settings import Settings
from tests.test_bundles import bundle


def registered(settings: Settings, weight: float = 0.0, **tags: str) -> Version:
    logged = Logged(
        parameters={"seed": 1},
        metrics={"brier": 0.1},
        documents={"model_card.md": "# Card", "report.html": "<p>report</p>"},
        note="what it is",
    )
    return registry.register(settings, bundle(weight), logged, tags=tags)


def away(settings: Settings) -> Settings:
    """The same installation while MLflow's store can't be reached."""
    return Settings.load(
        settings.home, mlflow_tracking_uri=f"sqlite:///{settings.home}/mlflow.db/no/folder.db"
    )


def stages(settings: Settings) -> dict[int, str]:
    return {one.number: one.stage for one in registry.versions(settings, "payment_risk")}


def test_aliases_say_champion_previous_challenger_and_archived(tracked: Settings) -> None:
    for weight in (0.0, 0.2, 0.4, 0.6):
        registered(tracked, weight)
    registry.name_champion(tracked, "payment_risk", 1)
    registry.name_challenger(tracked, "payment_risk", 2)
    assert stages(tracked) == {4: "candidate", 3: "candidate", 2: "challenger", 1: "champion"}
    registry.name_challenger(tracked, "payment_risk", 3)
    registry.name_champion(tracked, "payment_risk", 3)
    assert stages(tracked) == {4: "candidate", 3: "champion", 2: "archived", 1: "previous"}
    registry.name_champion(tracked, "payment_risk", 4)
    assert stages(tracked) == {4: "champion", 3: "previous", 2: "archived", 1: "archived"}
    registry.name_champion(tracked, "payment_risk", 3)  # back
    assert stages(tracked) == {4: "previous", 3: "champion", 2: "archived", 1: "archived"}


def test_what_does_not_exist_is_named(tracked: Settings) -> None:
    registered(tracked)
    with pytest.raises(NotFoundError, match="no version 7"):
        registry.version(tracked, "payment_risk", 7)
    with pytest.raises(NotFoundError, match="no model 'tarot'"):
        registry.versions(tracked, "tarot")


def test_files_are_fetched_verified_and_kept(tracked: Settings) -> None:
    made = registered(tracked, 0.5)
    fetched = registry.fetch(tracked, "payment_risk", 1, made.digest)
    assert fetched.manifest == bundle(0.5).manifest
    assert copy_of(tracked, "payment_risk", made.digest).is_dir()
    # What is here whole is not asked for again.
    assert registry.fetch(away(tracked), "payment_risk", 1, made.digest) == fetched


def test_altered_artifact_is_refused(tracked: Settings) -> None:
    made = registered(tracked)
    [file] = (tracked.home / "mlflow-artifacts").rglob("payment_risk.json")
    file.write_bytes(file.read_bytes().replace(b"0.0", b"0.9"))
    with pytest.raises(ModelError, match="altered"):
        registry.fetch(tracked, "payment_risk", made.number, made.digest)
    assert load_models(tracked).payment_risk is None


def test_another_version_under_the_same_number_is_refused(tracked: Settings) -> None:
    registered(tracked)
    with pytest.raises(ConflictError, match=r"not .* as recorded"):
        registry.fetch(tracked, "payment_risk", 1, bundle(0.5).digest)


def test_scoring_goes_on_when_mlflow_is_away(tracked: Settings) -> None:
    put_in_use(tracked, bundle(), Role.CHAMPION, 1)
    cut_off = away(tracked)
    assert load_models(cut_off).payment_risk is not None
    with pytest.raises(TransientError, match="does not answer"):
        registry.versions(cut_off, "payment_risk")


# ── A server as a process ────────────────────────────────────────────────────────────────────


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(url: str, given: object = None) -> str:
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return str(response.read().decode())


def wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path, seconds: int = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            answer(f"{url}/health")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("MLflow did not start:\n" + log.read_text(errors="replace"))


@pytest.fixture(scope="module")
def shown(
    tracking_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """`prebill models ui` on an installation with one run: its address and home."""
    home = tmp_path_factory.mktemp("shown")
    (home / "mlflow.db").write_bytes(tracking_template.read_bytes())
    registered(Settings.load(home), 0.25)
    port, log = free_port(), home / "ui.log"
    url = f"http://127.0.0.1:{port}"
    start = "from prebill.cli import main; main()"
    words = [sys.executable, "-c", start, "models", "ui", "--port", str(port)]
    given = {n: v for n, v in os.environ.items() if not n.startswith("PREBILL_")}
    with log.open("wb") as output:
        server = subprocess.Popen(
            words,
            env={**given, "PREBILL_HOME": str(home)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(url, server, log)
        yield url, home
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_mlflows_own_pages_answer_and_list_the_runs(shown: tuple[str, Path]) -> None:
    url, home = shown
    assert f"MLflow: {url}/" in (home / "ui.log").read_text(encoding="utf-8")
    assert "<!doctype html>" in answer(f"{url}/").lower()
    experiments = json.loads(answer(f"{url}/api/2.0/mlflow/experiments/search", {"max_results": 9}))
    [ours] = [e for e in experiments["experiments"] if e["name"] == registry.EXPERIMENT]
    found = json.loads(
        answer(f"{url}/api/2.0/mlflow/runs/search", {"experiment_ids": [ours["experiment_id"]]})
    )
    [run] = found["runs"]
    assert run["data"]["metrics"][0]["key"] == "brier"
    report = answer(f"{url}/get-artifact?run_id={run['info']['run_id']}&path=report.html")
    assert report == "<p>report</p>"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_real_server_keeps_runs_versions_and_files(shown: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = shown
    here = Settings.load(tmp_path / "one", mlflow_tracking_uri=url)
    made = registered(here, 0.5, **{registry.PASSED: "yes"})
    registry.name_champion(here, "payment_risk", made.number)
    # Another machine knows nothing but the server's address and what the database recorded.
    there = Settings.load(tmp_path / "two", mlflow_tracking_uri=url)
    found = registry.version(there, "payment_risk", made.number)
    assert found.stage == "champion"
    assert found.tags[registry.PASSED] == "yes"
    fetched = registry.fetch(there, "payment_risk", made.number, made.digest)
    assert dict(fetched.files) == dict(bundle(0.5).files)
    with pytest.raises(ConflictError, match="open that address"):
        registry.ui_command(there, 5000)
