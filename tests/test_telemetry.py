"""Log lines: one form for everybody, no secret in any."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from prebill import telemetry


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield io.StringIO()
    root.handlers, root.level = before


def test_line_is_json_with_time_level_and_facts(stream: io.StringIO) -> None:
    telemetry.configure(stream=stream)
    logging.getLogger("prebill.x").warning("run %s failed", "r1", extra={"run_id": "r1"})
    line = json.loads(stream.getvalue())
    assert line["event"] == "run r1 failed"
    assert (line["level"], line["run_id"], line["logger"]) == ("warning", "r1", "prebill.x")
    assert line["timestamp"].endswith("Z")


def test_secrets_are_hidden(stream: io.StringIO) -> None:
    telemetry.configure(stream=stream, as_json=False)
    logging.getLogger("prebill.x").info("in", extra={"api_token": "hush", "Password": "hush"})
    assert "hush" not in stream.getvalue()
    assert telemetry.HIDDEN in stream.getvalue()


def test_error_keeps_its_traceback_and_debug_is_left_out(stream: io.StringIO) -> None:
    telemetry.configure(stream=stream)
    log = logging.getLogger("prebill.x")
    log.debug("detail")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("broken")
    line = json.loads(stream.getvalue())
    assert "ZeroDivisionError" in line["exception"]
