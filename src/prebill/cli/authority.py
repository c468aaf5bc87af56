"""`prebill authority`: who stands in for whom, what was released alone, who is missing."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from prebill.cli.acting import As, acting_user, opened_installation

authority_app = typer.Typer(
    help="Delegations, and releases made without the others.", no_args_is_help=True
)

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.add_typer(authority_app, name="authority")


@authority_app.command("list")
def list_all() -> None:
    """Say who stands in for whom, what nobody reviewed, and what nobody could release."""
    from prebill.store import approvals
    from prebill.workflows import approving

    with opened_installation() as opened:
        acting_user(opened, None)
        with opened.store.read() as tx:
            delegations = approvals.list_delegations(tx, datetime.now(UTC))
            glass = approvals.unreviewed_glass(tx)
            missing = approving.nobody_may(tx, opened)
    for row in delegations:
        typer.echo(
            f"{row['delegation_id']}  {row['to_name']} stands in for {row['from_name']} from "
            f"{row['from_at'][:16]} until {row['until_at'][:16]}: {row['reason']}"
        )
    for row in glass:
        typer.echo(f"{row['case_id']}  released alone by {row['name']}: {row['reason']}")
    for sentence in missing:
        typer.secho(sentence, fg=typer.colors.YELLOW)
    if not (delegations or glass or missing):
        typer.echo("nobody stands in, and nothing waits for a review")


@authority_app.command("delegate")
def delegate(
    to: Annotated[str, typer.Argument(help="E-mail address of the stand-in.")],
    start: Annotated[datetime, typer.Option("--from", formats=_FORMATS, help="UTC.")],
    until: Annotated[datetime, typer.Option(formats=_FORMATS, help="UTC.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    absent: Annotated[str, typer.Option(help="For whom, if not for you (administrators).")] = "",
    user: As = None,
) -> None:
    """Let a colleague stand in: what they sign counts within the lower of both limits."""
    from prebill.api.auth import require
    from prebill.store.users import Role
    from prebill.workflows import approving

    with opened_installation() as opened:
        actor = require(acting_user(opened, user), Role.REVIEWER)
        begins, ends = start.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
        made = approving.delegate(opened, actor, to, begins, ends, reason=reason, from_email=absent)
    typer.echo(made)


@authority_app.command("end")
def end(delegation_id: str, user: As = None) -> None:
    """End a delegation."""
    from prebill.workflows import approving

    with opened_installation() as opened:
        approving.end_delegation(opened, acting_user(opened, user), delegation_id)
    typer.echo(f"{delegation_id} has ended")


@authority_app.command("review")
def review(
    case_id: str,
    found: Annotated[str, typer.Argument(help="What you found.")],
    user: As = None,
) -> None:
    """Review a release that somebody else made alone."""
    from prebill.api.auth import require
    from prebill.store.users import Role
    from prebill.workflows import approving

    with opened_installation() as opened:
        actor = require(acting_user(opened, user), Role.CONTROLLER)
        approving.review_glass(opened, case_id, actor, found)
    typer.echo(f"{case_id}: reviewed")
