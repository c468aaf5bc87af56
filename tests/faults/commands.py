"""What the tests of faults share: the real command, a process to kill, files that are broken."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prebill import audit
from prebill.bootstrap import Installation
from prebill.workflows.reconcile import reconcile_period
from tests.workflows import world

ROOT = Path(__file__).parent.parent.parent


def prebill(
    home: Path, *arguments: str, file_blocks: int | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the real command; ``file_blocks`` of 1 KiB are the most that it may write to a file."""
    limit = f"trap '' XFSZ; ulimit -f {file_blocks}; " if file_blocks else ""
    command = f'{limit}exec "{sys.executable}" -c "from prebill.cli import main; main()" "$@"'
    return subprocess.run(
        ["bash", "-c", command, "bash", *arguments],
        env={**os.environ, "PREBILL_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def bill(
    opened: Installation, *, file_blocks: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the real `prebill run` on what a test installed."""
    settings = opened.settings
    return prebill(
        settings.home,
        *("run", "--period", world.PERIOD, "--as-of", world.FINAL_AT.isoformat()),
        file_blocks=file_blocks,
        PREBILL_DATABASE_URL=settings.database_url,
        PREBILL_POLICY_PATH=str(settings.home / "lenient.yaml"),
    )


def start(opened: Installation, place: str, number: int) -> "subprocess.Popen[str]":
    """Start victim.py on what a test installed."""
    url = opened.store.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.faults.victim", url, str(opened.settings.home)]
    return subprocess.Popen(
        [*command, place, str(number)],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for it; return how it ended and all that it said."""
    out, error = process.communicate(timeout=120)
    return process.returncode, out + error


def require_books_in_order(opened: Installation, accounts: int) -> None:
    """Nothing lost, nothing twice, everything balanced and audited."""
    assert reconcile_period(opened, world.PERIOD).differences == []
    (counts,) = world.rows(
        opened,
        "SELECT (SELECT count(*) FROM drafts) AS drafts, (SELECT count(*) FROM documents) AS "
        "documents, (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM runs) AS runs, "
        "(SELECT count(*) FROM state_changes WHERE object_type = 'draft') AS changes, "
        "(SELECT count(*) FROM audit_entries WHERE action = 'document.issued') AS audited",
    )
    expected = dict.fromkeys(["drafts", "documents", "outbox", "changes", "audited"], accounts)
    assert counts == {**expected, "runs": 1}
    audit.seal(opened.store, opened.settings.audit_heads_path)
    assert audit.verify(opened.store, opened.settings.audit_heads_path).is_intact


@contextmanager
def away(place: Path) -> Iterator[None]:
    """Take a file or folder away for a while, as a mount that is missing does."""
    hidden = place.with_name(place.name + ".away")
    place.rename(hidden)
    try:
        yield
    finally:
        if place.is_dir():
            shutil.rmtree(place)
        hidden.rename(place)


@contextmanager
def broken(path: Path, content: bytes) -> Iterator[None]:
    """Let a file hold something else for a while, as before it is restored from a backup."""
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)
