"""`prebill cases …`, short of a decision: comment, ask, answer, snooze, escalate."""

import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prebill.cli.acting import As, acting_user, opened_installation
from prebill.cli.cases import cases_app

if TYPE_CHECKING:
    from prebill.api.handle import Act
    from prebill.store.handling import File

Words = Annotated[str, typer.Argument(help="What you have to say.")]


def register(_: typer.Typer) -> None:
    """Add the commands to those of `prebill cases`."""
    for work in (comment, ask, answer, snooze, wake, escalate, send_back):
        cases_app.command(work.__name__.replace("_", "-"))(work)


def comment(
    case_id: str,
    text: Words,
    file: Annotated[Path | None, typer.Option(help="A file to keep with it, up to 5 MB.")] = None,
    user: As = None,
) -> None:
    """Keep words, and a file, on a case."""
    _handle("comment", case_id, text=text, file=None if file is None else _read(file), user=user)


def ask(
    case_id: str,
    text: Words,
    of: Annotated[str, typer.Option(help="E-mail address of the colleague.")],
    user: As = None,
) -> None:
    """Ask a colleague; the case leaves the queue until they answer, or until its deadline."""
    _handle("ask", case_id, text=text, of=of, user=user)


def answer(case_id: str, text: Words, user: As = None) -> None:
    """Answer what you were asked; the case is back on the queue."""
    _handle("answer", case_id, text=text, user=user)


def snooze(
    case_id: str,
    text: Words,
    until: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"], help="Until when, UTC.")
    ],
    user: As = None,
) -> None:
    """Take a case off the queue until a time before its deadline."""
    _handle("snooze", case_id, text=text, until_at=until.replace(tzinfo=UTC), user=user)


def wake(case_id: str, user: As = None) -> None:
    """Put a case that sleeps, or waits for an answer, back on the queue."""
    _handle("wake", case_id, user=user)


def escalate(case_id: str, text: Words, user: As = None) -> None:
    """Give a case to those with more authority: a controller decides it."""
    _handle("escalate", case_id, text=text, user=user)


def send_back(case_id: str, text: Words, user: As = None) -> None:
    """Return an escalated case to its queue, with an answer."""
    _handle("send-back", case_id, text=text, user=user)


def _read(path: Path) -> "File":
    from prebill.store.handling import File

    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return File(path.name, kind, path.read_bytes())


def _handle(act: "Act", case_id: str, *, user: str | None, **given: Any) -> None:
    from prebill.api.handle import MEANINGS, Handling, handle

    with opened_installation() as opened:
        handle(opened, acting_user(opened, user), Handling(act, case_id, **given))
    typer.echo(f"{case_id}: done. {MEANINGS[act]}.")
