"""Keeps the profiles of the hook fresh while the app serves: a look once a minute, in a thread."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prebill.bootstrap import Installation
from prebill.core.errors import PrebillError

EVERY_SECONDS: Final = 60.0
_log = logging.getLogger(__name__)


@contextmanager
def refreshing(opened: Installation) -> Iterator[None]:
    """Prepare profiles when facts came in; a failure is logged and tried again."""
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
    from prebill.workflows.profiles import is_stale, prepare_profiles

    try:
        if is_stale(opened):
            prepare_profiles(opened)
    except PrebillError:
        _log.exception("the profiles of the hook could not be prepared; next try in a minute")
