"""``prebill score``: judge invoices that another engine drafted."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the gate's commands."""
    app.command("score")(score)


def score(
    history: Annotated[Path, typer.Option(help="Folder with past invoices, payments, ….")],
    drafts: Annotated[Path, typer.Option(help="Folder with the drafts to judge.")],
    out: Annotated[Path, typer.Option(help="Decisions, one row a draft: .parquet or .csv.")],
    models: Annotated[Path | None, typer.Option(help="Models to use instead of fitting.")] = None,
    train_before: Annotated[
        str | None, typer.Option(help="Fit on invoices before this day, YYYY-MM-DD.")
    ] = None,
    gaps: Annotated[
        Path | None, typer.Option(help="Expected but absent invoices and lines.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="One HTML file to forward.")] = None,
    backtest_months: Annotated[
        int, typer.Option(min=0, max=36, help="Past months in the report; 0: none.")
    ] = 6,
    policy: Annotated[Path | None, typer.Option(help="Policy text instead of the default.")] = None,
) -> None:
    """Judge drafts of any billing engine: release, review or hold, with reasons in money."""
    from prebill.core.calendar import day_of
    from prebill.core.errors import InputError
    from prebill.core.policy.model import Policy
    from prebill.workflows import gate

    chosen = Policy.parse(_text(policy)) if policy else Policy.default()
    result = gate.run_gate(
        history,
        drafts,
        policy=chosen,
        models=gate.load_models(models) if models else None,
        train_before=day_of(train_before) if train_before else None,
        backtest_months=backtest_months if report else 0,
        say=lambda text: typer.secho(text, err=True, dim=True),
    )
    try:
        gate.write(result.scored.decisions, out)
        if gaps:
            gate.write(result.scored.gaps, gaps)
        if report:
            gate.write_report(result, report)
        aside = gate.write_broken(result.broken, out)
    except OSError as error:
        message = f"can't write the result: {error}"
        raise InputError(message) from error
    for line in gate.summary(result, aside):
        typer.echo(line, err=True)


def _text(path: Path) -> str:
    from prebill.core.errors import InputError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"policy {path} can't be read: {error}"
        raise InputError(message, file=str(path)) from error
