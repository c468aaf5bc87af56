"""The seed case: 40 % above the trend is stopped with its reason; explained, it goes out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from prebill.bootstrap import Installation
from prebill.cli import gate as gate_cli
from prebill.demo.billing import bill_month, billing_inputs
from prebill.demo.catalogue import PERIOD
from prebill.demo.history import issue
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from tests.scenarios.rise import (
    AMENDED,
    CUSTOMERS_IN_ALL,
    JUMPED,
    SEASONAL,
    Story,
    customer_id,
    story,
)
from tests.workflows import world

JUMP, AMENDMENT = customer_id(JUMPED), customer_id(AMENDED)
SEASON = {customer_id(number) for number in range(SEASONAL, CUSTOMERS_IN_ALL)}
#: Stopped by chance, of the thirty that have a season.
CHANCE = 1
#: What the gate reads beside invoices and lines.
ALONE = ("customers",)
WITH_EVENTS = ("customers", "usage_events")
WITH_CONTRACTS = (*WITH_EVENTS, "subscriptions", "subscription_phases", "contract_terms")

Decisions = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def told() -> Story:
    return story()


def over_billed(told: Story, decision: dict[str, Any]) -> list[int]:
    """Amounts of the reasons that say about how much too high the invoice is."""
    rise = 0.4 * told.expected_minor[JUMP]
    amounts = [one["amount_minor"] for one in json.loads(decision["reasons"])]
    return [one for one in amounts if one is not None and 0.5 * rise < one < 1.5 * rise]


# ── The gate alone ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=[ALONE, WITH_EVENTS], ids=["invoices", "with events"])
def scored(
    request: pytest.FixtureRequest, told: Story, tmp_path_factory: pytest.TempPathFactory
) -> Decisions:
    return score(told, tmp_path_factory.mktemp("gate"), request.param)


def score(told: Story, folder: Path, files: tuple[str, ...]) -> Decisions:
    """Run ``prebill score`` on the story's files; a decision by customer."""
    history, drafts, out = folder / "history", folder / "drafts", folder / "out.parquet"
    billed = bill_month(billing_inputs(told.frames), told.frames["usage_events"], PERIOD)
    invoices, lines = issue(billed.drafts, billed.lines)
    for place, frames in (
        (history, {name: told.frames[name] for name in ("invoices", "invoice_lines", *files)}),
        (drafts, {"invoices": invoices, "invoice_lines": lines}),
    ):
        place.mkdir()
        for name, frame in frames.items():
            frame.write_parquet(place / f"{name}.parquet")
    app = typer.Typer()
    app.callback()(lambda: None)
    gate_cli.register(app)
    words = ["score", "--history", history, "--drafts", drafts, "--out", out]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert 0 == done.exit_code, done.output
    rows = pl.read_parquet(out).join(invoices.select("invoice_id", "customer_id"), on="invoice_id")
    return {row["customer_id"]: row for row in rows.to_dicts()}


def test_gate_stops_a_rise_of_forty_percent_with_its_reason(told: Story, scored: Decisions) -> None:
    assert scored[JUMP]["action"] in {"review", "hold"}
    assert "over" == scored[JUMP]["direction"]
    assert over_billed(told, scored[JUMP])


def test_gate_releases_a_rise_that_the_season_explains(scored: Decisions) -> None:
    stopped = [customer for customer in SEASON if scored[customer]["action"] != "release"]
    assert len(stopped) <= CHANCE, f"{len(stopped)} of {len(SEASON)} were stopped"


def test_gate_releases_a_rise_that_a_contract_change_explains(told: Story, tmp_path: Path) -> None:
    assert "release" == score(told, tmp_path, WITH_CONTRACTS)[AMENDMENT]["action"]


# ── A billing run ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(told: Story, database_url: str, home: Path) -> Iterator[Installation]:
    settings = Settings.load(home, database_url=database_url)
    installation = Installation(settings, Store(database_url), Lake(settings.lake_dir))
    world.load(installation, told.frames)
    world.run(installation, shard_customers=CUSTOMERS_IN_ALL)
    yield installation
    installation.close()


def test_run_stops_what_nothing_explains_and_issues_the_rest(
    told: Story, opened: Installation
) -> None:
    rows = world.rows(
        opened,
        "SELECT d.customer_id, d.state, e.action, e.direction, e.reasons FROM drafts d "
        "JOIN decisions e ON e.draft_id = d.draft_id AND e.draft_version = d.version",
    )
    decisions = {str(row["customer_id"]): row for row in rows}
    issued = {customer for customer, row in decisions.items() if row["state"] == "issued"}
    # Before release: no document, but a case that says why, and whose it is.
    assert decisions[JUMP]["state"] in {"in_review", "held"}
    assert "over" == decisions[JUMP]["direction"]
    assert over_billed(told, decisions[JUMP])
    (case,) = world.rows(
        opened,
        "SELECT c.queue, c.status FROM cases c JOIN drafts d "
        f"ON d.draft_id = c.draft_id WHERE d.customer_id = '{JUMP}'",
    )
    assert "open" == case["status"]
    assert case["queue"] in {"billing", "metering"}
    # It was compared with the contract's terms, and agrees with them: usage alone is the reason.
    codes = {one["code"] for one in json.loads(str(decisions[JUMP]["reasons"]))}
    assert not {code for code in codes if "contract" in code}
    # The same rise by an amendment, or by the season, goes out.
    stopped = len(SEASON - issued)
    assert ("issued", True) == (decisions[AMENDMENT]["state"], stopped <= CHANCE), stopped
