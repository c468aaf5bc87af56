"""A policy asked again gives what it gave; another one gives what its rules say."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml

from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.core.policy.model import Policy
from prebill.core.policy.simulate import Simulation, listed
from prebill.core.schemas.internal import DECISIONS
from prebill.core.triage.policy_quality import policy_quality
from prebill.workflows.policy_optimisation import optimised
from prebill.workflows.policy_simulation import Question, effect_of, read_decisions, simulated
from tests.store.test_outcomes import label
from tests.workflows import world

EXPOSED = {
    "id": "exposure",
    "kind": "exposure_above",
    "limits": {"default": 1_000_000_000, "EUR": 0},
    "p_late": 0.5,
    "p_never": 0.01,
    "action": "review",
}
QUESTION = Question(date(2026, 11, 28))


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    """A run with issued, held and reviewed drafts."""
    opened = world.install(database_url, home)
    world.sample_everything(opened, EXPOSED)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    return opened


def changed(opened: Installation, *rules: dict[str, object], **sections: object) -> Policy:
    """The policy of the installation with other rules, and other sections."""
    path = opened.settings.policy_path
    assert path is not None
    document = yaml.safe_load(path.read_text(encoding="utf-8")) | sections
    return Policy.parse(yaml.safe_dump({**document, "rules": list(rules)} if rules else document))


def asked_again(opened: Installation) -> Simulation:
    live = opened.load_policy()
    return effect_of(opened, live, live, QUESTION).simulation


def stored_actions(opened: Installation) -> dict[object, object]:
    statement = "SELECT draft_id, action FROM decisions WHERE draft_version <> 'gap'"
    return {one["draft_id"]: one["action"] for one in world.rows(opened, statement)}


def again(simulation: Simulation) -> dict[object, object]:
    return dict(simulation.rows.select("draft_id", "action_after").iter_rows())


def test_live_policy_over_its_own_decisions_gives_what_was_stored(opened: Installation) -> None:
    stored = stored_actions(opened)
    assert {"release", "review", "hold"} == set(stored.values())
    assert stored == again(asked_again(opened))


@pytest.mark.parametrize("mode", ["observe", "advise"])
def test_so_it_does_in_a_mode_that_stops_less(sqlite_url: str, home: Path, mode: str) -> None:
    opened = world.install(sqlite_url, home)
    path = opened.settings.policy_path
    assert path is not None
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**document, "mode": mode}), encoding="utf-8")
    world.amend(opened, 3, quantity=Decimal(99))
    with opened.store.transaction() as tx:  # nothing of that entity can be posted
        tx.execute("DELETE FROM account_mappings WHERE entity_id = 'GB1'")
    world.run(opened)
    stored = stored_actions(opened)
    assert "hold" in stored.values()
    assert stored == again(asked_again(opened))


def test_so_it_does_where_nothing_could_be_judged(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = world.install(sqlite_url, home)

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("prebill.workflows.shard.score_scene", fails)
    world.run(opened)
    stored = stored_actions(opened)
    assert {"review"} == set(stored.values())
    assert stored == again(asked_again(opened))


def test_run_that_is_repeated_is_counted_once(opened: Installation) -> None:
    before = asked_again(opened).rows
    world.run(opened, as_of_at=world.FINAL_AT + timedelta(days=1))
    after = asked_again(opened).rows
    assert before["draft_id"].sort().to_list() == after["draft_id"].sort().to_list()
    assert 1 == after["run_id"].n_unique()


def test_candidate_moves_what_its_rules_say_and_each_figure_has_its_list(
    opened: Installation,
) -> None:
    candidate = changed(opened, EXPOSED)  # nothing is held for what differs from the contract
    effect = effect_of(opened, opened.load_policy(), candidate, QUESTION)
    held = {name for name, action in stored_actions(opened).items() if action == "hold"}
    moved = effect.simulation.moved
    assert held == set(moved["draft_id"])
    (cell,) = (one for one in effect.summary["moved_by"]["rule"] if one["value"] == "exact-hold")
    assert set(listed(effect.simulation, cell["list"])["draft_id"]) == held
    assert len(held) == effect.summary["stopped"]["before"]["hold"]
    assert 0 == effect.summary["stopped"]["after"]["hold"]


def test_summary_is_json_and_of_the_live_policy(opened: Installation) -> None:
    summary = simulated(opened, changed(opened, EXPOSED))
    assert summary == json.loads(json.dumps(summary))
    assert opened.load_policy().digest == summary["against"]["digest"]  # type: ignore[index]
    assert 0 == simulated(opened, opened.load_policy())["moved"]


def test_nothing_decided_yet_says_what_to_do(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    with pytest.raises(InputError, match="nothing was decided yet"):
        simulated(opened, opened.load_policy())


def test_decisions_of_an_older_program_are_told(opened: Installation) -> None:
    older = asked_again(opened).rows.select(
        invoice_id=pl.format("old-{}", "draft_id"), **_older_columns()
    )
    world.add_batch(opened, "decisions", DECISIONS.conform(older), "run:older#0")
    effect = effect_of(opened, opened.load_policy(), opened.load_policy(), QUESTION)
    assert older.height == effect.summary["left_out"]
    assert effect.summary["decided_since"] in effect.summary["notes"][1]


def test_only_decisions_of_an_older_program_say_from_when_on_it_works(
    sqlite_url: str, home: Path
) -> None:
    opened = world.install(sqlite_url, home)
    one = pl.DataFrame({"invoice_id": ["A"]}).with_columns(**_older_columns())
    world.add_batch(opened, "decisions", DECISIONS.conform(one), "run:older#0")
    with pytest.raises(InputError, match="what is decided from now on can be"):
        simulated(opened, opened.load_policy())


def _older_columns() -> dict[str, pl.Expr]:
    texts = ("action", "p_error_basis", "direction", "currency", "confidence", "reasons")
    columns = {name: pl.lit("x") for name in (*texts, "model_versions", "policy_hash")}
    return {**columns, "expected_loss_minor": pl.lit(0, dtype=pl.Int64)}


def test_shadow_sees_decisions_since_its_candidate_was_named(opened: Installation) -> None:
    live, candidate = opened.load_policy(), changed(opened, EXPOSED)
    named_at = datetime.now(UTC)
    with pytest.raises(InputError, match="no decision since"):
        effect_of(opened, live, candidate, Question(date(2026, 11, 28), since_at=named_at))
    earlier = Question(date(2026, 11, 28), since_at=named_at - timedelta(hours=1))
    assert (
        len(stored_actions(opened))
        == effect_of(opened, live, candidate, earlier).summary["decisions"]
    )


def test_verdicts_tell_precision_and_recall(opened: Installation) -> None:
    rows = asked_again(opened).rows
    with opened.store.transaction() as tx:
        for row in rows.iter_rows(named=True):
            chance = 0.5 if row["action"] == "release" else None
            said = {"is_error": row["action"] == "hold", "propensity": chance}
            of = {"draft_id": row["draft_id"], "draft_version": row["draft_version"]}
            tx.insert("labels", label(label_id=row["draft_id"], **of, **said))
    found = policy_quality(asked_again(opened).rows, "action_after")
    stopped = rows.filter(pl.col("action") != "release").height
    held = rows.filter(pl.col("action") == "hold").height
    assert found.precision is not None
    assert found.recall is not None
    assert (held / stopped, 1.0) == (found.precision.value, found.recall.value)
    assert found.recall.low < 1.0


def test_optimiser_writes_a_policy_that_reads_and_keeps_the_hours(opened: Installation) -> None:
    path = opened.settings.policy_path
    assert path is not None
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    score = {"kind": "score_at_least", "score": "anomaly_score", "at_least": 0.99}
    document["rules"] = [*document["rules"], {"id": "score", **score, "action": "review"}]
    found = optimised(opened, yaml.safe_dump(document), 1.0, QUESTION, "one hour")
    assert "one hour" == Policy.parse(found.text).name
    assert found.chosen.hours <= 1.0
    assert "p_error" == found.basis
    asked = read_decisions(opened, QUESTION)
    stopped = effect_of(opened, opened.load_policy(), Policy.parse(found.text), QUESTION)
    assert stopped.summary["work"]["per_cycle"]["hours_after"] == pytest.approx(found.chosen.hours)
    assert asked.given.rows.height == stopped.summary["decisions"]
    with pytest.raises(InputError, match="nothing can be moved"):
        optimised(opened, path.read_text(encoding="utf-8"), 1.0, QUESTION, "none")
