"""The contracts of the repository: valid ODCS, equal to the frames, compatible as promised."""

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from prebill.contracts import Catalog, DataContract, load_catalog
from prebill.contracts.compatibility import baseline_text, parse_baseline, require_compatible
from prebill.core.schemas import INBOUND, INTERNAL, Frame
from prebill.core.schemas.internal import DRAFT_LINES
from prebill.core.scoring.scene import FEATURE_ROW
from prebill.store.tables import table_of
from prebill.workflows.deliver import document_body

FOLDER = Path(__file__).parent.parent.parent / "data_contracts"
FILES = sorted(FOLDER.glob("*/*.yaml"))
CATALOG = load_catalog(FOLDER)
#: Frames whose contract has another name.
RENAMED = {"decisions": "decision"}


@pytest.mark.parametrize("frame", [*INBOUND, *INTERNAL], ids=lambda frame: frame.name)
def test_contract_equals_frame_column_by_column(frame: Frame) -> None:
    contract = CATALOG[RENAMED.get(frame.name, frame.name)]
    expected = [(c.name, c.kind, c.required, c.meaning) for c in frame.columns]
    actual = [(p.name, p.kind, p.is_required, p.meaning) for p in contract.properties]
    assert expected == actual
    assert frame.key == contract.key
    assert frame.meaning == contract.purpose


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_valid_by_the_standard(path: Path) -> None:
    package = resources.files("open_data_contract_standard")
    schema = json.loads(package.joinpath("schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(raw)] == []


def test_feature_contract_lists_the_features() -> None:
    expected = [
        ("invoice_id", "draft"),
        *((name, one.meaning) for name, one in FEATURE_ROW.items()),
    ]
    actual = [(one.name, one.meaning) for one in CATALOG["feature_row"].properties]
    assert expected == actual, "run python -m prebill.contracts --features, see its README"


def columns_of(*tables: str) -> set[str]:
    return {column.name for table in tables for column in table_of(table).columns}


def test_outbound_contracts_name_what_is_stored_and_delivered() -> None:
    head = dict.fromkeys(columns_of("documents"), "x")
    delivered = json.loads(document_body({**head, "lines_json": "[]"}))
    assert set(CATALOG["invoice"].columns) == set(delivered) - {"lines"}
    lines = [name for name in DRAFT_LINES.names if name != "draft_id"]
    assert CATALOG["invoice_line"].columns == lines
    journal = columns_of("journal_entries", "postings") - {"entered_at"}
    assert set(CATALOG["journal_entry"].columns) == journal


def test_every_amount_has_limits_and_unit() -> None:
    for contract in CATALOG:
        for one in contract.properties:
            if one.kind.value == "minor":
                assert one.unit == "minor", f"{contract.name}.{one.name}"
            if one.kind.value in {"minor", "decimal", "integer"}:
                checks = {rule.check for rule in one.rules}
                assert checks & {"exclusiveMaximum", "maximum"}, f"{contract.name}.{one.name}"
                assert checks & {"exclusiveMinimum", "minimum"}, f"{contract.name}.{one.name}"


def test_every_currency_is_checked() -> None:
    for contract in CATALOG:
        for one in contract.properties:
            if one.name.endswith("currency"):
                assert "currency" in {rule.check for rule in one.rules}, contract.name


def test_references_come_earlier_in_the_load_order() -> None:
    order = [frame.name for frame in INBOUND]
    for contract in CATALOG.inbound():
        for reference in contract.references:
            assert order.index(reference.contract) < order.index(contract.name)


def test_repository_breaks_nothing_that_was_promised() -> None:
    baseline = parse_baseline((FOLDER / "baseline.json").read_text(encoding="utf-8"))
    require_compatible(baseline, CATALOG)


def test_baseline_is_current() -> None:
    text = (FOLDER / "baseline.json").read_text(encoding="utf-8")
    assert baseline_text(CATALOG) == text, "run python -m prebill.contracts and commit"


def test_catalog_gives_inbound_contracts_only() -> None:
    assert isinstance(CATALOG, Catalog)
    assert {contract.domain for contract in CATALOG.inbound()} == {"inbound"}
    assert all(isinstance(contract, DataContract) for contract in CATALOG)
