"""Reading a contract file: strict where the parser is not."""

from pathlib import Path

import pytest

from prebill.contracts import load_catalog, load_contract, parse_contract
from prebill.contracts.check import compile_contract
from prebill.core.errors import ContractError

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "data_contracts" / "inbound" / "tiers.yaml").read_text(encoding="utf-8")


def test_contract_is_read_with_key_references_and_rules() -> None:
    contract = parse_contract(TEXT)
    assert contract.key == ("price_book_id", "plan_id", "charge_id", "from_quantity")
    assert [one.contract for one in contract.references] == ["charges"]
    assert [rule.check for rule in contract.rules] == ["ordered", "contiguous_tiers"]
    assert contract.rule_text("tier_not_empty") == "a tier ends above its start"
    assert contract.rule_text("minimum", "flat_fee") == "flat_fee must be at least 0"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    required: true", "    requierd: true", "unknown key requierd"),
        ("domain: inbound", "domain: inbound\nservers: []", "unknown key servers"),
        ("check: ordered", "check: orderd", "unknown"),
        ("          strict: true", "          strikt: true", "unknown arguments"),
        ("first: from_quantity", "first: quantity", "unknown columns quantity"),
        ("engine: prebill", "engine: soda", "can't be enforced"),
        ("- id: tier_not_empty\n        type", "- type", "stable id"),
        ("version: 1.0.0", "version: one", "not semantic"),
        ("physicalType: TEXT", "physicalType: VARCHAR(9)", "unknown type"),
        ("kind: DataContract", "kind: Contract", "kind must be"),
        ("primaryKeyPosition: 4", "primaryKeyPosition: 7", "must run 1, 2, 3"),
        ("name: tiers\nversion", "name: tiers\nname: tiers\nversion", "stands twice"),
        ("exclusiveMaximum", "exclusiveMaximun", "unknown key exclusiveMaximun"),
        ("- property: unit", "- property: unti", "may have the custom properties unit"),
        (
            "- property: unit",
            "- property: completable\n            value: true\n          - property: unit",
            "for optional columns",
        ),
    ],
)
def test_what_can_not_be_enforced_is_an_error(old: str, new: str, says: str) -> None:
    changed = TEXT.replace(old, new, 1)
    assert changed != TEXT
    with pytest.raises(ContractError, match=says):
        parse_contract(changed)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("minimum: 0\n", "minimum: zero\n", "not a value of kind decimal"),
        ("maxLength: 200", "maxLength: many", "not a whole number"),
        ("minLength: 1\n", "minimum: 1\n", "has no order"),
        ("maxLength: 200", "pattern: '('", "not a regular expression"),
    ],
)
def test_limit_that_does_not_fit_its_column_is_an_error(old: str, new: str, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        compile_contract(parse_contract(TEXT.replace(old, new, 1)))


@pytest.mark.parametrize("text", ["", "a: [", "- one", "apiVersion: v3.1.0"])
def test_text_that_is_no_contract_is_an_error(text: str) -> None:
    with pytest.raises(ContractError):
        parse_contract(text)


def test_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tiers.yaml"
    path.write_text(TEXT.replace("kind: DataContract", "kind: Contract"), encoding="utf-8")
    with pytest.raises(ContractError, match=r"tiers\.yaml"):
        load_contract(path)


def test_reference_to_nothing_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "inbound"
    folder.mkdir()
    (folder / "tiers.yaml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(ContractError, match="leads to nothing"):
        load_catalog(tmp_path)


def test_folder_without_contracts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="PREBILL_CONTRACTS_DIR"):
        load_catalog(tmp_path)
