"""``prebill score`` on files: whatever is there is used, what is broken is named."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import typer
from polars.testing import assert_frame_equal
from typer.testing import CliRunner, Result

from prebill.cli import gate as gate_cli
from prebill.core.errors import InputError, PolicyError
from prebill.core.policy.model import Policy
from prebill.core.schemas.internal import DECISIONS, GAPS
from prebill.workflows.gate import run_gate, write
from prebill.workflows.gate_report import report_html
from tests.core.scoring.company import company

ONE = "C003-202512"
MINIMUM = ["invoice_id", "customer_id", "currency", "issued_on", "due_on", "total_minor"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    inputs = company(customers=30, months=9)
    history, drafts = tmp_path / "history", tmp_path / "drafts"
    save(history, "invoices", inputs.history.invoices)
    save(history, "invoice_lines", inputs.history.lines)
    save(history, "customers", inputs.customers)
    save(drafts, "invoices", inputs.drafts.invoices)
    save(drafts, "invoice_lines", inputs.drafts.lines)
    return history, drafts


def save(folder: Path, name: str, frame: pl.DataFrame) -> None:
    """As text, with a column nobody knows: the least that an export can be."""
    text = frame.with_columns(pl.all().cast(pl.String), internal_note=pl.lit("x"))
    write(text, folder / f"{name}.csv")


def change(folder: Path, name: str, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = folder / f"{name}.csv"
    edit(pl.read_csv(path, infer_schema=False)).write_csv(path)


def invoke(*arguments: object) -> Result:
    app = typer.Typer()

    @app.callback()
    def root() -> None:
        """Several commands."""

    gate_cli.register(app)
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def credited(history: Path, invoice_id: str, amount_minor: int, day: str) -> None:
    frame = pl.DataFrame(
        {
            "credit_note_id": [f"CN-{invoice_id}"],
            "invoice_id": [invoice_id],
            "issued_on": [day],
            "amount_minor": [str(amount_minor)],
            "reason": ["amount"],
        }
    )
    frame.write_csv(history / "credit_notes.csv")


def _tenfold(column: str) -> pl.Expr:
    return (pl.col(column).cast(pl.Float64) * 10).round().cast(pl.Int64).cast(pl.String)


def tenfold(history: Path, invoice_id: str) -> None:
    """An invoice of the past that went out ten times too high."""
    own = pl.col("invoice_id") == invoice_id
    for name, columns in (
        ("invoices", ["subtotal_minor", "tax_minor", "total_minor"]),
        ("invoice_lines", ["quantity", "amount_minor"]),
    ):
        times = [pl.when(own).then(_tenfold(c)).otherwise(c).alias(c) for c in columns]
        change(history, name, lambda frame, times=times: frame.with_columns(times))


def test_report_says_what_past_months_would_have_found(folders: tuple[Path, Path]) -> None:
    history, drafts = folders
    wrong = "C005-202508"
    tenfold(history, wrong)
    credited(history, wrong, 90_000, "2025-09-20")
    report = history.parent / "report.html"
    done = invoke(
        *("--history", history, "--drafts", drafts, "--out", history.parent / "o.csv"),
        *("--report", report, "--backtest-months", 4),
    )
    assert done.exit_code == 0, done.output
    page = report.read_text()
    assert "What it would have found from 2025-" in page
    assert (
        "Credited later: <b>1</b> of 60 invoices. Of these <b>1</b> would have been stopped before "
        "it went out (100%, 95 % interval 2% to 100%). Of 2 stopped ones whose outcome is known, 1 "
        "turned out to be wrong (50%, 95 % interval 1% to 99%)." in page
    )
    catches = page[page.index("The largest catches") :]
    assert wrong in catches
    assert "900.00 GBP" in catches
    assert "The largest that would have gone out" not in page
    assert "<script" not in page


def test_report_without_credit_notes_names_what_would_have_been_stopped(
    folders: tuple[Path, Path],
) -> None:
    history, drafts = folders
    tenfold(history, "C005-202507")
    result = run_gate(history, drafts, policy=Policy.default(), backtest_months=2)
    assert result.backtest is not None
    page = report_html(result)
    assert "nothing says which of them were wrong" in page
    assert "Credited later" not in page


def test_history_of_one_month_has_no_past_to_judge(folders: tuple[Path, Path]) -> None:
    history, drafts = folders
    change(history, "invoices", lambda f: f.filter(pl.col("issued_on") >= "2025-11-15"))
    result = run_gate(history, drafts, policy=Policy.default(), backtest_months=6)
    assert "None could be judged" in report_html(result)


def test_what_came_later_changes_no_judgement_of_a_past_month(folders: tuple[Path, Path]) -> None:
    history, drafts = folders
    whole = run_gate(history, drafts, policy=Policy.default(), backtest_months=3).backtest
    assert whole is not None
    first = whole.months["month"][0]
    end = (date.fromisoformat(f"{first}-01") + timedelta(days=32)).replace(day=1).isoformat()
    change(history, "invoices", lambda f: f.filter(pl.col("issued_on") < end))
    change(drafts, "invoices", lambda f: f.with_columns(issued_on=pl.lit(end)))
    alone = run_gate(history, drafts, policy=Policy.default(), backtest_months=1).backtest
    assert alone is not None
    assert [first] == alone.months["month"].to_list()
    said = ["invoice_id", "action", "anomaly_score", "reasons"]
    assert_frame_equal(
        whole.judged.filter(month=first).select(said).sort("invoice_id"),
        alone.judged.select(said).sort("invoice_id"),
    )


def test_command_writes_decisions_gaps_and_report(folders: tuple[Path, Path]) -> None:
    history, drafts = folders
    out, gaps, report = (history.parent / n for n in ("out.parquet", "gaps.csv", "report.html"))
    change(drafts, "invoices", lambda f: f.filter(pl.col("customer_id") != "C007"))
    done = invoke(
        "--history", history, "--drafts", drafts, "--out", out, "--gaps", gaps, "--report", report
    )
    assert done.exit_code == 0, done.output
    decisions = pl.read_parquet(out)
    assert DECISIONS.schema == decisions.schema
    assert decisions.height == 29
    assert decisions.filter(pl.col("p_late").is_null()).is_empty()
    absent = pl.read_csv(gaps)
    assert GAPS.names == absent.columns
    assert "C007" in absent.filter(pl.col("kind") == "invoice")["customer_id"].to_list()
    page = report.read_text()
    assert "with a proposal</h2>" in page
    assert "29 draft invoices judged" in page
    assert "no payments" in page
    assert "<script" not in page
    assert "http" not in page
    assert "left out: no payments" in done.output


def test_result_may_be_csv(folders: tuple[Path, Path]) -> None:
    out = folders[0].parent / "out.csv"
    done = invoke("--history", folders[0], "--drafts", folders[1], "--out", out)
    assert done.exit_code == 0, done.output
    rows = pl.read_csv(out)
    assert DECISIONS.names == rows.columns
    assert all(isinstance(json.loads(reasons), list) for reasons in rows["reasons"])


def test_invoices_alone_are_enough(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        change(folder, "invoices", lambda f: f.select(MINIMUM))
        (folder / "invoice_lines.csv").unlink()
    (folders[0] / "customers.csv").unlink()
    result = run_gate(*folders, policy=Policy.default())
    assert result.scored.decisions.height == 30
    assert result.scored.decisions["anomaly_score"].null_count() == 0
    assert any("no lines" in note for note in result.notes)


def test_empty_history_folder_is_a_cold_start(folders: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run_gate(empty, folders[1], policy=Policy.default())
    assert result.scored.decisions["confidence"].unique().to_list() == ["cold"]
    assert any("no history" in note for note in result.notes)
    assert result.scored.decisions["p_late"].null_count() == 0


def test_same_files_as_parquet_give_the_same_decisions(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    inputs = company(customers=30, months=9)
    typed = tmp_path / "typed-history", tmp_path / "typed-drafts"
    for folder, books in zip(typed, (inputs.history, inputs.drafts), strict=True):
        write(books.invoices, folder / "invoices.parquet")
        write(books.lines, folder / "invoice_lines.parquet")
    write(inputs.customers, typed[0] / "customers.parquet")
    expected = run_gate(*folders, policy=Policy.default()).scored.decisions
    actual = run_gate(*typed, policy=Policy.default()).scored.decisions
    assert expected.equals(actual)


def broken_total(frame: pl.DataFrame) -> pl.DataFrame:
    here = pl.col("invoice_id") == ONE
    return frame.with_columns(
        total_minor=pl.when(here).then(pl.lit("12.5 pounds")).otherwise("total_minor")
    )


def broken_day(frame: pl.DataFrame) -> pl.DataFrame:
    here = pl.col("invoice_id") == ONE
    return frame.with_columns(due_on=pl.when(here).then(pl.lit("soon")).otherwise("due_on"))


def broken_currency(frame: pl.DataFrame) -> pl.DataFrame:
    here = pl.col("invoice_id") == ONE
    return frame.with_columns(currency=pl.when(here).then(pl.lit("GBX")).otherwise("currency"))


def absent_customer(frame: pl.DataFrame) -> pl.DataFrame:
    here = pl.col("invoice_id") == ONE
    return frame.with_columns(customer_id=pl.when(~here).then("customer_id"))


@pytest.mark.parametrize(
    ("edit", "rule", "column"),
    [
        (broken_total, "unreadable", "total_minor"),
        (broken_day, "unreadable", "due_on"),
        (broken_currency, "unknown_currency", "currency"),
        (absent_customer, "required", "customer_id"),
    ],
)
def test_broken_draft_is_named_and_still_gets_an_answer(
    folders: tuple[Path, Path],
    edit: Callable[[pl.DataFrame], pl.DataFrame],
    rule: str,
    column: str,
) -> None:
    history, drafts = folders
    change(drafts, "invoices", edit)
    out = history.parent / "out.csv"
    report = history.parent / "r.html"
    done = invoke("--history", history, "--drafts", drafts, "--out", out, "--report", report)
    assert done.exit_code == 0, done.output
    assert "not read" in report.read_text()
    aside = pl.read_csv(out.with_name("out.quarantine.csv"))
    assert (rule, column) in set(aside.select("rule", "column_name").iter_rows())
    assert "drafts/invoices.csv" in aside["file"].to_list()
    assert f"{rule} {column}" in done.output
    row = pl.read_csv(out).row(by_predicate=pl.col("invoice_id") == ONE, named=True)
    assert row["action"] == "review"
    assert row["anomaly_score"] is None
    assert json.loads(row["reasons"])[0]["code"] == "row_broken"
    assert row["p_late"] is not None


def test_row_that_stands_twice_is_put_aside_once(folders: tuple[Path, Path]) -> None:
    change(folders[1], "invoices", lambda f: pl.concat([f, f.head(1)]))
    result = run_gate(*folders, policy=Policy.default())
    assert result.broken["rule"].to_list() == ["duplicate_key"]
    assert result.scored.decisions.height == 30


def test_bad_utf8_and_ragged_lines_do_not_stop_the_gate(folders: tuple[Path, Path]) -> None:
    path = folders[0] / "invoices.csv"
    path.write_bytes(path.read_bytes() + b"\xff\xfe,bad\n")
    result = run_gate(*folders, policy=Policy.default())
    assert result.scored.decisions.height == 30
    assert result.broken.height >= 1


@pytest.mark.parametrize("missing", MINIMUM)
def test_drafts_without_a_minimum_column_are_refused_in_words(
    folders: tuple[Path, Path], missing: str
) -> None:
    change(folders[1], "invoices", lambda f: f.drop(missing))
    with pytest.raises(InputError, match=missing):
        run_gate(*folders, policy=Policy.default())


def test_absent_folder_and_absent_drafts_are_refused_in_words(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="not a folder"):
        run_gate(tmp_path / "nowhere", folders[1], policy=Policy.default())
    (folders[1] / "invoices.csv").unlink()
    with pytest.raises(InputError, match="no invoices file"):
        run_gate(*folders, policy=Policy.default())


def test_wrong_policy_and_wrong_day_are_refused(folders: tuple[Path, Path]) -> None:
    policy = folders[0].parent / "policy.yaml"
    policy.write_text("version: 1")
    base = ("--history", folders[0], "--drafts", folders[1], "--out", folders[0].parent / "o.csv")
    assert isinstance(invoke(*base, "--policy", policy).exception, PolicyError)
    assert isinstance(invoke(*base, "--train-before", "May").exception, InputError)


def test_report_proposes_terms_for_a_slow_payer(folders: tuple[Path, Path]) -> None:
    history, drafts = folders
    heads = pl.read_csv(history / "invoices.csv", infer_schema=False)
    late_days = pl.when(pl.col("customer_id") == "C003").then(pl.lit("40d")).otherwise(pl.lit("0d"))
    paid = heads.select(
        "invoice_id",
        payment_id="invoice_id",
        paid_on=pl.col("due_on").str.to_date().dt.offset_by(late_days),
        amount_minor="total_minor",
    )
    save(history, "payments", paid)
    out, report = history.parent / "out.csv", history.parent / "report.html"
    done = invoke("--history", history, "--drafts", drafts, "--out", out, "--report", report)
    assert done.exit_code == 0, done.output
    section = report.read_text().split("<h2>Payment: ")[1].split("<h2>")[0]
    assert section.startswith("1 with a proposal")
    assert "The other 29 drafts: terms as agreed" in section
    assert f"<td>{ONE}</td>" in section
    assert "agree on 7 days instead of 30 next time" in section
    assert "notice 5 days before the due date: 2026-01-26" in section
    assert pl.read_csv(out).columns == DECISIONS.names
