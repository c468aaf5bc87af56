"""The documentation names what exists: settings, commands, folders, links."""

import re
from pathlib import Path

import pytest

from prebill.core.triage.alert_kinds import KINDS, AlertKind
from prebill.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    assert f"`PREBILL_{name.upper()}`" in OPERATIONS


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_alert_is_described_with_its_limits(kind: AlertKind) -> None:
    (row,) = [line for line in OPERATIONS.splitlines() if line.startswith(f"| `{kind.name}` |")]
    limits = [told(minutes, kind) for minutes in (kind.warn_minutes, kind.critical_minutes)]
    assert limits == row.split(" | ")[2:4]


def told(minutes: int | None, kind: AlertKind) -> str:
    if not minutes:
        return "never" if minutes is None else "at once"
    sizes = ((1440, "d"), (60, "h"), (1, "min"))
    size, unit = next(one for one in sizes if minutes % one[0] == 0)
    return f"{minutes // size} {unit}{' before' if kind.ends else ''}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_the_docs_exist(page: Path) -> None:
    from typer.main import get_command

    from prebill.cli import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|[`/ ])prebill ([a-z]+)\b", text, flags=re.MULTILINE))
    code = {name for name in named if re.search(rf"(`|bin/|^)prebill {name}", text, re.MULTILINE)}
    assert code <= known, f"{page} names unknown commands {sorted(code - known)}"


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for record in folder.glob("0*.md"):
        assert record.name in index


@pytest.mark.parametrize("folder", ["src", "tests", "training", "docs", "models", "data_contracts"])
def test_no_merge_was_left_half_done(folder: str) -> None:
    kinds = {".md", ".py", ".html", ".css", ".js", ".yaml", ".toml", ".sql", ".j2"}
    pages = [page for page in (ROOT / folder).rglob("*") if page.suffix in kinds]
    marks = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    found = [str(page) for page in pages if marks.search(page.read_text(encoding="utf-8"))]
    assert pages
    assert [] == found
