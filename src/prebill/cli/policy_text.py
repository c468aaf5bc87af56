"""`prebill policy schema, snooze …, incidents …`: what a text may say, and what runs made of it.

Every command but `schema` acts for the user of PREBILL_TOKEN, as for cases.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from prebill.cli.acting import As, acting_user, opened_installation

if TYPE_CHECKING:
    from prebill.bootstrap import Installation


def register(policy_app: typer.Typer) -> None:
    """Add the commands to `prebill policy`."""
    policy_app.command("schema")(schema)
    policy_app.command("snooze")(snooze)
    policy_app.command("snoozes")(list_snoozes)
    policy_app.command("end-snooze")(end_snooze)
    policy_app.command("incidents")(list_incidents)
    policy_app.command("close-incident")(close_incident)


def schema() -> None:
    """Print the JSON Schema of a policy text, for editors and checks."""
    from prebill.core.policy.schema import policy_schema

    typer.echo(json.dumps(policy_schema(), indent=2))


def snooze(
    rule: Annotated[str, typer.Argument(help="Id of a rule of the policy in force.")],
    customer: Annotated[str, typer.Argument(help="Customer for whom it is left out.")],
    until: Annotated[str, typer.Option(help="When it judges again: 2026-12-31, or an instant.")],
    reason: Annotated[str, typer.Option(help="Why; kept with it and in the audit log.")],
    user: As = None,
) -> None:
    """Leave a rule out for one customer for a while; decisions say that it was."""
    from prebill.core.calendar import instant_of
    from prebill.workflows import policy_upkeep

    with opened_installation() as opened:
        by = _controller(opened, user)
        until_at = instant_of(until)
        made = policy_upkeep.snooze(opened, rule, customer, until_at=until_at, reason=reason, by=by)
    typer.echo(f"{made} until {until_at:%Y-%m-%d %H:%M} UTC")


def list_snoozes(
    past: Annotated[bool, typer.Option("--past", help="Those that are over too.")] = False,
    user: As = None,
) -> None:
    """List what is left out for whom, until when and why."""
    from prebill.store.snoozes import snoozes

    with opened_installation() as opened:
        acting_user(opened, user)
        with opened.store.read() as tx:
            rows = snoozes(tx, datetime.now(UTC), past=past)
    for row in rows:
        ended = f", ended {row['ended_at']}" if row["ended_at"] else ""
        typer.echo(f"{row['snooze_id']}  until {row['until_at']}{ended}: {row['reason']}")
    if not rows:
        typer.echo("nothing is snoozed")


def end_snooze(
    snooze_id: Annotated[str, typer.Argument(help="Its id: `prebill policy snoozes`.")],
    user: As = None,
) -> None:
    """Let a rule judge the customer again."""
    from prebill.workflows import policy_upkeep

    with opened_installation() as opened:
        policy_upkeep.end_snooze(opened, snooze_id, _controller(opened, user))
    typer.echo(f"{snooze_id} is over")


def list_incidents(
    closed: Annotated[bool, typer.Option("--closed", help="Those that are closed too.")] = False,
    user: As = None,
) -> None:
    """List runs that stopped more than their policy expects, each with its likely cause."""
    from prebill.store.incidents import incidents

    with opened_installation() as opened:
        acting_user(opened, user)
        with opened.store.read() as tx:
            rows = incidents(tx, closed=closed)
    for row in rows:
        note = f" ({row['note']})" if row["note"] else ""
        typer.echo(f"{row['run_id']}  {row['status']}: {row['text']}{note}")
    if not rows:
        typer.echo("no incident is open")


def close_incident(
    run_id: Annotated[str, typer.Argument(help="The run: `prebill policy incidents`.")],
    note: Annotated[str, typer.Option(help="What was done about it.")],
    user: As = None,
) -> None:
    """Note that a run's incident was dealt with; what it stopped is decided case by case."""
    from prebill.workflows import policy_upkeep

    with opened_installation() as opened:
        policy_upkeep.close_incident(opened, run_id, note, _controller(opened, user))
    typer.echo(f"{run_id}: closed")


def _controller(opened: "Installation", user: str | None) -> str:
    """The acting user, who may change what is judged."""
    from prebill.api.auth import require
    from prebill.store.users import Role

    return require(acting_user(opened, user), Role.CONTROLLER).user_id
