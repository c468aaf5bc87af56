"""Nonsense on the command line: one sentence and an exit code, never a traceback, never a wait."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prebill.cli import app
from prebill.core.errors import PrebillError
from prebill.settings import Settings
from prebill.store.engine import Store
from tests.workflows.ingest_company import company, event, waiting, write

INVOICES = "invoice_id,customer_id,currency,issued_on,due_on,total_minor"


@pytest.fixture
def installed(home: Path) -> Path:
    """A home with database and lake."""
    assert CliRunner().invoke(app, ["init", "--no-tracking"]).exit_code == 0
    return home


def says(*arguments: object) -> str:
    """What the command says; an error must be one that `main` turns into a sentence."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is None or isinstance(result.exception, SystemExit):
        return result.output
    assert isinstance(result.exception, (PrebillError, OSError)), repr(result.exception)
    return f"{result.output}{result.exception}"


def paths(folder: Path) -> dict[str, Path]:
    """Places of every kind that is no folder of files."""
    (folder / "file").write_text("x", encoding="utf-8")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    names = ("absent", "file", "empty", "pipe", "loop", "a" * 300)
    return {name: folder / name for name in names}


@pytest.mark.parametrize("kind", ["absent", "file", "empty", "pipe", "loop", "a" * 300])
def test_path_that_is_no_folder_of_files(installed: Path, tmp_path: Path, kind: str) -> None:
    place = paths(tmp_path)[kind]
    assert str(place) in says("import", place)
    assert str(place) in says("doctor", "--data", place)
    out = tmp_path / "out.csv"
    assert str(place) in says("score", "--history", place, "--drafts", place, "--out", out)
    if kind not in ("absent", "empty"):
        assert str(place) in says("template", place)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("customers.csv", b"", "is empty"),
        ("customers.csv", b"customer_id\nc\x001\nc2\n", "1 rows are in quarantine"),
        ("customers.csv", b"customer_id\n" + b"c" * 10_000_000, "1 rows are in quarantine"),
        ("customers.csv", b"x" * 10_000_000, "is no header"),
        ("customers.csv", None, "Is a directory"),
        ("customers.csv", "pipe", "is no ordinary file"),
        ("customers.csv", "loop", "symbolic links"),
        ("customers.parquet", b"", "is empty"),
        ("customers.parquet", b"PAR1" + b"x" * 99 + b"PAR1", "is not a parquet file"),
        ("customers.ndjson", b"[" * 100_000, "1 rows are in quarantine"),
    ],
)
def test_file_that_is_no_table(
    installed: Path, tmp_path: Path, name: str, content: bytes | str | None, expected: str
) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    if content == "pipe":
        os.mkfifo(path)
    elif content == "loop":
        path.symlink_to(path)
    elif content is None:
        path.mkdir()
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    assert expected in says("import", path.parent)


def test_parquet_without_rows_or_columns(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pl.DataFrame().write_parquet(folder / "customers.parquet")
    assert "lacks the column customer_id" in says("import", folder)
    empty = pl.DataFrame(schema={"customer_id": pl.String()})
    empty.write_parquet(folder / "customers.parquet")
    assert "not imported" not in says("import", folder)


def test_events_at_the_limits(installed: Path, tmp_path: Path) -> None:
    late = "9999-12-31T23:59:59Z"
    bad = [
        event("b1", occurred_at="0001-01-01T00:00:00Z"),
        event("b2", occurred_at=late),
        event("b3", occurred_at="0000-00-00T00:00:00Z"),
        event("b4", quantity="9" * 40),
        event("b5", quantity="1e400"),
        event("b6", quantity="NaN"),
        event("b7", quantity="1000000000000"),
        event("b8", quantity="0.0000000000001"),
    ]
    files = {**company(), "usage_events": [event("e1", quantity="1000"), *bad]}
    said = says("import", write(tmp_path / "in", files), "--as-of", "2026-11-02")
    assert f"{len(bad)} rows are in quarantine" in said
    with Store.open(Settings.load().database_url) as store:
        assert len(waiting(store, "rule")) == len(bad)


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ("d1,c1,EUR,0001-01-01,0001-01-02,1000", "issued_on", "unreadable"),
        ("d1,c1,EUR,9999-12-31,9999-12-31,1000", "issued_on", "unreadable"),
        ("d1,c1,EUR,2026-10-01,2026-10-15,9223372036854775807", "total_minor", "unreadable"),
        ("d1,c1,EUR,2026-10-01,2026-10-15,999999999999999999", "total_minor", "unreadable"),
        ("d1,c1,EUR,2026-13-45,2026-02-30,1", "issued_on", "unreadable"),
        ("d1,c1,XXX,2026-10-01,2026-10-15,1", "currency", "unknown_currency"),
        (",c1,EUR,2026-10-01,2026-10-15,1", "invoice_id", "required"),
    ],
)
def test_draft_at_the_limits_is_left_out_with_its_rule(
    tmp_path: Path, row: str, column: str, rule: str
) -> None:
    months = [f"i{m},c1,EUR,2026-0{m}-01,2026-0{m}-15,1000" for m in range(1, 9)]
    drafts = [row, "d0,c1,EUR,2026-10-01,2026-10-15,1000"]
    for name, rows in (("history", months), ("drafts", drafts), ("broken", [row])):
        folder = tmp_path / name
        folder.mkdir()
        text = "\n".join([INVOICES, *rows])
        (folder / "invoices.csv").write_text(text, encoding="utf-8")
    out = tmp_path / "out.csv"
    given = ["--history", tmp_path / "history", "--out", out, "--drafts"]
    assert f"line 2, {column}" in says("score", *given, tmp_path / "broken")
    says("score", *given, tmp_path / "drafts")
    (aside,) = tmp_path.glob("out*quarantine*")
    assert f"{rule},{column}" in aside.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--period", "9999-12"],
        ["run", "--period", "0001-01"],
        ["run", "--period", "2026-10", "--as-of", "0001-01-01T00:00:00+14:00"],
        ["run", "--period", "2026-10", "--as-of", "9999-12-31T23:59:59-12:00"],
        ["reconcile", "--period", "9999-12"],
        ["quarantine", "list", "--limit", "99999999999999999999"],
        ["quarantine", "show", "nothing-here"],
        ["quarantine", "retry", "--all", "--as-of", "0001-01-01"],
        ["metrics", "--period", "abc"],
        ["delivery", "retry", "x"],
    ],
)
def test_value_that_makes_no_sense(installed: Path, arguments: list[str]) -> None:
    assert says(*arguments)


def test_error_of_the_system_is_one_sentence(installed: Path, tmp_path: Path) -> None:
    """The real program turns what is left into a sentence, whatever the terminal can show."""
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "file"), str(tmp_path / "a" / ("b" * 300)), "/tmp/\udcff/\udcfe"):
        done = subprocess.run(
            [sys.executable, "-c", "from prebill.cli import main; main()", "template", place],
            env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr
        assert b"Traceback" not in done.stderr
        if done.returncode:
            assert b"code: input" in done.stderr


@pytest.mark.parametrize("out", ["/dev/full", "/proc/nothing/here.csv", "."])
def test_result_that_can_not_be_written_is_told(tmp_path: Path, out: str) -> None:
    months = [f"i{m},c1,EUR,2026-0{m}-01,2026-0{m}-15,1000" for m in range(1, 9)]
    for name, rows in (("history", months), ("drafts", ["d0,c1,EUR,2026-10-01,2026-10-15,1000"])):
        (tmp_path / name).mkdir()
        text = "\n".join([INVOICES, *rows])
        (tmp_path / name / "invoices.csv").write_text(text, encoding="utf-8")
    place = tmp_path if out == "." else Path(out)
    given = ["--history", tmp_path / "history", "--drafts", tmp_path / "drafts"]
    assert "can't write the result" in says("score", *given, "--out", place)
