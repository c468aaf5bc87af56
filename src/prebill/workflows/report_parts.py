"""Parts of which HTML reports are made; everything from outside is escaped here."""

import html
from collections.abc import Sequence


def table(
    names: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    money_from: int,
    money_to: int | None = None,
    is_html: bool = False,
) -> str:
    """Write a table; columns from ``money_from`` up to ``money_to`` stand to the right.

    Cells are escaped unless ``is_html`` says that they are HTML already.
    """
    last = len(names) if money_to is None else money_to

    def kind(index: int) -> str:
        return " class=money" if money_from <= index < last else ""

    head = "".join(f"<th{kind(i)}>{text(name)}</th>" for i, name in enumerate(names))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind(i)}>{cell if is_html else text(cell)}</td>" for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def text(value: object) -> str:
    """Escape a value."""
    return html.escape(str(value))
