"""Who changed what moves money, when, and what the texts said before and after; for export too.

Read from the audit log, whose entries name their text by its hash.
"""

import csv
import difflib
import io
import json
from dataclasses import asdict, dataclass
from typing import Final

from prebill.store import configurations as store
from prebill.store.console import names_of
from prebill.store.engine import Row, Tx

#: After these another text is in force.
_IN_FORCE: Final = ("live", "live_again")
#: A spreadsheet takes a cell that begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Change:
    """One entry; ``diff`` is empty where no text changed.

    It is, of a draft, against the draft before it or what was in force then; of what went live,
    against what was in force before.
    """

    at: str
    actor: str
    name: str
    kind: str
    number: int
    what: str
    status: str
    reason: str
    detail: dict[str, object]
    digest: str
    diff: str


def history(tx: Tx, kind: str, number: int | None = None) -> list[Change]:
    """Return every change of a kind, or of one version, the oldest first."""
    names, texts = names_of(tx), store.texts_of(tx, kind)
    told = []
    of_number: dict[int, str] = {}
    in_force = ""
    for row in store.changes(tx, kind):
        here = int(row["object_id"].partition(":")[2])
        detail = json.loads(row["detail"])
        text_hash = str(detail.get("text_hash", ""))
        what = row["action"].removeprefix(f"{kind}.")
        if what == "retired" and not in_force:  # what was installed before the first version
            in_force = text_hash
        before = of_number.get(here, in_force)
        if what in _IN_FORCE:
            before, in_force = in_force, text_hash
        of_number[here] = text_hash
        if number in (None, here):
            diff = unified(texts.get(before, ""), texts.get(text_hash, ""))
            told.append(_change(row, kind, here, what=what, detail=detail, names=names, diff=diff))
    return told


def _change(
    row: Row,
    kind: str,
    number: int,
    *,
    what: str,
    detail: dict[str, object],
    names: dict[str, str],
    diff: str,
) -> Change:
    known = {"status", "digest", "text_hash", "reason"}
    return Change(
        at=row["entered_at"],
        actor=row["actor"],
        name=str(names.get(row["actor"], row["actor"])),
        kind=kind,
        number=number,
        what=what,
        status=str(detail.get("status", "")),
        reason=str(detail.get("reason", "")),
        detail={name: value for name, value in detail.items() if name not in known},
        digest=str(detail.get("digest", "")),
        diff=diff,
    )


def unified(before: str, after: str) -> str:
    r"""Return the difference of two texts in unified form, without a heading; empty: none.

    Examples
    --------
    >>> print(unified("a: 1\n", "a: 2\n"))
    @@ -1 +1 @@
    -a: 1
    +a: 2
    """
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")
    return "\n".join(list(lines)[2:])


def as_ndjson(changes: list[Change]) -> str:
    """One JSON object a line, exactly as kept."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in changes)


def as_csv(changes: list[Change]) -> str:
    """A table for spreadsheets; what they would take for a formula begins with an apostrophe."""
    file = io.StringIO()
    names = list(Change.__slots__)
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for one in changes:
        row = asdict(one) | {"detail": json.dumps(one.detail, ensure_ascii=False)}
        writer.writerow({name: _cell(str(value)) for name, value in row.items()})
    return file.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
