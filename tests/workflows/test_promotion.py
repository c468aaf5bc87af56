"""Models in use: two people, first champion, challenger, back, other machines; both databases."""

from dataclasses import replace
from pathlib import Path

import pytest

from prebill import registry
from prebill.bundles import Role, copy_of, in_use, load_challenger, load_models
from prebill.core.errors import ConflictError, ForbiddenError, ModelError, NotFoundError
from prebill.registry import Logged, Version
from prebill.settings import Settings
from prebill.store import model_changes, users
from prebill.store.engine import Store
from prebill.workflows import promotion
from prebill.workflows.promotion import Office
from tests.test_bundles import bundle

NAME = "payment_risk"


def version(
    settings: Settings, weight: float, *, against: str = "", passed: str = "yes"
) -> Version:
    tags = {registry.PASSED: passed, registry.AGAINST: against, registry.VERDICT: "better: by much"}
    return registry.register(settings, bundle(weight), Logged(), tags=tags)


@pytest.fixture
def ann(tracked: Settings, store: Store) -> Office:
    """The first of two controllers."""
    return Office(tracked, store, _controller(store, "ann"))


@pytest.fixture
def ben(ann: Office) -> Office:
    return replace(ann, actor=_controller(ann.store, "ben"))


def _controller(store: Store, name: str) -> str:
    with store.transaction() as tx:
        actor = users.create_user(
            tx,
            f"{name}@example.com",
            name=name.title(),
            role=users.Role.CONTROLLER,
            password="correct horse battery",
        )
    return actor.user_id


@pytest.fixture
def trainer(ann: Office) -> Office:
    return replace(ann, actor="shell:robot")


@pytest.fixture
def champion(trainer: Office) -> Version:
    """Version 1, in use."""
    first = version(trainer.settings, 0.1)
    assert promotion.install(trainer, first, {}).is_live
    return first


def actions(office: Office) -> list[tuple[str, str]]:
    with office.store.read() as tx:
        rows = tx.rows("SELECT action, actor FROM audit_entries ORDER BY seq")
    return [(row["action"], row["actor"]) for row in rows]


def live(office: Office) -> str:
    found = in_use(office.settings, NAME)
    assert found is not None
    return found.digest


def test_first_champion_needs_nobody_and_is_audited(trainer: Office, champion: Version) -> None:
    assert live(trainer) == champion.digest
    assert registry.version(trainer.settings, NAME, 1).stage == "champion"
    names = ["model.proposed", "model.approved", "model.promoted"]
    assert actions(trainer) == [(name, "shell:robot") for name in names]


def test_next_one_that_passes_is_challenger_and_changes_nothing(
    trainer: Office, champion: Version
) -> None:
    second = version(trainer.settings, 0.2, against=champion.digest)
    outcome = promotion.install(trainer, second, {"verdict": "better"})
    assert outcome.change.kind == "challenge"
    assert live(trainer) == champion.digest
    assert load_models(trainer.settings).payment_risk.binary_weight == 0.1
    assert load_challenger(trainer.settings).payment_risk.binary_weight == 0.2
    assert registry.version(trainer.settings, NAME, 2).stage == "challenger"
    assert actions(trainer)[-1] == ("model.challenged", "shell:robot")


def test_promotion_takes_two_people(ann: Office, ben: Office, champion: Version) -> None:
    second = version(ann.settings, 0.2, against=champion.digest)
    promotion.install(replace(ann, actor="shell:robot"), second, {})
    assert not promotion.promote(ann, NAME, 2).is_live
    assert live(ann) == champion.digest
    with pytest.raises(ForbiddenError, match="somebody else must approve"):
        promotion.promote(ann, NAME, 2)
    assert live(ann) == champion.digest

    assert promotion.promote(ben, NAME, 2).is_live
    assert live(ann) == second.digest
    assert load_challenger(ann.settings) is None
    found = registry.version(ann.settings, NAME, 2)
    assert found.stage == "champion"
    assert found.tags["prebill.validator"] == ben.actor
    assert registry.version(ann.settings, NAME, 1).stage == "previous"
    assert actions(ann)[-3:] == [
        ("model.proposed", ann.actor),
        ("model.approved", ben.actor),
        ("model.promoted", ben.actor),
    ]


def test_database_itself_refuses_the_author_as_approver(ann: Office, champion: Version) -> None:
    version(ann.settings, 0.2, against=champion.digest)
    change = promotion.promote(ann, NAME, 2).change
    with (
        pytest.raises(ConflictError, match="author_is_not_approver"),
        ann.store.transaction() as tx,
    ):
        model_changes.approve(tx, change, ann.actor)
    with (
        pytest.raises(ConflictError, match="author_is_not_approver"),
        ann.store.transaction() as tx,
    ):
        tx.execute("UPDATE model_changes SET status = 'live' WHERE status = 'proposed'")
    with pytest.raises(ConflictError, match="only_two_people"), ann.store.transaction() as tx:
        tx.execute("UPDATE model_changes SET basis = 'evaluation' WHERE status = 'proposed'")
    with pytest.raises(ConflictError), ann.store.transaction() as tx:
        tx.execute("UPDATE model_changes SET basis = 'first_champion' WHERE status = 'proposed'")


def test_one_change_of_a_model_at_a_time_and_it_can_be_withdrawn(
    ann: Office, ben: Office, champion: Version
) -> None:
    version(ann.settings, 0.2, against=champion.digest)
    version(ann.settings, 0.3, against=champion.digest)
    promotion.promote(ann, NAME, 2)
    with pytest.raises(ConflictError, match=r"Ann proposed to promote payment_risk to version 2"):
        promotion.promote(ben, NAME, 3)
    assert promotion.withdraw(ben, NAME).version == 2
    assert not promotion.promote(ben, NAME, 3).is_live
    assert promotion.promote(ann, NAME, 3).is_live


def test_what_did_not_pass_is_not_proposed_unless_somebody_says_why(
    ann: Office, champion: Version
) -> None:
    version(ann.settings, 0.2, against=champion.digest, passed="no")
    with pytest.raises(ConflictError, match=r"did not pass.*--despite"):
        promotion.promote(ann, NAME, 2)
    version(ann.settings, 0.3, against="another")
    with pytest.raises(ConflictError, match=r"models compare payment_risk --with 3"):
        promotion.promote(ann, NAME, 3)
    with pytest.raises(ConflictError, match="in use already"):
        promotion.promote(ann, NAME, 1)
    assert not promotion.promote(ann, NAME, 2, despite="the old one is broken").is_live
    with ann.store.read() as tx:
        evidence = tx.scalar("SELECT evidence FROM model_changes WHERE status = 'proposed'")
    assert "the old one is broken" in evidence


def test_rollback_takes_two_people_and_works_without_mlflow(
    ann: Office, ben: Office, champion: Version
) -> None:
    with pytest.raises(NotFoundError, match="no earlier champion"):
        promotion.rollback(ann, NAME)
    second = version(ann.settings, 0.2, against=champion.digest)
    promotion.promote(ann, NAME, 2)
    promotion.promote(ben, NAME, 2)
    away = Settings.load(
        ann.settings.home,
        mlflow_tracking_uri=f"sqlite:///{ann.settings.home}/mlflow.db/no.db",
    )
    assert not promotion.rollback(
        replace(ben, settings=away), NAME, reason="too many holds"
    ).is_live
    with pytest.raises(ForbiddenError):
        promotion.rollback(replace(ben, settings=away), NAME)
    outcome = promotion.rollback(replace(ann, settings=away), NAME)
    assert outcome.is_live
    assert "MLflow does not show it yet" in outcome.notes[0]
    assert live(ann) == champion.digest
    assert actions(ann)[-1] == ("model.rolled_back", ann.actor)
    # Back once more leads to the version that was left.
    promotion.rollback(ann, NAME)
    assert promotion.rollback(ben, NAME).change.digest == second.digest


def test_altered_version_is_neither_proposed_nor_approved(
    ann: Office, ben: Office, champion: Version
) -> None:
    second = version(ann.settings, 0.2, against=champion.digest)
    promotion.promote(ann, NAME, 2)
    _damage(ann.settings, second)
    with pytest.raises(ModelError, match="altered"):
        promotion.promote(ben, NAME, 2)
    assert live(ann) == champion.digest
    with ann.store.read() as tx:
        assert model_changes.open_change(tx, NAME).status == "proposed"


def _damage(settings: Settings, made: Version) -> None:
    """Alter a version both here and in MLflow's store."""
    copy = copy_of(settings, NAME, made.digest) / "payment_risk.json"
    stored = [
        file
        for file in (settings.home / "mlflow-artifacts").rglob("payment_risk.json")
        if made.run_id in str(file)
    ]
    for file in (copy, *stored):
        file.write_bytes(file.read_bytes().replace(b"0.2", b"0.9"))


# ── One person only ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def alone(ann: Office) -> Office:
    """One controller, and the setting."""
    return replace(ann, settings=Settings.load(ann.settings.home, unattended_promotion=True))


def test_one_person_may_promote_where_the_setting_says_so(alone: Office, champion: Version) -> None:
    second = version(alone.settings, 0.2, against=champion.digest)
    outcome = promotion.promote(alone, NAME, 2)
    assert outcome.is_live
    assert outcome.change.basis == "unattended"
    assert live(alone) == second.digest
    with alone.store.read() as tx:
        detail = tx.scalar("SELECT detail FROM audit_entries WHERE action = 'model.approved' "
                           "ORDER BY seq DESC LIMIT 1")  # fmt: skip
    assert '"basis":"unattended"' in detail


def test_training_promotes_unattended_there_too(alone: Office, champion: Version) -> None:
    second = version(alone.settings, 0.2, against=champion.digest)
    assert promotion.install(replace(alone, actor="shell:robot"), second, {}).is_live
    assert live(alone) == second.digest


def test_setting_is_ignored_where_a_second_person_could_approve(
    alone: Office, ben: Office, champion: Version
) -> None:
    version(alone.settings, 0.2, against=champion.digest)
    outcome = promotion.promote(alone, NAME, 2)
    assert not outcome.is_live
    assert "2 people may approve" in outcome.notes[0]


# ── Crashes and other machines ───────────────────────────────────────────────────────────────


def test_approved_change_that_a_crash_stopped_is_finished_by_the_next_call(
    ann: Office, ben: Office, champion: Version
) -> None:
    second = version(ann.settings, 0.2, against=champion.digest)
    change = promotion.promote(ann, NAME, 2).change
    with ben.store.transaction() as tx:
        model_changes.approve(tx, change, ben.actor)
    assert live(ann) == champion.digest
    assert promotion.follow(ann) == []
    assert live(ann) == second.digest
    with ann.store.read() as tx:
        assert model_changes.live_champion(tx, NAME).decided_by == ben.actor


def test_another_machine_follows_the_database(
    ann: Office, ben: Office, champion: Version, tmp_path: Path
) -> None:
    other = replace(ann, settings=Settings.load(ann.settings.home, models_dir=tmp_path / "other"))
    assert promotion.follow(other) == []
    assert live(other) == champion.digest
    second = version(ann.settings, 0.2, against=champion.digest)
    promotion.install(replace(ann, actor="shell:robot"), second, {})
    assert promotion.follow(other) == []
    assert in_use(other.settings, NAME, Role.CHALLENGER).digest == second.digest
    promotion.promote(ann, NAME, 2)
    promotion.promote(ben, NAME, 2)
    assert promotion.follow(other) == []
    assert live(other) == second.digest
    assert in_use(other.settings, NAME, Role.CHALLENGER) is None


def test_damaged_copy_is_mended_and_one_that_cannot_be_is_named(
    ann: Office, champion: Version
) -> None:
    file = copy_of(ann.settings, NAME, champion.digest) / "payment_risk.json"
    file.unlink()
    assert promotion.follow(ann) == []
    assert live(ann) == champion.digest
    file.unlink()
    away = Settings.load(
        ann.settings.home,
        mlflow_tracking_uri=f"sqlite:///{ann.settings.home}/mlflow.db/no.db",
    )
    [note] = promotion.follow(replace(ann, settings=away))
    assert "does not answer" in note


def test_challenger_can_be_ended(ann: Office, champion: Version) -> None:
    second = version(ann.settings, 0.2, against=champion.digest)
    promotion.install(replace(ann, actor="shell:robot"), second, {})
    assert promotion.withdraw(ann, NAME).kind == "challenge"
    assert load_challenger(ann.settings) is None
    assert registry.version(ann.settings, NAME, 2).stage == "archived"
    assert promotion.follow(ann) == []
    assert load_challenger(ann.settings) is None
    with pytest.raises(NotFoundError, match="no open proposal"):
        promotion.withdraw(ann, NAME)
