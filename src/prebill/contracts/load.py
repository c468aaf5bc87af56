"""Read an ODCS file strictly: what we do not enforce is an error, not a decoration.

The parser of ``open-data-contract-standard`` accepts misspelt keys in most places, so the keys are
compared with the few that Prebill gives a meaning to, and every rule must name a known check.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from open_data_contract_standard.model import (
    DataQuality,
    OpenDataContractStandard,
    Relationship,
    SchemaObject,
    SchemaProperty,
)
from pydantic import ValidationError

from prebill.contracts.events import EVENT_CHECKS
from prebill.contracts.groups import GROUP_ARGUMENTS
from prebill.contracts.model import DataContract, Property, Reference, Rule, Version
from prebill.contracts.rows import ROW_ARGUMENTS
from prebill.core.errors import ContractError
from prebill.core.schemas import Kind

#: Where a mapping stands in the file → keys that Prebill gives a meaning to.
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "contract": frozenset(
        "apiVersion kind id name version status domain description schema".split()
    ),
    "description": frozenset({"purpose", "usage"}),
    "schema": frozenset("name logicalType description properties relationships quality".split()),
    "property": frozenset(
        "name logicalType physicalType required description primaryKey primaryKeyPosition "
        "logicalTypeOptions customProperties quality relationships".split()
    ),
    "logicalTypeOptions": frozenset(
        "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength pattern".split()
    ),
    "customProperties": frozenset({"property", "value"}),
    "quality": frozenset(
        "id type metric mustBe arguments engine description implementation".split()
    ),
    "relationships": frozenset({"id", "type", "from", "to"}),
    "arguments": frozenset({"validValues"}),
}
DOMAINS: Final = ("inbound", "internal", "outbound")
_KINDS: Final = {
    ("string", "TEXT"): Kind.TEXT,
    ("integer", "BIGINT"): Kind.INTEGER,
    ("number", "DECIMAL(38,12)"): Kind.DECIMAL,
    ("number", "DOUBLE"): Kind.FLOAT,
    ("boolean", "BOOLEAN"): Kind.BOOLEAN,
    ("date", "DATE"): Kind.DATE,
    ("timestamp", "TIMESTAMP"): Kind.INSTANT,
}
_VALUE_CUSTOM: Final = frozenset({"currency", "country", "time_zone"})
_OPTION_TEXT: Final = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be above {}",
    "exclusiveMaximum": "must be below {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "pattern": "must match {}",
}


class _StrictLoader(yaml.SafeLoader):
    """YAML without repeated keys and without dates made of texts."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002  # the signature is PyYAML's
    ) -> dict[Hashable, Any]:
        """Refuse a key that stands twice in one mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = {key for key in keys if keys.count(key) > 1}
        if repeated:
            message = f"key {sorted(repeated)} stands twice{node.start_mark}"
            raise ContractError(message, keys=sorted(repeated))
        return super().construct_mapping(node, deep=deep)


def load_contract(path: Path) -> DataContract:
    """Read one contract file.

    Raises
    ------
    ContractError
        The file is not YAML, not ODCS v3, has an unknown key or a rule that can't be enforced.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return parse_contract(text)
    except ContractError as error:
        message = f"data contract {path.name}: {error}"
        raise ContractError(message, file=path.name, **error.facts) from error
    except (OSError, UnicodeDecodeError) as error:
        message = f"data contract {path.name} can't be read: {error}"
        raise ContractError(message, file=path.name) from error


def parse_contract(text: str) -> DataContract:
    """Read a contract from its YAML text; errors as in :func:`load_contract`."""
    try:
        raw = yaml.load(text, Loader=_StrictLoader)  # a safe loader, made stricter
        _only_known_keys(raw)
        document = OpenDataContractStandard.model_validate(raw)
    except (yaml.YAMLError, ValidationError) as error:
        message = f"not an ODCS v3 file: {error}"
        raise ContractError(message) from error
    return _contract(document)


def _only_known_keys(raw: object) -> None:
    if not isinstance(raw, dict):
        message = "the file is empty or not a mapping"
        raise ContractError(message)
    _refuse_unknown("contract", [raw])
    _refuse_unknown("description", [raw.get("description")])
    objects = _items(raw, "schema")
    _refuse_unknown("schema", objects)
    properties = [one for item in objects for one in _items(item, "properties")]
    _refuse_unknown("property", properties)
    for place in ("logicalTypeOptions",):
        _refuse_unknown(place, [one.get(place) for one in properties])
    for place in ("customProperties", "quality", "relationships"):
        found = [entry for one in (*objects, *properties) for entry in _items(one, place)]
        _refuse_unknown(place, found)
        if place == "quality":
            _refuse_unknown("arguments", [entry.get("arguments") for entry in found])


def _items(mapping: object, key: str) -> list[dict[str, Any]]:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        message = f"{key} must be a list of mappings"
        raise ContractError(message, key=key)
    return value


def _refuse_unknown(place: str, mappings: Sequence[object]) -> None:
    for mapping in mappings:
        unknown = sorted(set(mapping) - ALLOWED[place]) if isinstance(mapping, dict) else []
        if unknown:
            known = ", ".join(sorted(ALLOWED[place]))
            message = f"unknown key {', '.join(map(str, unknown))} in {place}; known are {known}"
            raise ContractError(message, place=place, keys=unknown)


def _contract(document: OpenDataContractStandard) -> DataContract:
    if document.kind != "DataContract" or not str(document.apiVersion).startswith("v3."):
        message = "kind must be DataContract and apiVersion v3"
        raise ContractError(message, kind=document.kind, version=document.apiVersion)
    objects = document.schema_ or []
    if len(objects) != 1 or not objects[0].properties:
        message = "a contract describes one frame: schema needs one entry with properties"
        raise ContractError(message, objects=len(objects))
    name, frame = document.name or "", objects[0]
    if not name or frame.name != name or document.domain not in DOMAINS:
        message = f"name and schema name must be equal, domain one of {', '.join(DOMAINS)}"
        raise ContractError(message, name=name, domain=document.domain)
    if not document.description or not document.description.purpose or not document.version:
        message = "version and description.purpose are needed"
        raise ContractError(message, name=name)
    properties = tuple(_property(one) for one in frame.properties or [])
    contract = DataContract(
        name=name,
        domain=document.domain,
        version=Version.parse(document.version),
        purpose=document.description.purpose,
        usage=document.description.usage or "",
        properties=properties,
        references=(*_property_references(frame), *_schema_references(frame)),
        rules=tuple(_schema_rule(rule) for rule in frame.quality or []),
    )
    _consistent(contract)
    return contract


def _property(source: SchemaProperty) -> Property:
    name = source.name or ""
    kind = _KINDS.get((source.logicalType or "", source.physicalType or ""))
    if not name or kind is None:
        known = ", ".join(f"{logical} {physical}" for logical, physical in _KINDS)
        message = (
            f"property {name!r} has the unknown type {source.logicalType} "
            f"{source.physicalType}; known are {known}"
        )
        raise ContractError(message, property=name)
    if source.required is None or not source.description:
        message = f"property {name} must say required and description"
        raise ContractError(message, property=name)
    unit = _unit(source)
    if kind is Kind.INTEGER and unit == "minor":
        kind = Kind.MINOR
    if bool(source.primaryKey) != (source.primaryKeyPosition is not None):
        message = f"property {name} must have primaryKey and primaryKeyPosition, or neither"
        raise ContractError(message, property=name)
    options = [
        Rule(option, option, f"{name} {_OPTION_TEXT[option].format(value)}", {"value": value})
        for option, value in (source.logicalTypeOptions or {}).items()
    ]
    quality = [_value_rule(name, rule) for rule in source.quality or []]
    return Property(
        name=name,
        kind=kind,
        meaning=source.description,
        is_required=source.required,
        key_position=source.primaryKeyPosition,
        unit=unit,
        is_completable=_is_completable(source),
        rules=(*options, *quality),
    )


def _unit(source: SchemaProperty) -> str | None:
    unit = _customs(source).get("unit")
    return None if unit is None else str(unit)


def _is_completable(source: SchemaProperty) -> bool:
    value = _customs(source).get("completable", False)
    if not isinstance(value, bool) or (value and (source.required or source.primaryKey)):
        message = f"property {source.name}: completable is true or absent, for optional columns"
        raise ContractError(message, property=source.name)
    return value


def _customs(source: SchemaProperty) -> dict[str, object]:
    customs = {str(one.property): one.value for one in source.customProperties or []}
    unknown = sorted(set(customs) - {"unit", "completable"})
    if unknown or len(customs) < len(source.customProperties or []):
        message = f"property {source.name} may have the custom properties unit and completable"
        raise ContractError(message, property=source.name)
    return customs


def _value_rule(column: str, rule: DataQuality) -> Rule:
    identifier = _rule_id(rule)
    if rule.type == "library" and rule.metric == "invalidValues" and rule.mustBe == 0:
        values = (rule.arguments or {}).get("validValues")
        listed = ", ".join(map(str, values)) if isinstance(values, list) else ""
        text = f"{column} must be one of {listed}"
        return Rule(identifier, "validValues", text, {"values": values})
    check, arguments = _custom(rule)
    if check not in _VALUE_CUSTOM or arguments:
        message = f"rule {identifier}: property check {check!r} is unknown or takes no arguments"
        raise ContractError(message, rule=identifier)
    return Rule(identifier, check, f"{column} must be {rule.description or check}")


def _schema_rule(rule: DataQuality) -> Rule:
    identifier = _rule_id(rule)
    check, arguments = _custom(rule)
    expected = {**ROW_ARGUMENTS, **GROUP_ARGUMENTS, **dict.fromkeys(EVENT_CHECKS, frozenset())}
    if check not in expected or not set(arguments) <= expected[check]:
        message = f"rule {identifier}: check {check!r} is unknown or has unknown arguments"
        raise ContractError(message, rule=identifier, check=check)
    if not rule.description:
        message = f"rule {identifier} needs a description: it is shown to the user"
        raise ContractError(message, rule=identifier)
    return Rule(identifier, check, rule.description, arguments)


def _rule_id(rule: DataQuality) -> str:
    if not rule.id:
        message = "every quality rule needs a stable id"
        raise ContractError(message)
    return rule.id


def _custom(rule: DataQuality) -> tuple[str, dict[str, Any]]:
    details = rule.implementation
    if rule.type != "custom" or rule.engine != "prebill" or not isinstance(details, dict):
        message = f"rule {rule.id} can't be enforced: use invalidValues or the engine prebill"
        raise ContractError(message, rule=rule.id)
    arguments = {key: value for key, value in details.items() if key != "check"}
    return str(details.get("check")), arguments


def _property_references(frame: SchemaObject) -> list[Reference]:
    return [
        _reference([one.name or ""], link, [link.to])
        for one in frame.properties or []
        for link in one.relationships or []
    ]


def _schema_references(frame: SchemaObject) -> list[Reference]:
    found = []
    for link in frame.relationships or []:
        columns = link.from_ if isinstance(link.from_, list) else [link.from_ or ""]
        targets = link.to if isinstance(link.to, list) else [link.to]
        found.append(_reference([one.split(".")[-1] for one in columns], link, targets))
    return found


def _reference(
    columns: Sequence[str], link: Relationship, targets: "Sequence[str | list[str] | None]"
) -> Reference:
    pieces = [target.split(".") for target in targets if isinstance(target, str)]
    contracts = {piece[0] for piece in pieces}
    sizes = {len(piece) for piece in pieces}
    if not link.id or sizes != {2} or len(contracts) != 1 or len(pieces) != len(columns):
        message = f"relationship {link.id} of {', '.join(columns)} must have id and contract.column"
        raise ContractError(message, relationship=link.id)
    return Reference(link.id, tuple(columns), contracts.pop(), tuple(p[1] for p in pieces))


def _consistent(contract: DataContract) -> None:
    columns = contract.columns
    positions = sorted(p.key_position for p in contract.properties if p.key_position is not None)
    if positions != list(range(1, len(positions) + 1)) or not positions:
        message = "primaryKeyPosition must run 1, 2, 3"
        raise ContractError(message, contract=contract.name)
    identifiers = [r.id for r in contract.rules] + [r.id for r in contract.references]
    used = [name for reference in contract.references for name in reference.columns]
    if len(set(columns)) < len(columns) or len(set(identifiers)) < len(identifiers):
        message = "a property name or rule id stands twice"
        raise ContractError(message, contract=contract.name)
    for rule in contract.rules:
        named = ("first", "then", "column", "when", "start", "end", "version", "member")
        used += [str(rule.arguments[key]) for key in named if key in rule.arguments]
        used += [str(one) for key in ("by", "owner") for one in _listed(rule.arguments.get(key))]
    unknown = sorted(set(used) - set(columns))
    if unknown:
        message = f"a rule names the unknown columns {', '.join(unknown)}"
        raise ContractError(message, contract=contract.name, columns=unknown)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
