"""`prebill policy list … rollback`: the life of a policy from the terminal.

Every command acts for the user of PREBILL_TOKEN, as for cases.
"""

import json
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prebill.cli.acting import As, acting_user, opened_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prebill.bootstrap import Installation
    from prebill.store.configurations import Version
    from prebill.store.users import Actor

Number = Annotated[int, typer.Argument(help="Its number: `prebill policy list`.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit log.")]
Seen = Annotated[
    int | None,
    typer.Option("--version", help="Lock version you saw; without it, the present one is taken."),
]


def register(policy_app: typer.Typer) -> None:
    """Add the commands to `prebill policy`."""
    policy_app.command("list")(list_policies)
    policy_app.command("show")(show)
    policy_app.command("draft")(draft)
    policy_app.command("submit")(submit)
    policy_app.command("withdraw")(withdraw)
    policy_app.command("approve")(approve)
    policy_app.command("send-back")(send_back)
    policy_app.command("activate")(activate)
    policy_app.command("rollback")(rollback)
    policy_app.command("history")(history)
    policy_app.command("export")(export)


# ── Looking ──────────────────────────────────────────────────────────────────────────────────


def list_policies(user: As = None) -> None:
    """List every version, the newest first, and say what is in force."""
    from prebill.store.configurations import POLICY, versions
    from prebill.store.console import names_of

    with _acting(user) as (opened, _), opened.store.read() as tx:
        listed, names = versions(tx, POLICY), names_of(tx)
        present = opened.policy_in_force(tx)
    if not any(one.digest == present.digest for one in listed):
        installed = opened.settings.policy_path or "the default that comes with Prebill"
        typer.echo(f"in force: {present.name} {present.digest[:12]}, {installed}")
    for one in listed:
        mark = "*" if one.digest == present.digest and one.status != "draft" else " "
        author = names.get(one.entered_by, one.entered_by)
        from_at = f", from {one.live_from_at[:16]}" if one.live_from_at else ""
        status = one.status.replace("_", " ")
        typer.echo(
            f"{mark}{one.number:>4}  {status:<10} {one.digest[:12]}  {one.name}, by {author}"
            f"{from_at}{': ' + one.note if one.note else ''}"
        )


def show(
    number: Annotated[
        int | None, typer.Argument(help="Its number; without one, what is in force.")
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="What it changes against what is in force.")
    ] = False,
    simulation: Annotated[
        bool, typer.Option("--simulation", help="The simulation that is attached, as JSON.")
    ] = False,
    user: As = None,
) -> None:
    """Show the text of a version, or its difference, or its simulation."""
    from datetime import UTC

    from prebill.core.errors import NotFoundError
    from prebill.store.configurations import POLICY, find, simulation_of
    from prebill.workflows.configuration_history import unified
    from prebill.workflows.configuration_kinds import KINDS
    from prebill.workflows.configuration_life import wording_in_force

    with _acting(user) as (opened, _), opened.store.read() as tx:
        present = wording_in_force(opened, tx, KINDS[POLICY], datetime.now(UTC))
        version = None if number is None else find(tx, POLICY, number)
        attached = None if version is None else simulation_of(tx, version)
    content = present.content if version is None else version.content
    if simulation:
        if attached is None:
            message = "no simulation is attached: its author submits it first"
            raise NotFoundError(message, number=number)
        content = json.dumps(attached, indent=2, ensure_ascii=False)
    elif diff:
        content = unified(present.content, content) or "no difference"
    typer.echo(content.rstrip("\n"))


def history(
    number: Annotated[int | None, typer.Argument(help="Its number; without one, all.")] = None,
    user: As = None,
) -> None:
    """Say who did what and when, the newest last."""
    from prebill.store.configurations import POLICY
    from prebill.workflows import configuration_history

    with _acting(user) as (opened, _), opened.store.read() as tx:
        changes = configuration_history.history(tx, POLICY, number)
    for one in changes:
        reason = f": {one.reason}" if one.reason else ""
        what = one.what.replace("_", " ")
        typer.echo(f"{one.at[:16]}  policy {one.number:<4} {what:<12} {one.name}{reason}")


def export(
    out: Annotated[Path, typer.Option(help="A .csv or .ndjson file.")],
    user: As = None,
) -> None:
    """Write every change with who, what, when, and the difference of the texts."""
    from prebill.core.errors import InputError
    from prebill.store.configurations import POLICY
    from prebill.workflows import configuration_history as told

    forms = {".csv": told.as_csv, ".ndjson": told.as_ndjson}
    if out.suffix not in forms:
        message = f"{out} must end in {' or '.join(forms)}"
        raise InputError(message, path=str(out))
    with _acting(user) as (opened, _), opened.store.read() as tx:
        changes = told.history(tx, POLICY)
    out.write_text(forms[out.suffix](changes), encoding="utf-8")
    typer.echo(f"{len(changes):,} changes in {out}")


# ── Changing ─────────────────────────────────────────────────────────────────────────────────


def draft(
    file: Annotated[Path, typer.Argument(help="A policy text.")],
    note: Annotated[str, typer.Option(help="What it is for; whoever approves reads it.")] = "",
    into: Annotated[
        int | None, typer.Option(help="Put it in place of your draft of that number.")
    ] = None,
    version: Seen = None,
    user: As = None,
) -> None:
    """Enter a text as a draft, or change your own draft."""
    from prebill.bootstrap import policy_text
    from prebill.store.configurations import POLICY, find
    from prebill.workflows import configuration_life as life

    given = life.Draft(policy_text(file), note)
    with _acting(user) as (opened, actor):
        if into is None:
            _tell(life.draft(opened, POLICY, given, actor))
            return
        with opened.store.read() as tx:
            seen = find(tx, POLICY, into).lock_version if version is None else version
        _tell(life.edit(opened, POLICY, into, given, actor, lock_version=seen))


def submit(number: Number, version: Seen = None, user: As = None) -> None:
    """Simulate your draft against what is in force and ask for approval."""
    _take("submit", number, version=version, user=user)


def withdraw(number: Number, reason: Reason = "", version: Seen = None, user: As = None) -> None:
    """Take your draft back for good."""
    _take("withdraw", number, reason=reason, version=version, user=user)


def approve(number: Number, reason: Reason = "", version: Seen = None, user: As = None) -> None:
    """Approve what somebody else wrote; it is in force once it is activated."""
    _take("approve", number, reason=reason, version=version, user=user)


def send_back(number: Number, reason: Reason, version: Seen = None, user: As = None) -> None:
    """Give a version back to its author, also one that is approved and waits."""
    _take("send-back", number, reason=reason, version=version, user=user)


def activate(
    number: Number,
    at: Annotated[
        str, typer.Option(help="From when, with time zone: 2026-12-01T00:00:00+01:00; else now.")
    ] = "",
    version: Seen = None,
    user: As = None,
) -> None:
    """Put an approved version in force, now or from an instant on."""
    try:
        live_from_at = datetime.fromisoformat(at) if at else None
    except ValueError:
        message = f"--at {at!r} is no instant such as 2026-12-01T00:00:00+01:00"
        raise typer.BadParameter(message) from None
    _take("activate", number, live_from_at=live_from_at, version=version, user=user)


def rollback(reason: Reason, user: As = None) -> None:
    """Put what was in force before in force again, at once."""
    from prebill.core.errors import ConflictError
    from prebill.store.configurations import POLICY, Status, with_status
    from prebill.workflows import configuration_life as life

    with _acting(user) as (opened, actor):
        life.require_role(actor, life.Step.ROLL_BACK)
        life.settle(opened, POLICY)
        with opened.store.read() as tx:
            present = with_status(tx, POLICY, Status.LIVE)
        if present is None:
            message = "no version was ever activated: there is nothing to go back from"
            raise ConflictError(message)
        order = life.Order(present.number, life.Step.ROLL_BACK, present.lock_version, reason)
        _tell(life.carry_out(opened, POLICY, order, actor))


def _take(
    step: str,
    number: int,
    *,
    reason: str = "",
    live_from_at: datetime | None = None,
    version: int | None,
    user: str | None,
) -> None:
    from prebill.store.configurations import POLICY
    from prebill.workflows import configuration_life as life

    order = life.Order(number, life.Step(step), version, reason, live_from_at)
    with _acting(user) as (opened, actor):
        _tell(life.carry_out(opened, POLICY, order, actor))


@contextmanager
def _acting(user: str | None) -> "Iterator[tuple[Installation, Actor]]":
    """Open the installation for the user of the token."""
    with opened_installation() as opened:
        yield opened, acting_user(opened, user)


def _tell(version: "Version") -> None:
    """Say where a version stands and what comes next."""
    from_at = f"{version.live_from_at[:16]} UTC" if version.live_from_at else ""
    number = version.number
    told = {
        "draft": f"is a draft: `prebill policy submit {number}`",
        "in_review": f"waits for another person: `prebill policy approve {number}`",
        "approved": f"is approved: `prebill policy activate {number} [--at INSTANT]`",
        "live": "is in force",
        "withdrawn": "is withdrawn",
    }[version.status]
    if version.status == "approved" and from_at:
        told = f"is approved and in force from {from_at}"
    typer.echo(f"policy {number} ({version.name}, {version.digest[:12]}) {told}")
