"""What the server does beside answering, in a thread: the hook's profiles and rows, upkeep."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from prebill.bootstrap import Installation

EVERY_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)


@contextmanager
def refreshing(opened: Installation) -> Iterator[None]:
    """Look once a minute whether facts came in or rows wait; a failure is logged and retried."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(EVERY_SECONDS if started.is_set() else FIRST_SECONDS):
            started.set()
            _refresh(opened)

    started = threading.Event()
    thread = threading.Thread(target=loop, name="profiles", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)


#: The server answers first; profiles come right after.
FIRST_SECONDS: Final = 2.0


def _refresh(opened: Installation) -> None:
    from prebill.workflows.alerting import keep_watch
    from prebill.workflows.assisting import learn_again
    from prebill.workflows.configuration_life import upkeep
    from prebill.workflows.deadlines import after_deadline, raise_due
    from prebill.workflows.grouping import carry_on_all
    from prebill.workflows.hook_rows import move_due
    from prebill.workflows.profiles import is_stale, prepare_profiles

    now_at = datetime.now(UTC)
    duties: dict[str, Callable[[], object]] = {
        "the profiles of the hook": lambda: is_stale(opened) and prepare_profiles(opened),
        "rows of the hook": lambda: move_due(opened, now_at),
        "policies whose time has come": lambda: upkeep(opened),
        "decisions on groups": lambda: carry_on_all(opened),
        "deadlines": lambda: (raise_due(opened, now_at), after_deadline(opened, now_at)),
        "alerts": lambda: keep_watch(opened),
        "what verdicts teach": lambda: learn_again(opened, now_at),
    }
    for what, work in duties.items():
        try:
            work()
        except Exception:  # one duty must not end the others, nor the thread
            _log.exception("%s could not be looked after; next try in a minute", what)
