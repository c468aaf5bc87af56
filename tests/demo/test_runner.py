"""The shell around the demo: its folder, its commands, its password."""

from pathlib import Path

import pytest

from prebill.core.errors import InputError
from prebill.demo.commands import Commands, DemoError, told
from prebill.demo.runner import Places, prepare


def test_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    places = Places(tmp_path / "demo")
    prepare(places)
    places.home.mkdir()
    (places.home / "prebill.db").touch()
    prepare(places)
    assert not places.home.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="left alone"):
        prepare(Places(tmp_path))
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").touch()
    with pytest.raises(InputError, match="is a file"):
        prepare(Places(tmp_path / "demo"))


def test_a_stale_process_number_stops_nobody(tmp_path: Path) -> None:
    places = Places(tmp_path)
    prepare(places)
    places.console_process.write_text("1")
    prepare(places)
    assert not places.console_process.exists()


def test_password_is_read_from_what_init_prints() -> None:
    printed = "sign in as  admin@localhost\npassword    ab-cd   (once: …)\n"
    assert told(printed, "password") == "ab-cd"
    with pytest.raises(DemoError, match="no password"):
        told("users       kept as they are\n", "password")


def test_a_failing_command_tells_the_end_of_its_output(tmp_path: Path) -> None:
    said: list[str] = []
    commands = Commands(tmp_path, said.append)
    with pytest.raises(DemoError, match="prebill no-such-command") as failure:
        commands.run("no-such-command")
    assert failure.value.facts["exit_code"] == 2
    assert said == ["$ prebill no-such-command"]


def test_the_callers_own_settings_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", "postgresql+psycopg://production/books")
    environment = Commands(tmp_path, print).environment
    assert "PREBILL_DATABASE_URL" not in environment
    assert environment["PREBILL_HOME"] == str(tmp_path)


def test_token_is_not_taken_for_its_id() -> None:
    printed = "token id  T1   (ends 2026-11-10)\ntoken     secret   (shown once)\n"
    assert told(printed, "token") == "secret"
