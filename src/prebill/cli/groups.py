"""`prebill groups`: cases with one cause, decided together after a sample was looked at."""

from typing import Annotated

import typer

from prebill.cli.acting import As, acting_user, opened_installation

groups_app = typer.Typer(help="Cases with one cause, the most money first.")

Cause = Annotated[str, typer.Argument(help="As `prebill groups` writes it.")]
Reason = Annotated[str, typer.Option(help="Why: becomes the label of every case.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    groups_app.callback(invoke_without_command=True)(list_groups)
    groups_app.command("show")(show)
    groups_app.command("decide")(decide)
    groups_app.command("detach")(detach)
    app.add_typer(groups_app, name="groups")


def list_groups(context: typer.Context) -> None:
    """List causes that several open cases have."""
    if context.invoked_subcommand:
        return
    from prebill.console import words
    from prebill.store.grouping import groups_of
    from prebill.store.grouping import list_groups as read_groups

    with opened_installation() as opened:
        acting_user(opened, None)
        with opened.store.read() as tx:
            groups = groups_of(read_groups(tx))
    for cause, rows in groups.items():
        losses = ", ".join(words.money(row["expected_loss_minor"], row["currency"]) for row in rows)
        typer.secho(cause, bold=True)
        typer.echo(f"  {words.counted(rows[0]['in_all'], 'case')}, expected loss {losses}")
    if not groups:
        typer.echo("no cause is shared by three open cases or more")


def show(cause: Cause) -> None:
    """Show the sample of a cause that must be decided one by one, and how many cases wait."""
    from prebill.workflows.grouping import sampled

    with opened_installation() as opened:
        acting_user(opened, None)
        with opened.store.read() as tx:
            found = sampled(tx, cause)
    typer.echo(f"{found.waiting} wait; decided in the sample: {len(found.verdicts)}")
    for case_id in found.case_ids:
        typer.echo(f"  {case_id}")


def decide(
    cause: Cause,
    verdict: Annotated[str, typer.Argument(help="release or reject")],
    reason: Reason,
    note: Annotated[str, typer.Option(help="More words, kept with every case.")] = "",
    user: As = None,
) -> None:
    """Decide all waiting cases of a cause, one after the other."""
    from prebill.api.auth import require
    from prebill.store import grouping as store
    from prebill.store.users import Role
    from prebill.workflows import grouping

    if verdict not in ("release", "reject"):
        raise typer.BadParameter(f"{verdict!r} is neither release nor reject")
    with opened_installation() as opened:
        actor = require(acting_user(opened, user), Role.REVIEWER)
        wanted: grouping.GroupVerdict = "release" if verdict == "release" else "reject"
        decision_id = grouping.decide_group(opened, actor, cause, wanted, reason, note)
        grouping.carry_on(opened, decision_id)
        with opened.store.read() as tx:
            state, left = store.progress(tx, decision_id), store.refused(tx, decision_id)
    typer.echo(f"{state['done']} done, {state['refused']} left")
    for one in left:
        typer.echo(f"  {one['case_id']}: {one['message']}")


def detach(case_id: str, user: As = None) -> None:
    """Let a case stand alone: a decision on its group does not reach it."""
    from prebill.api.auth import require
    from prebill.store.users import Role
    from prebill.workflows import grouping

    with opened_installation() as opened:
        actor = require(acting_user(opened, user), Role.REVIEWER)
        grouping.detach(opened, case_id, actor.user_id)
    typer.echo(f"{case_id} stands alone")
