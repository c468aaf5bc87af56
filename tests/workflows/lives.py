"""People and policy texts for tests of a policy's life."""

from datetime import datetime
from typing import Any

from prebill.bootstrap import Installation, policy_text
from prebill.store.configurations import POLICY, Version
from prebill.store.users import Actor, Role
from prebill.workflows import configuration_life as life
from prebill.workflows.configuration_life import Draft, Order, Step

ANN = Actor("user-ann", "Ann", Role.CONTROLLER)
BEN = Actor("user-ben", "Ben", Role.CONTROLLER)
REV = Actor("user-rev", "Rev", Role.REVIEWER)
EVE = Actor("user-eve", "Eve", Role.VIEWER)


def text(name: str, minutes: int = 7) -> str:
    """The default policy under another name, with another price of a review."""
    known = policy_text(None)
    assert "name: default" in known
    changed = known.replace("name: default", f"name: {name}")
    (line,) = [one for one in changed.splitlines() if one.strip().startswith("review_minutes:")]
    return changed.replace(line, f"{line.partition(':')[0]}: {minutes}")


def drafted(opened: Installation, name: str = "next", actor: Actor = ANN, **given: Any) -> Version:
    return life.draft(opened, POLICY, Draft(text(name, **given), "why not"), actor)


def take(
    opened: Installation,
    number: int,
    step: Step,
    actor: Actor,
    *,
    lock_version: int | None = None,
    reason: str = "because",
    live_from_at: datetime | None = None,
) -> Version:
    order = Order(number, step, lock_version, reason, live_from_at)
    return life.carry_out(opened, POLICY, order, actor)


def in_review(opened: Installation, name: str = "next", actor: Actor = ANN) -> Version:
    made = drafted(opened, name, actor)
    return take(opened, made.number, Step.SUBMIT, actor)


def approved(opened: Installation, name: str = "next") -> Version:
    waiting = in_review(opened, name)
    return take(opened, waiting.number, Step.APPROVE, BEN)


def live(opened: Installation, name: str = "next") -> Version:
    ready = approved(opened, name)
    return take(opened, ready.number, Step.ACTIVATE, ANN)
