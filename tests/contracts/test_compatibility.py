"""Which changes break someone, and that they need the version that says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prebill.contracts import DataContract, Property, Reference, Rule, load_contract
from prebill.contracts.__main__ import main
from prebill.contracts.compatibility import (
    baseline_text,
    changes,
    parse_baseline,
    require_compatible,
)
from prebill.contracts.features import write_features
from prebill.contracts.model import Version
from prebill.core.errors import ContractError
from prebill.core.schemas import Kind

FOLDER = Path(__file__).parent.parent.parent / "data_contracts"
OLD = load_contract(FOLDER / "inbound" / "charges.yaml")
PAID = load_contract(FOLDER / "outbound" / "invoice_line.yaml")


def with_property(contract: DataContract, name: str, **values: object) -> DataContract:
    changed = tuple(
        replace(one, **values) if one.name == name else one  # type: ignore[arg-type]
        for one in contract.properties
    )
    return replace(contract, properties=changed)


def rule_of(contract: DataContract, column: str, rule: str) -> Rule:
    one = next(one for one in contract.properties if one.name == column)
    return next(found for found in one.rules if found.id == rule)


def with_rule(contract: DataContract, column: str, rule: str, **arguments: object) -> DataContract:
    one = next(one for one in contract.properties if one.name == column)
    changed = tuple(
        replace(found, arguments=arguments) if found.id == rule else found for found in one.rules
    )
    return with_property(contract, column, rules=changed)


def drop_column(contract: DataContract) -> DataContract:
    return replace(contract, properties=contract.properties[:-1])


def require_more(contract: DataContract) -> DataContract:
    return with_property(contract, "package_size", is_required=True)


def narrow_type(contract: DataContract) -> DataContract:
    return with_property(contract, "name", kind=Kind.INTEGER)


def narrow_list(contract: DataContract) -> DataContract:
    values = rule_of(contract, "charge_model", "charge_model_listed").arguments["values"]
    assert isinstance(values, list)
    return with_rule(contract, "charge_model", "charge_model_listed", values=values[:-1])


def narrow_limit(contract: DataContract) -> DataContract:
    return with_rule(contract, "unit_price", "exclusiveMaximum", value=10)


def change_key(contract: DataContract) -> DataContract:
    return with_property(contract, "charge_id", key_position=None)


def change_unit(contract: DataContract) -> DataContract:
    return with_property(contract, "unit_price", unit="minor")


def add_required_column(contract: DataContract) -> DataContract:
    added = Property("currency", Kind.TEXT, "ISO 4217", is_required=True)
    return replace(contract, properties=(*contract.properties, added))


def add_rule(contract: DataContract) -> DataContract:
    rule = Rule("meter_given", "required_when", "", {"column": "meter"})
    return replace(contract, rules=(*contract.rules, rule))


def add_reference(contract: DataContract) -> DataContract:
    reference = Reference("category_known", ("tax_category",), "meters", ("meter",))
    return replace(contract, references=(*contract.references, reference))


BREAKING = [
    *(drop_column, require_more, narrow_type, narrow_list, narrow_limit),
    *(change_key, change_unit, add_required_column, add_rule, add_reference),
]


@pytest.mark.parametrize("change", BREAKING, ids=lambda change: change.__name__)
def test_breaking_change_needs_a_new_major_version(
    change: Callable[[DataContract], DataContract],
) -> None:
    new = replace(change(OLD), version=Version(1, 1, 0))
    with pytest.raises(ContractError, match=r"charges: needs version 2\.0\.0"):
        require_compatible([OLD], [new])
    announced = replace(new, version=Version(2, 0, 0))
    assert any(one.is_breaking for one in require_compatible([OLD], [announced]))


def test_what_may_be_completed_no_more_breaks_whoever_completed_it() -> None:
    old = load_contract(FOLDER / "inbound" / "disputes.yaml")
    new = with_property(old, "closed_on", is_completable=False)
    with pytest.raises(ContractError, match="closed_on: may be completed no more"):
        require_compatible([old], [replace(new, version=Version(1, 9, 0))])
    assert changes(old, parse_baseline(baseline_text([old]))[0]) == []
    assert not any(one.is_breaking for one in changes(new, old))


def add_optional_column(contract: DataContract) -> DataContract:
    added = Property("note", Kind.TEXT, "free text", is_required=False)
    return replace(contract, properties=(*contract.properties, added))


def widen_type(contract: DataContract) -> DataContract:
    return with_property(contract, "is_prorated", kind=Kind.TEXT)


def widen_limit(contract: DataContract) -> DataContract:
    return with_rule(contract, "unit_price", "exclusiveMaximum", value=10**10)


def lower_minimum(contract: DataContract) -> DataContract:
    return with_rule(contract, "unit_price", "minimum", value=-5)


def require_less(contract: DataContract) -> DataContract:
    return with_property(contract, "name", is_required=False)


def drop_rule(contract: DataContract) -> DataContract:
    return replace(contract, rules=contract.rules[1:])


HARMLESS = [
    *(add_optional_column, widen_type, widen_limit, lower_minimum, require_less, drop_rule),
]


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.__name__)
def test_harmless_change_needs_a_new_minor_version(
    change: Callable[[DataContract], DataContract],
) -> None:
    new = change(OLD)
    assert [one.is_breaking for one in changes(OLD, new)] == [False]
    with pytest.raises(ContractError, match=r"needs version 1\.1\.0"):
        require_compatible([OLD], [new])
    require_compatible([OLD], [replace(new, version=Version(1, 1, 0))])


def test_reader_of_an_outbound_file_suffers_from_new_nulls() -> None:
    new = with_property(PAID, "tax_code", is_required=False)
    assert [one.is_breaking for one in changes(PAID, new)] == [True]


def test_removed_contract_and_version_that_goes_back_are_refused() -> None:
    with pytest.raises(ContractError, match="was removed"):
        require_compatible([OLD], [])
    with pytest.raises(ContractError, match="went back"):
        require_compatible([OLD], [replace(OLD, version=Version(0, 9, 0))])


def test_baseline_reads_back_as_it_was_written() -> None:
    text = baseline_text([OLD, PAID])
    assert baseline_text(parse_baseline(text)) == text
    assert require_compatible(parse_baseline(text), [OLD, PAID]) == []


@pytest.mark.parametrize("text", ["", "[]", '{"a": {}}'])
def test_broken_baseline_is_an_error(text: str) -> None:
    with pytest.raises(ContractError, match="baseline"):
        parse_baseline(text)


def test_command_refuses_a_breaking_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = FOLDER / "inbound" / "legal_entities.yaml"
    folder = tmp_path / "inbound"
    folder.mkdir()
    text = source.read_text(encoding="utf-8")
    (folder / source.name).write_text(text, encoding="utf-8")
    assert main(tmp_path) == 0
    changed = text.replace("maximum: 366", "maximum: 30", 1)
    (folder / source.name).write_text(changed, encoding="utf-8")
    assert main(tmp_path) == 1
    assert "needs version 2.0.0" in capsys.readouterr().err


def test_feature_contract_is_rewritten_from_the_features(tmp_path: Path) -> None:
    (tmp_path / "internal").mkdir()
    source = FOLDER / "internal" / "feature_row.yaml"
    path = tmp_path / "internal" / source.name
    path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    write_features(tmp_path, {"known": "earlier: invoices", "new_one": "a 'new' feature"})
    contract = load_contract(path)
    assert contract.columns == ["invoice_id", "known", "new_one"]
    assert contract.properties[1].meaning == "earlier: invoices"
    with pytest.raises(ContractError, match="was removed"):
        require_compatible([load_contract(source)], [contract])
