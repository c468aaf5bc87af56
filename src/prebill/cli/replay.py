"""`prebill replay`: derive a stored decision again and compare it with what is stored."""

from pathlib import Path
from typing import Annotated, Final

import typer

EXIT_FINDINGS: Final = 1


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command("replay")(replay)


def replay(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a draft, case or invoice.")],
    version: Annotated[
        str | None, typer.Option(help="Version of the draft, or its beginning; else the last.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="The policy that decided, if its text was never kept here.")
    ] = None,
    facts: Annotated[
        bool, typer.Option("--facts", help="Also compute its run's shard again: takes as long.")
    ] = False,
) -> None:
    """Derive a decision again: from what was stored with it, and with --facts from raw facts.

    Each part is the same, DIFFERS (exit 1), or is left out with the reason. Nothing is written.
    """
    from prebill.bootstrap import policy_text
    from prebill.cli.acting import opened_installation
    from prebill.core.policy.model import Policy
    from prebill.workflows import replay as replaying

    given = None if policy is None else Policy.parse(policy_text(policy))
    with opened_installation() as opened:
        found = replaying.replay(opened, name, version=version, policy=given, from_facts=facts)
    typer.echo(
        f"{found.draft_id}, version {found.draft_version[:12]}, decided {found.decided_at} "
        f"by {found.run_id}"
    )
    for check in found.checks:
        typer.echo(f"{check.outcome:9} {check.part:20} {check.text}")
    if not found.is_same:
        raise typer.Exit(EXIT_FINDINGS)
