"""Fixtures that every part may use: settings in a temporary home, a lake, a store on both engines.

Tests that need PostgreSQL or Chromium are skipped where those are missing, and named at the end;
``PREBILL_NO_SKIPS=1`` makes such a skip a failure.
"""

import itertools
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from prebill import registry
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from tests.servers import (
    MISSING_POSTGRESQL,
    Postgresql,
    postgresql_binaries,
    running_postgresql,
)

#: A skip whose reason names one of these is for something that `make test-deps` installs.
INSTALLABLE = ("postgresql", "chromium", "test-deps")

#: Read once: the fixture `home` empties the environment of a test.
ACCEPTS_SKIPS = not os.environ.get("PREBILL_NO_SKIPS")

# The same examples in every run, and no example fails for being slow on a busy machine.
hypothesis.settings.register_profile("prebill", deadline=None, derandomize=True)
hypothesis.settings.load_profile("prebill")

_numbers = itertools.count(1)


# ── Settings ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; PREBILL_HOME points to it and no other PREBILL_ variable is set."""
    for name in [name for name in os.environ if name.startswith("PREBILL_")]:
        monkeypatch.delenv(name)
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("PREBILL_HOME", str(place))
    return place


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings of that home."""
    return Settings.load(home)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(tmp_path / "lake")


# ── Databases ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A private PostgreSQL with an empty template of our tables; one a test process."""
    binaries = postgresql_binaries()
    if binaries is None:
        pytest.skip(MISSING_POSTGRESQL)
    with running_postgresql(binaries) as cluster:
        cluster.execute("CREATE DATABASE prebill_template")
        template = Store(cluster.url("prebill_template"))
        template.create_all()
        template.close()
        yield cluster


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with empty tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "prebill.db"
    template = Store(f"sqlite:///{path}")
    template.create_all()
    template.close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """URL of a fresh SQLite database with our tables."""
    path = tmp_path / "prebill.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> Iterator[str]:
    """URL of a fresh PostgreSQL database with our tables; dropped after the test."""
    name = f"prebill_{next(_numbers)}"
    postgresql.execute(f"CREATE DATABASE {name} TEMPLATE prebill_template")
    yield postgresql.url(name)
    postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database with our tables; the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store with empty tables; the test runs once on each engine."""
    opened = Store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """A store on SQLite alone, for what does not depend on the engine."""
    opened = Store(sqlite_url)
    yield opened
    opened.close()


# ── MLflow ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def tracking_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables take seconds to make: made once a test process, to be copied."""
    place = tmp_path_factory.mktemp("mlflow")
    registry.prepare(Settings.load(place, mlflow_tracking_uri=f"sqlite:///{place}/mlflow.db"))
    return place / "mlflow.db"


@pytest.fixture
def tracked(settings: Settings, tracking_template: Path) -> Settings:
    """Settings of a home whose MLflow is ready."""
    shutil.copyfile(tracking_template, settings.home / "mlflow.db")
    return settings


# ── Skips are counted and named ──────────────────────────────────────────────────────────────


def _skip_reason(report: Any) -> str:
    place = report.longrepr
    return str(place[2] if isinstance(place, tuple) else place).removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for something installable into a failure where skips are not accepted."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not ACCEPTS_SKIPS:
        reason = _skip_reason(report)
        if any(word in reason.lower() for word in INSTALLABLE):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped, and PREBILL_NO_SKIPS is set: {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """Count and name the skipped tests in the last lines, after pytest's own summary."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.write_line(f"skipped tests: {len(skipped)}", yellow=True)
    for report in skipped:
        terminalreporter.write_line(f"  {report.nodeid}: {_skip_reason(report)}")
