"""Real servers for tests: a private PostgreSQL in a temporary folder, without root's rights.

A keeper, a small process of its own, starts the server and holds the end of a pipe. When the
other end closes, because the test is done or because it was killed, the server and its folder go.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
MISSING_POSTGRESQL = "PostgreSQL is not installed: run `make test-deps`"

#: Speed over durability: what is lost with the machine is a test's database.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
}


def postgresql_binaries() -> Path | None:
    """The folder that has initdb and postgres: Debian's newest, else the one on the path."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])
    )
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    if found is None:
        return None
    folder = Path(found).resolve().parent
    return folder if (folder / "postgres").exists() else None


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A running cluster."""

    port: int
    #: Its folder; the first line of ``postmaster.pid`` in it is the server's process.
    data: Path

    @property
    def pid(self) -> int:
        """The server's process."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://prebill@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, for example CREATE DATABASE."""
        import psycopg

        place = f"postgresql://prebill@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute(statement)


#: As a company would run it: every commit is on disk when it is acknowledged.
DURABLE_OPTIONS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "60",
    "listen_addresses": "127.0.0.1",
}


#: Arguments: folder, user and group ("" for oneself), the server's command. SIGQUIT is
#: PostgreSQL's immediate shutdown.
KEEPER = """
import shutil, signal, subprocess, sys, threading
folder, user, group, *command = sys.argv[1:]
rights = {"user": int(user), "group": int(group), "extra_groups": []} if user else {}
server = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder, **rights)
def end():
    sys.stdin.read()
    server.send_signal(signal.SIGQUIT)
threading.Thread(target=end, daemon=True).start()
server.wait()
shutil.rmtree(folder, ignore_errors=True)
"""


@contextlib.contextmanager
def running_postgresql(
    binaries: Path,
    given_options: dict[str, str] = OPTIONS,
    *,
    initdb_options: Sequence[str] = (),
) -> Iterator[Postgresql]:
    """Start a cluster in a temporary folder; it ends with the block or with this process."""
    # Not pytest's own folder: that one belongs to root, and the server does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="prebill-postgresql-"))
    user = _unprivileged_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, log = folder / "data", folder / "log"
    make = [binaries / "initdb", "-D", data, "-U", "prebill", "-A", "trust", *initdb_options]
    try:
        _run([*make, "--no-sync", "--encoding=UTF8", "--locale=C"], user=user, folder=folder)
    except BaseException:
        shutil.rmtree(folder)
        raise
    port = _free_port()
    options = [f"-c{name}={value}" for name, value in given_options.items()]
    rights = ["", ""] if user is None else [str(user.pw_uid), str(user.pw_gid)]
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    with log.open("wb") as written:
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(folder), *rights, *command, *options],
            stdin=subprocess.PIPE,
            stdout=written,
            stderr=written,
            env=_ENVIRONMENT,
            # A signal for the whole group of the tests must not end the keeper first.
            start_new_session=True,
        )
    try:
        cluster = Postgresql(port, data)
        _wait_until_ready(cluster, keeper, log)
        yield cluster
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(timeout=20)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to run as: None is oneself; initdb refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = "PostgreSQL does not run as root and there is no user postgres or nobody"
    raise RuntimeError(message)


def _run(command: list[object], *, user: pwd.struct_passwd | None, folder: Path) -> None:
    rights: dict[str, object] = (
        {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    )
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        cwd=folder,
        check=False,
        env=_ENVIRONMENT,
        **rights,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(
    cluster: Postgresql, server: "subprocess.Popen[bytes]", log: Path, seconds: int = 30
) -> None:
    import psycopg

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            cluster.execute("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("PostgreSQL did not start:\n" + log.read_text(errors="replace"))
