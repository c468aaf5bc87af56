"""Documents as files: whole or not at all, once, and nothing left of a process that was killed."""

import fcntl
from pathlib import Path

import pytest

from prebill.connectors.files.delivery import FilesDelivery
from prebill.core.errors import PermanentError, TransientError

ID, NAME = "DE-1/files:1", "DE-1-files-1.json"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_document_is_written_once(tmp_path: Path) -> None:
    delivery = FilesDelivery(tmp_path / "out")
    delivery.deliver(ID, b"{}")
    delivery.deliver(ID, b"{}")
    assert names(tmp_path / "out") == [NAME]
    assert (tmp_path / "out" / NAME).read_bytes() == b"{}"


def test_other_content_under_one_id_needs_a_person(tmp_path: Path) -> None:
    delivery = FilesDelivery(tmp_path)
    delivery.deliver(ID, b"{}")
    with pytest.raises(PermanentError, match="other content"):
        delivery.deliver(ID, b"[]")
    assert (tmp_path / NAME).read_bytes() == b"{}"


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "DE-1-files-1.part").write_bytes(b'{"half": and longer than the document')
    FilesDelivery(tmp_path).deliver(ID, b"{}")
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"{}"


def test_document_that_another_process_is_writing_is_tried_again(tmp_path: Path) -> None:
    with (tmp_path / "DE-1-files-1.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TransientError):
            FilesDelivery(tmp_path).deliver(ID, b"{}")
    FilesDelivery(tmp_path).deliver(ID, b"{}")
    assert names(tmp_path) == [NAME]


def test_folder_that_can_not_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match="can't be written"):
        FilesDelivery(tmp_path / "file").deliver(ID, b"{}")
