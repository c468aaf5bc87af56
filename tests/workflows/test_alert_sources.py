"""Alerts as the rest of the program gives rise to them: runs, imports, drift, server and worker."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from prebill.api.refresh import _refresh
from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import alerts
from prebill.store.engine import Store
from prebill.store.users import Role, bind_secret
from prebill.workflows.alerting import look
from prebill.workflows.deliver import deliver_due
from prebill.workflows.staging import accept_events, move_staged_events
from tests.api.builders import add_person
from tests.connectors.notify.mail_server import MailServer, mailing
from tests.training.drift.builders import changed, end_of, limits, watch
from tests.training.drift.builders import rows as drift_rows
from tests.workflows import alarmed, ingest_company, world
from tests.workflows.test_ingest_quarantine import CATALOG
from training.drift.command import tell
from training.drift.evidence import stability
from training.drift.judge import judge

ROOT = Path(__file__).parents[2]


def causes(store: Store) -> list[str]:
    with store.read() as tx:
        return sorted(row["cause"] for row in alerts.open_alerts(tx))


def test_a_run_that_went_well_alerts_nobody(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home, accounts=4, events=80)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    deliver_due(opened)
    alarmed.seal(opened)
    with opened.store.read() as tx:
        stopped = tx.scalar("SELECT count(*) FROM drafts WHERE state IN ('held', 'in_review')")
    assert 1 == stopped
    look(opened, datetime.now(UTC) + timedelta(minutes=30))
    assert [] == causes(opened.store)


def test_a_source_is_heard_by_file_and_over_http(
    store: Store, lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    ingest_company.run(store, lake, ingest_company.write(tmp_path / "in", ingest_company.company()))
    with store.read() as tx:
        first = tx.rows("SELECT * FROM feeds")
    assert [None] == [row["pause_seconds"] for row in first]
    event = ingest_company.event("later") | {"source": first[0]["source"]}
    accept_events(store, CATALOG, [event, event | {"source": "another"}], "token-1")
    move_staged_events(ingest_company.world(store, lake))
    with store.read() as tx:
        pauses = {row["source"]: row["pause_seconds"] for row in tx.rows("SELECT * FROM feeds")}
    assert {"another": None} == {name: one for name, one in pauses.items() if one is None}
    assert {"another", first[0]["source"]} == set(pauses)


def test_a_bound_secret_that_ends_is_named_by_its_system(
    store: Store, lake: Lake, settings: Settings
) -> None:
    person = add_person(store, Role.CONTROLLER)
    with store.transaction() as tx:
        ends_at = datetime.now(UTC) + timedelta(days=365)
        token_id = bind_secret(tx, person.actor.user_id, "zoo", "s", expires_at=ends_at)
    look(Installation(settings, store, lake), ends_at - timedelta(days=1))
    assert [f"credential_ending:webhook zoo ({token_id})"] == causes(store)
    with store.read() as tx:
        assert "critical" == alerts.open_alerts(tx)[0]["severity"]


@pytest.mark.parametrize("weeks", [8, 12])
def test_drift_is_an_alert_until_a_later_look_finds_none(
    store: Store, lake: Lake, settings: Settings, weeks: int
) -> None:
    url = store.url.render_as_string(hide_password=False)
    used = Settings.load(settings.home, database_url=url)
    moved = changed(drift_rows(), "size", lambda size: size + 0.8, week=8)
    at = datetime.now(UTC)
    for minutes, frame in ((0, moved), (10, drift_rows())):
        tell(used, [judge(watch(frame), limits(), stability, as_of_on=end_of(weeks))])
        look(Installation(used, store, lake), at + timedelta(minutes=minutes + 1))
        assert (["drift"] if weeks == 12 and frame is moved else []) == causes(store)


def test_the_server_looks_after_alerts_where_no_worker_does(
    sqlite_store: Store, lake: Lake, settings: Settings
) -> None:
    with sqlite_store.transaction() as tx:
        alarmed.late_case(tx)
    with mailing() as server:
        path = settings.home / "alerts.toml"
        path.write_text('owners = {default = "ops@example.com"}\n', encoding="utf-8")
        given = {"smtp_url": server.url, "alerts_path": path}
        _refresh(Installation(Settings.load(settings.home, **given), sqlite_store, lake))
    assert 1 == len(server.mails)


def test_a_worker_sends_the_mail(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=1, events=1)
    with opened.store.transaction() as tx:
        alarmed.late_case(tx)
    (home / "alerts.toml").write_text('owners = {default = "ops@example.com"}\n', encoding="utf-8")
    with mailing() as server:
        worker = started_worker(sqlite_url, home, server)
        try:
            deadline = time.monotonic() + 60
            while not server.mails and worker.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            worker.send_signal(signal.SIGTERM)
            output, _ = worker.communicate(timeout=60)
    assert (0, 1) == (worker.returncode, len(server.mails)), output


def started_worker(url: str, home: Path, server: MailServer) -> "subprocess.Popen[bytes]":
    environment = os.environ | {
        "PREBILL_HOME": str(home),
        "PREBILL_DATABASE_URL": url,
        "PREBILL_SMTP_URL": server.url,
        "PREBILL_ALERTS_PATH": str(home / "alerts.toml"),
    }
    code = "from prebill.cli import main; main()"
    command = [sys.executable, "-c", code, "worker"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **streams)
