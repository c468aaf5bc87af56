"""`prebill policy`: what a policy text says, and whether it says it rightly."""

from pathlib import Path
from typing import Annotated

import typer

from prebill.cli import policy_life
from prebill.cli.acting import opened_installation

policy_app = typer.Typer(help="Policies: what scores and findings lead to.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    policy_life.register(policy_app)
    app.add_typer(policy_app, name="policy")


@policy_app.command("lint")
def lint(
    file: Annotated[
        Path | None, typer.Argument(help="A policy text; without one, the policy in force.")
    ] = None,
) -> None:
    """Check a policy text: every key, limit and rule; print its name, hash and rules."""
    from prebill.bootstrap import policy_text
    from prebill.core.policy.model import Policy

    if file is None:
        with opened_installation() as opened:
            policy = opened.load_policy()
    else:
        policy = Policy.parse(policy_text(file))
    typer.echo(f"{policy.name} {policy.digest}")
    for rule in policy.rules:
        typer.echo(f"  {rule.action.name.lower():8} {rule.rule_id}")
