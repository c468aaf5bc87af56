"""Real servers for tests: a private PostgreSQL in a temporary folder, without root's rights."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


@contextlib.contextmanager
def running_postgresql(
    binaries: Path, given_options: dict[str, str] = OPTIONS
) -> Iterator[Postgresql]:
    """Start a cluster in a temporary folder; stop that very process at the end."""
    # Not pytest's own folder: that one belongs to root, and the server does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="prebill-postgresql-"))
    user = _unprivileged_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = None
    try:
        data = folder / "data"
        command = [binaries / "initdb", "-D", data, "-U", "prebill", "-A", "trust"]
        _run([*command, "--no-sync", "--encoding=UTF8", "--locale=C"], user=user, folder=folder)
        port = _free_port()
        options = [f"-c{name}={value}" for name, value in given_options.items()]
        log = (folder / "log").open("wb")
        with log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                **_as_user(user),
            )
        cluster = Postgresql(port)
        _wait_until_ready(cluster, server, folder / "log")
        yield cluster
    finally:
        if server is not None and server.poll() is None:
            server.send_signal(3)  # SIGQUIT: PostgreSQL's immediate shutdown
            server.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to run as: None is oneself; initdb refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = "PostgreSQL does not run as root and there is no user postgres or nobody"
    raise RuntimeError(message)


def _as_user(user: pwd.struct_passwd | None) -> dict[str, object]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    if user is None:
        return {"env": environment}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "env": environment}


def _run(command: list[object], *, user: pwd.struct_passwd | None, folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        cwd=folder,
        check=False,
        **_as_user(user),
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
