"""`prebill policy`: what a policy text says, and whether it says it rightly."""

from pathlib import Path
from typing import Annotated, Final

import typer

from prebill.cli import policy_life, policy_text
from prebill.cli.acting import opened_installation

EXIT_FINDINGS: Final = 1

policy_app = typer.Typer(help="Policies: what scores and findings lead to.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    policy_life.register(policy_app)
    policy_text.register(policy_app)
    app.add_typer(policy_app, name="policy")


@policy_app.command("lint")
def lint(
    file: Annotated[
        Path | None, typer.Argument(help="A policy text; without one, the policy in force.")
    ] = None,
) -> None:
    """Check a policy text: every key, limit and rule; print its name, hash and rules."""
    from prebill.core.policy.lint import problems
    from prebill.core.policy.model import Policy

    content = _content(file)
    wrong = problems(content)
    for one in wrong:
        typer.echo(str(one), err=True)
    if wrong:
        raise typer.Exit(EXIT_FINDINGS)
    policy = Policy.parse(content)
    typer.echo(f"{policy.name} {policy.digest}")
    for rule in policy.rules:
        typer.echo(f"  {rule.action.name.lower():8} {rule.rule_id}")


def _content(file: Path | None) -> str:
    """The text of a file, or what is in force."""
    from prebill import bootstrap

    if file is not None:
        return bootstrap.policy_text(file)
    with opened_installation() as opened, opened.store.read() as tx:
        return opened.policy_content(tx)
