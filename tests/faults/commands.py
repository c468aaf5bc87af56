"""The real command, and files that are away or broken for a while. Used by the tests beside it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prebill.bootstrap import Installation
from tests.workflows import world


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
