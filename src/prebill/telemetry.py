"""Log lines of long-running processes (worker, server): structured, in UTC, without secrets.

What happened to money is in the audit log and the tables; this is for whoever runs the machine.
"""

import logging
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

#: A value whose name holds one of these never reaches a line.
SECRET_NAMES: Final = ("password", "secret", "token", "authorization", "cookie")
HIDDEN: Final = "(hidden)"


def configure(
    *, level: str = "INFO", as_json: bool | None = None, stream: TextIO | None = None
) -> None:
    """Send the log lines of Prebill and of its libraries to one place, in one form.

    ``as_json``: one JSON object a line, for collectors; left out: for people at a terminal, JSON
    elsewhere. Prebill's own modules log with ``logging.getLogger(__name__)``.
    """
    import structlog

    target = stream or sys.stderr
    for_collectors = not target.isatty() if as_json is None else as_json
    renderer = (
        structlog.processors.JSONRenderer()
        if for_collectors
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _without_secrets(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    for name in event:
        if any(word in name.lower() for word in SECRET_NAMES):
            event[name] = HIDDEN
    return event
