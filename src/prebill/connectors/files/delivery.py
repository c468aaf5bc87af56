"""Deliver issued documents as JSON files: one file a delivery, written whole or not at all."""

import fcntl
import os
from pathlib import Path

from prebill.core.errors import PermanentError, TransientError


class FilesDelivery:
    """Puts documents into a folder. The file's name is the delivery: finding it means delivered."""

    name = "files"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, delivery_id: str, body: bytes) -> None:
        """Write the file unless it is there.

        Raises
        ------
        TransientError
            The folder can't be written now, for example because the disk is full.
        PermanentError
            A file of this delivery has other content.
        """
        path = self._folder / f"{delivery_id.replace(':', '-').replace('/', '-')}.json"
        try:
            if path.exists():
                if path.read_bytes() != body:
                    message = f"{path} exists with other content: move it away, then retry"
                    raise PermanentError(message, path=str(path))
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, body)
        except OSError as error:
            message = f"the document can't be written to {self._folder}: {error.strerror}"
            raise TransientError(message, path=str(path)) from error

    def _write(self, path: Path, body: bytes) -> None:
        """Write beside and rename. What a killed process left beside is written over."""
        part = path.with_suffix(".part")
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # another one writes it: tried again
            if path.exists():  # another one wrote it between our look and our lock
                part.unlink(missing_ok=True)
                return
            file.truncate(0)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
