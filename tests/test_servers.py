"""The private PostgreSQL goes with the process that started it, however that process ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import MISSING_POSTGRESQL, postgresql_binaries

ROOT = Path(__file__).parent.parent
#: Starts a server, says where it is, and waits to be killed.
STARTER = """
import time
from tests.servers import postgresql_binaries, running_postgresql
with running_postgresql(postgresql_binaries()) as cluster:
    print(cluster.port, cluster.pid, cluster.data, flush=True)
    time.sleep(600)
"""


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_a_killed_test_run(number: signal.Signals) -> None:
    if postgresql_binaries() is None:
        pytest.skip(MISSING_POSTGRESQL)
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert starter.stdout is not None
    port, pid, data = starter.stdout.readline().split()
    assert answers(int(port))
    starter.send_signal(number)
    starter.wait(timeout=20)
    starter.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (is_running(int(pid)) or Path(data).exists()):
        time.sleep(0.05)
    assert not is_running(int(pid))
    assert not answers(int(port))
    assert not Path(data).parent.exists()
