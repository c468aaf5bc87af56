"""Empty canonical files with the meaning of every column beside them, to fill from own systems."""

from pathlib import Path
from typing import Final

from prebill.contracts import Catalog, DataContract, Property
from prebill.core.errors import InputError
from prebill.core.schemas import Kind

_FORMS: Final = {
    Kind.TEXT: "text",
    Kind.INTEGER: "whole number",
    Kind.MINOR: "whole minor units: 1999 is 19.99 EUR",
    Kind.DECIMAL: "number with a point, no exponent, at most 12 decimals",
    Kind.FLOAT: "number",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "date, 2026-10-31",
    Kind.INSTANT: "instant with offset, 2026-10-31T09:30:00Z",
}
#: What `prebill score` reads; the others are for the whole pipeline.
_GATE: Final = (
    *("customers", "invoices", "invoice_lines", "payments", "credit_notes", "usage_events"),
    *("subscriptions", "subscription_phases", "contract_terms"),
)
_README: Final = "README.txt"


def write_templates(catalog: Catalog, folder: Path) -> list[Path]:
    """Write one CSV with a header and one text with meanings a contract; return the CSVs.

    Raises
    ------
    InputError
        A file would be overwritten.
    """
    contracts = catalog.inbound()
    folder.mkdir(parents=True, exist_ok=True)
    there = [one.name for one in contracts if (folder / f"{one.name}.csv").exists()]
    if there:
        message = f"{folder} has {', '.join(there)} already: choose an empty folder"
        raise InputError(message, files=there)
    written = []
    for contract in contracts:
        path = folder / f"{contract.name}.csv"
        path.write_text(",".join(contract.columns) + "\n", encoding="utf-8")
        explained = folder / f"{contract.name}.columns.txt"
        explained.write_text(_explanation(contract), encoding="utf-8")
        written.append(path)
    (folder / _README).write_text(_readme(contracts), encoding="utf-8")
    return written


def _explanation(contract: DataContract) -> str:
    lines = [contract.purpose, f"A row is one {', '.join(contract.key)}.", ""]
    for one in contract.properties:
        lines.append(f"{one.name}: {one.meaning}")
        lines.append(f"    {_FORMS[one.kind]}; {'needed' if one.is_required else 'may be empty'}")
        lines += [f"    {text}" for text in _rules(contract, one)]
    lines += ["", *(f"Rule: {rule.text}." for rule in contract.rules)]
    return "\n".join(lines).rstrip() + "\n"


def _rules(contract: DataContract, one: Property) -> list[str]:
    listed = [
        rule.text for rule in one.rules if rule.check in {"validValues", "currency", "country"}
    ]
    listed += [r.text for r in contract.references if one.name in r.columns]
    return listed


def _readme(contracts: list[DataContract]) -> str:
    lines = [
        "Fill the CSV files from your own systems; delete those that you don't have.",
        "Every file has its columns explained in NAME.columns.txt. Further columns are ignored.",
        "Parquet and NDJSON of the same names will do as well.",
        "",
        "Gate alone, to have the invoices of another engine judged:",
        f"  {', '.join(_GATE)}, in one folder for the history and one for the drafts, then",
        "  prebill score --history HISTORY --drafts DRAFTS --out scores.csv --report report.html",
        "",
        "Whole pipeline: all of them, then prebill import THIS-FOLDER. In the order of loading:",
        *(f"  {one.name}: {one.purpose}" for one in contracts),
    ]
    return "\n".join(lines) + "\n"
