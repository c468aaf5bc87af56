"""``models/<name>/model.toml``: everything that a run may choose; ``--set`` overrides values."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from prebill.core.errors import InputError
from prebill.core.scoring.models.error_spec import ErrorSpec
from prebill.core.scoring.models.payment_spec import PaymentSpec

#: Tables of a file and the keys that each must have; ``...`` stands for any further ones.
_TABLES: Final[dict[str, frozenset[str]]] = {
    "split": frozenset({"test_days", "gap_days"}),
    "fit": frozenset({"..."}),
    "evaluate": frozenset({"review_share", "..."}),
    "promote": frozenset({"min_gain", "min_rows", "slice_min_rows", "slices", "..."}),
    "tune": frozenset({"tries", "months", "grid"}),
    "card": frozenset({"owner", "validator"}),
}
#: Whose choices stand in [fit], where they are a class of the core.
_FITS: Final = {"payment_risk": PaymentSpec, "error_risk": ErrorSpec}


@dataclass(frozen=True, slots=True)
class Tuning:
    """A bounded search: at most ``tries`` combinations of the grid, on ``months`` earlier cuts."""

    tries: int
    months: int
    grid: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Specification:
    """A model's choices: seed, split, parameters of the fit, how it is measured and promoted.

    ``slices``: slice → by how much the mean loss of one of its values may be worse.
    """

    name: str
    seed: int
    test_days: int
    gap_days: int
    fit: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    promote: Mapping[str, float]
    slices: Mapping[str, float]
    tuning: Tuning
    card: Mapping[str, str]

    def payment(self) -> PaymentSpec:
        """The parameters of a payment risk fit."""
        return PaymentSpec(**self.fit)

    def with_fit(self, chosen: Mapping[str, Any]) -> "Specification":
        """The same with other values of some parameters of the fit."""
        return replace(self, fit={**self.fit, **chosen})


def read(folder: Path, name: str, overrides: Sequence[str] = ()) -> Specification:
    """Read a model's specification and apply ``key=value`` overrides (``fit.hazard_rounds=50``).

    Raises
    ------
    InputError
        The file is absent or wrong, or an override names an unknown key.
    """
    path = folder / name / "model.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        message = f"{path} can't be read: {error}"
        raise InputError(message, file=str(path)) from error
    for override in overrides:
        _apply(content, override, path)
    _check(content, path)
    promote = dict(content["promote"])
    slices = promote.pop("slices")
    found = Specification(
        name=name,
        seed=content["seed"],
        test_days=content["split"]["test_days"],
        gap_days=content["split"]["gap_days"],
        fit=content["fit"],
        evaluate=content["evaluate"],
        promote=promote,
        slices=slices,
        tuning=Tuning(**content["tune"]),
        card=content["card"],
    )
    known = set(found.fit) if name not in _FITS else {one.name for one in fields(_FITS[name])}
    unknown = set(found.fit) - known
    if unknown:
        message = f"{path} has unknown keys in [fit]: {', '.join(sorted(unknown))}"
        raise InputError(message, file=str(path))
    strange = set(found.tuning.grid) - set(found.fit)
    if strange:
        message = f"{path} tunes what [fit] does not have: {', '.join(sorted(strange))}"
        raise InputError(message, file=str(path))
    return found


def _check(content: Mapping[str, Any], path: Path) -> None:
    """Refuse an absent or unknown table or key: a misspelt one would silently be a default."""
    faults = [f"lacks {name!r}" for name in ("seed", *_TABLES) if name not in content]
    faults += [f"has an unknown {name!r}" for name in content if name not in {"seed", *_TABLES}]
    for table, wanted in _TABLES.items():
        given = set(content.get(table, wanted))
        faults += [f"lacks {table}.{key}" for key in sorted(wanted - given - {"..."})]
        if "..." not in wanted:
            faults += [f"has an unknown {table}.{key}" for key in sorted(given - wanted)]
    if faults:
        message = f"{path} {', '.join(faults)}"
        raise InputError(message, file=str(path))


def _apply(content: dict[str, Any], override: str, path: Path) -> None:
    """Replace one value by another of its type; a key that the file lacks is a mistake."""
    key, mark, text = override.partition("=")
    *outer, last = key.strip().split(".")
    table: Any = content
    for name in outer:
        table = table.get(name) if isinstance(table, dict) else None
    if not mark or not isinstance(table, dict) or last not in table:
        message = f"--set {override!r}: {path} has no {key!r}; write key=value with a key of it"
        raise InputError(message, override=override)
    try:
        table[last] = type(table[last])(text)
    except ValueError:
        message = f"--set {override!r}: {text!r} is no {type(table[last]).__name__}"
        raise InputError(message, override=override) from None
