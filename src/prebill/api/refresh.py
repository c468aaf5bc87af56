"""Work beside the serving, in a thread: the hook's profiles and rows, what verdicts teach."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from prebill.bootstrap import Installation
from prebill.core.errors import PrebillError

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
    from prebill.workflows.assisting import learn_again
    from prebill.workflows.hook_rows import move_due
    from prebill.workflows.profiles import is_stale, prepare_profiles

    try:
        if is_stale(opened):
            prepare_profiles(opened)
    except PrebillError:
        _log.exception("the profiles of the hook could not be prepared; next try in a minute")
    try:
        move_due(opened, datetime.now(UTC))
    except PrebillError:
        _log.exception("rows of the hook could not be moved to the lake; next try in a minute")
    try:
        learn_again(opened, datetime.now(UTC))
    except PrebillError:
        _log.exception("nothing could be learnt from verdicts; next try in a minute")
