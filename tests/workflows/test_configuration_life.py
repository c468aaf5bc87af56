"""A policy from draft to live and back, on both engines; what two people do at one moment."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError, ForbiddenError, InputError, PolicyError
from prebill.core.policy.model import Policy
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import configurations
from prebill.store.codec import instant_text
from prebill.store.configurations import POLICY, Status, Version, Wording, find
from prebill.store.engine import Store
from prebill.store.users import Actor
from prebill.workflows import configuration_life as life
from prebill.workflows.configuration_kinds import KINDS, Kind
from prebill.workflows.configuration_life import RULES, Draft, Order, Step, Who
from tests.workflows.lives import ANN, BEN, EVE, REV, approved, drafted, in_review, live, take, text


@pytest.fixture
def opened(store: Store, settings: Settings, lake: Lake) -> Installation:
    return Installation(settings, store, lake)


def version(opened: Installation, number: int) -> Version:
    with opened.store.read() as tx:
        return find(tx, POLICY, number)


def told(opened: Installation, number: int | None = None) -> list[tuple[str, str]]:
    """Who did what, in their order."""
    with opened.store.read() as tx:
        rows = configurations.changes(tx, POLICY, number)
    return [(row["actor"], row["action"].removeprefix("policy.")) for row in rows]


def let_time_come(opened: Installation, number: int, ago: timedelta) -> str:
    """Move the instant from which a version is to be live into the past."""
    at = instant_text(datetime.now(UTC) - ago)
    with opened.store.transaction() as tx:
        tx.update("configurations", {"live_from_at": at}, where={"number": number})
    return at


def test_from_draft_to_live_by_two_people(opened: Installation) -> None:
    default = Policy.default().digest
    assert default == opened.load_policy().digest
    made = drafted(opened)
    assert (1, Status.DRAFT, "next") == (made.number, made.status, made.name)
    waiting = take(opened, 1, Step.SUBMIT, ANN)
    assert (Status.IN_REVIEW, default) == (waiting.status, waiting.compared_with)
    with opened.store.read() as tx:
        assert configurations.simulation_of(tx, waiting)
    assert default == opened.load_policy().digest
    ready = take(opened, 1, Step.APPROVE, BEN)
    assert (Status.APPROVED, BEN.user_id) == (ready.status, ready.approved_by)
    assert default == opened.load_policy().digest
    done = take(opened, 1, Step.ACTIVATE, ANN)
    assert (Status.LIVE, 0) == (done.status, done.replaces_number)
    assert made.digest == opened.load_policy().digest == opened.load_judges().policy.digest
    mine, other = ANN.user_id, BEN.user_id
    steps = [(mine, "drafted"), (mine, "submitted"), (other, "approved"), (mine, "live")]
    assert steps == told(opened, 1)
    assert [(mine, "retired")] == told(opened, 0)  # what was installed is kept as number 0
    assert audit.verify(opened.store).is_intact


def test_next_version_retires_the_one_before(opened: Installation) -> None:
    live(opened, "first")
    second = live(opened, "second")
    assert (Status.LIVE, 1) == (second.status, second.replaces_number)
    first = version(opened, 1)
    assert (Status.RETIRED, second.live_at) == (first.status, first.retired_at)
    assert "second" == opened.load_policy().name


def test_roll_back_takes_one_step_and_one_person(opened: Installation) -> None:
    live(opened, "first")
    live(opened, "second")
    waiting = approved(opened, "third")
    back = take(opened, 2, Step.ROLL_BACK, ANN, reason="it holds everything")
    assert (1, Status.LIVE, None) == (back.number, back.status, back.retired_at)
    assert "first" == opened.load_policy().name
    assert Status.RETIRED is version(opened, 2).status
    # What was approved beside the one that is gone needs a comparison with what is there now.
    stopped = version(opened, waiting.number)
    assert (Status.DRAFT, None, None) == (
        stopped.status,
        stopped.approved_by,
        stopped.compared_with,
    )
    assert (ANN.user_id, "rolled_back") == told(opened, 2)[-1]
    assert 0 == take(opened, 1, Step.ROLL_BACK, BEN).number
    assert Policy.default().digest == opened.load_policy().digest
    with pytest.raises(ConflictError, match="policy 0 is the first"):
        take(opened, 0, Step.ROLL_BACK, BEN)
    again = live(opened, "fourth")
    assert 0 == again.replaces_number


def test_activation_at_a_time_needs_no_process_to_be_awake(opened: Installation) -> None:
    approved(opened)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    planned = take(opened, 1, Step.ACTIVATE, BEN, live_from_at=tomorrow)
    assert (Status.APPROVED, instant_text(tomorrow)) == (planned.status, planned.live_from_at)
    assert Policy.default().digest == opened.load_policy().digest
    life.upkeep(opened)
    assert Status.APPROVED is version(opened, 1).status
    came_at = let_time_come(opened, 1, timedelta(hours=1))
    assert "next" == opened.load_policy().name  # nobody wrote it down yet
    assert Status.APPROVED is version(opened, 1).status
    life.upkeep(opened)
    done = version(opened, 1)
    assert (Status.LIVE, came_at, 0) == (done.status, done.live_at, done.replaces_number)
    assert [(BEN.user_id, "scheduled"), ("system", "live")] == told(opened, 1)[-2:]
    life.upkeep(opened)
    assert ("system", "live") == told(opened, 1)[-1]


def test_what_was_planned_can_be_stopped_or_moved(opened: Installation) -> None:
    approved(opened)
    soon, later = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    take(opened, 1, Step.ACTIVATE, BEN, live_from_at=soon)
    moved = take(opened, 1, Step.ACTIVATE, BEN, live_from_at=later)
    assert instant_text(later) == moved.live_from_at
    stopped = take(opened, 1, Step.SEND_BACK, ANN, reason="not in December")
    assert (Status.DRAFT, None) == (stopped.status, stopped.live_from_at)
    take(opened, 1, Step.SUBMIT, ANN)
    ready = take(opened, 1, Step.APPROVE, BEN)
    past = datetime.now(UTC) - timedelta(minutes=1)
    with pytest.raises(InputError, match="has passed"):
        take(opened, ready.number, Step.ACTIVATE, BEN, live_from_at=past)
    with pytest.raises(InputError, match="time zone"):
        take(opened, 1, Step.ACTIVATE, BEN, live_from_at=datetime(2030, 1, 1))  # noqa: DTZ001


def test_draft_is_edited_by_its_author_alone(opened: Installation) -> None:
    made = drafted(opened)
    given = Draft(text("better", minutes=9), "dearer")
    with pytest.raises(ForbiddenError, match="wrote policy 1: edit is for the author"):
        life.edit(opened, POLICY, 1, given, BEN, lock_version=1)
    wrong = Draft(text("x").replace("sla_hours:", "sla_hour:"))
    with pytest.raises(PolicyError, match="sla_hour"):
        life.edit(opened, POLICY, 1, wrong, ANN, lock_version=1)
    done = life.edit(opened, POLICY, 1, given, ANN, lock_version=1)
    assert ("better", "dearer", 2) == (done.name, done.note, done.lock_version)
    assert made.digest != done.digest
    with pytest.raises(ConflictError, match=r"did “edited” at .* UTC; look at it again"):
        life.edit(opened, POLICY, 1, given, ANN, lock_version=1)
    take(opened, 1, Step.SUBMIT, ANN)
    with pytest.raises(ConflictError, match="policy 1 is in review: edit is for what is draft"):
        life.edit(opened, POLICY, 1, given, ANN, lock_version=3)
    take(opened, 1, Step.SEND_BACK, BEN, reason="too dear")
    assert "withdrawn" == take(opened, 1, Step.WITHDRAW, ANN).status


def test_line_ends_of_a_browser_make_no_other_text(opened: Installation) -> None:
    one = life.draft(opened, POLICY, Draft(text("same")), ANN)
    two = life.draft(opened, POLICY, Draft(text("same").replace("\n", "\r\n")), ANN)
    assert one.text_hash == two.text_hash


@pytest.mark.parametrize("given", ["", " \n", "x" * 200_001, "- a list", "a: [", "version: 1"])
def test_wrong_text_is_not_entered(opened: Installation, given: str) -> None:
    with pytest.raises((InputError, PolicyError)):
        life.draft(opened, POLICY, Draft(given), ANN)
    with opened.store.read() as tx:
        assert [] == configurations.versions(tx, POLICY)


def test_what_says_the_same_is_not_reviewed(opened: Installation) -> None:
    same = life.draft(opened, POLICY, Draft("# another comment\n" + text("default", 6)), ANN)
    assert Policy.default().digest == same.digest
    with pytest.raises(InputError, match="says the same as what is in force"):
        take(opened, same.number, Step.SUBMIT, ANN)


def test_approval_is_of_a_comparison_with_what_is_in_force(opened: Installation) -> None:
    stale = in_review(opened, "stale")
    fresh = in_review(opened, "fresh", BEN)
    take(opened, fresh.number, Step.APPROVE, ANN)
    with pytest.raises(ConflictError, match="policy 2 is approved and waits"):
        take(opened, stale.number, Step.APPROVE, BEN)
    take(opened, fresh.number, Step.ACTIVATE, ANN)
    with pytest.raises(ConflictError, match="changed since policy 1 was simulated"):
        take(opened, stale.number, Step.APPROVE, BEN)
    again = take(opened, stale.number, Step.SUBMIT, ANN)
    assert fresh.digest == again.compared_with
    assert Status.APPROVED is take(opened, stale.number, Step.APPROVE, BEN).status


def test_another_kind_is_one_entry(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(content: str) -> Wording:
        prices = json.loads(content)
        return Wording(prices["name"], json.dumps(prices, sort_keys=True), content)

    kind = Kind("price_book", read, lambda _: '{"name": "list"}', lambda *_: {"moved": 3})
    monkeypatch.setitem(KINDS, kind.name, kind)
    live(opened, "policy beside it")

    def step(which: Step, actor: Actor) -> Version:
        return life.carry_out(opened, kind.name, Order(1, which, reason="r"), actor)

    life.draft(opened, kind.name, Draft('{"name": "summer"}'), ANN)
    step(Step.SUBMIT, ANN)
    with pytest.raises(ForbiddenError, match="wrote price book 1"):
        step(Step.APPROVE, ANN)
    step(Step.APPROVE, BEN)
    done = step(Step.ACTIVATE, BEN)
    assert ("price_book:1", Status.LIVE) == (done.object_id, done.status)
    assert "list" == step(Step.ROLL_BACK, BEN).name
    assert "policy beside it" == opened.load_policy().name


# ── Who may ──────────────────────────────────────────────────────────────────────────────────

#: Status → how a version of Ann's comes to it.
WAYS: dict[Status, Callable[[Installation], Version]] = {
    Status.DRAFT: drafted,
    Status.IN_REVIEW: in_review,
    Status.APPROVED: approved,
    Status.LIVE: live,
}


@pytest.mark.parametrize("status", WAYS)
@pytest.mark.parametrize("step", [step for step in Step if step is not Step.EDIT])
def test_every_step_from_every_status_by_everybody(
    sqlite_store: Store, settings: Settings, lake: Lake, status: Status, step: Step
) -> None:
    opened = Installation(settings, sqlite_store, lake)
    found = WAYS[status](opened)
    rule = RULES[step]
    for actor in (EVE, REV, ANN, BEN):
        is_author = actor is ANN
        fits = rule.who is Who.ANYBODY or is_author == (rule.who is Who.AUTHOR)
        allowed = actor.role >= rule.role and status in rule.statuses and fits
        assert allowed == (step in life.next_steps(found, actor))
        if allowed:
            take(opened, found.number, step, actor)
            return
        with pytest.raises((ForbiddenError, ConflictError)):
            take(opened, found.number, step, actor)
        assert found == version(opened, found.number)


def test_reviewer_may_draft_and_viewer_may_not(opened: Installation) -> None:
    made = drafted(opened, actor=REV)
    assert Status.IN_REVIEW is take(opened, made.number, Step.SUBMIT, REV).status
    with pytest.raises(ForbiddenError, match="needs the role reviewer"):
        drafted(opened, actor=EVE)
    # A controller alone can let a reviewer's version live: two people all the same.
    assert Status.APPROVED is take(opened, made.number, Step.APPROVE, ANN).status


@pytest.mark.parametrize("step", [Step.SEND_BACK, Step.ROLL_BACK])
def test_going_back_needs_a_reason(opened: Installation, step: Step) -> None:
    found = live(opened) if step is Step.ROLL_BACK else in_review(opened)
    with pytest.raises(InputError, match="say why"):
        take(opened, found.number, step, BEN, reason="  ")


# ── At one moment ────────────────────────────────────────────────────────────────────────────


def at_once(works: list[Callable[[], object]]) -> list[str]:
    """Do all at the same moment; return what each came to."""
    start = threading.Barrier(len(works))
    outcomes = [""] * len(works)

    def work(place: int) -> None:
        start.wait()
        try:
            works[place]()
            outcomes[place] = "done"
        except (ConflictError, ForbiddenError) as error:
            outcomes[place] = str(error)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_one_of_many_approvers_decides(opened: Installation) -> None:
    found = in_review(opened)
    steps = [Step.APPROVE, Step.SEND_BACK] * 4
    outcomes = at_once(
        [
            lambda step=step: take(opened, 1, step, BEN, lock_version=found.lock_version)  # type: ignore[misc]
            for step in steps
        ]
    )
    assert 1 == outcomes.count("done")
    assert all(
        "policy 1 changed meanwhile: user-ben did" in one for one in outcomes if one != "done"
    )
    decided = [what for _, what in told(opened, 1) if what in {"approved", "sent_back"}]
    assert 1 == len(decided)


def test_one_of_two_versions_is_approved(opened: Installation) -> None:
    in_review(opened, "one")
    in_review(opened, "two")
    outcomes = at_once([lambda n=n: take(opened, n, Step.APPROVE, BEN) for n in (1, 2)])  # type: ignore[misc]
    assert 1 == outcomes.count("done")


def test_approval_and_roll_back_do_not_pass_each_other(opened: Installation) -> None:
    live(opened, "first")
    in_review(opened, "second")
    at_once(
        [lambda: take(opened, 2, Step.APPROVE, BEN), lambda: take(opened, 1, Step.ROLL_BACK, ANN)]
    )
    # Whoever was first: nothing is approved that was compared with what is gone.
    assert Policy.default().digest == opened.load_policy().digest
    assert version(opened, 2).status in {Status.DRAFT, Status.IN_REVIEW}


def test_many_processes_write_down_once_what_is_due(opened: Installation) -> None:
    approved(opened)
    take(opened, 1, Step.ACTIVATE, BEN, live_from_at=datetime.now(UTC) + timedelta(days=1))
    let_time_come(opened, 1, timedelta(seconds=1))
    assert ["done"] * 6 == at_once([lambda: life.upkeep(opened)] * 6)
    assert 1 == [what for _, what in told(opened, 1)].count("live")
    assert Status.LIVE is version(opened, 1).status


def test_drafts_of_one_moment_get_their_own_numbers(opened: Installation) -> None:
    at_once([lambda: drafted(opened)] * 4)
    with opened.store.read() as tx:
        numbers = [one.number for one in configurations.versions(tx, POLICY)]
    assert sorted(set(numbers)) == sorted(numbers)
    assert numbers
