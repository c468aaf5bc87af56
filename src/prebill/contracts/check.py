"""Compile a contract into named polars expressions and check frames by them, all rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from prebill.contracts.casting import as_text, cast_column
from prebill.contracts.model import DataContract
from prebill.contracts.rows import ROW_CHECKS
from prebill.contracts.values import VALUE_CHECKS
from prebill.core.errors import ContractError, InputError
from prebill.core.schemas import Frame
from prebill.core.schemas.frame import collected

#: One row per broken rule: position of the row in the frame that was checked, and what it held.
REJECTED: Final = pl.Schema(
    {"row": pl.Int64(), "column": pl.String(), "rule": pl.String(), "value": pl.String()}
)


_POSITION: Final = pl.int_range(pl.len(), dtype=pl.Int64).alias("row")


@dataclass(frozen=True, slots=True)
class Checked:
    """Typed good rows with their positions in the input, and every broken rule of the others.

    ``good`` has the contract's columns plus ``row`` (Int64); ``rejected`` is REJECTED.
    """

    good: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True, slots=True)
class NamedCheck:
    """An expression that is true for rows that break ``rule``, blamed on ``column``."""

    column: str
    rule: str
    fails: pl.Expr

    @property
    def name(self) -> str:
        """Unique within the contract."""
        return f"{self.column}:{self.rule}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What frames of one schema are put through: text, then typed columns and flags of the rules.

    ``flags``: names of the columns that say which rows break a rule.
    """

    text: list[pl.Expr]
    typed: list[pl.Expr]
    on_typed: list[pl.Expr]
    flags: list[str]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A contract ready to check frames."""

    contract: DataContract
    frame: Frame
    checks: tuple[NamedCheck, ...]
    #: By columns and types of the frame: requests look alike, and a plan costs more than a row.
    _plans: dict[tuple[tuple[str, pl.DataType], ...], _Plan] = field(
        default_factory=dict, repr=False, compare=False
    )

    def check(self, given: pl.DataFrame) -> Checked:
        """Check every row of a frame of text (or of columns that have their type already).

        Columns that the contract does not name are ignored; absent optional ones become null.

        Raises
        ------
        InputError
            A required column is absent or holds nested values.
        """
        key = tuple(given.schema.items())
        if key not in self._plans:
            self._plans[key] = self._plan(given)
        plan = self._plans[key]
        checked = collected(
            given.lazy()
            .select(plan.text)
            .select(plan.typed)
            .with_columns(plan.on_typed)
            .with_columns(_is_good=~pl.any_horizontal(plan.flags))
        )
        typed = checked.select(_POSITION, *self.frame.names)
        is_good = checked["_is_good"]
        if is_good.all():
            return Checked(typed, pl.DataFrame(schema=REJECTED))
        text = given.select(plan.text)
        failing = [name for name in plan.flags if checked[name].any()]
        found = [_rejected(text, checked[name]) for name in failing]
        return Checked(typed.filter(is_good), pl.concat(found).sort("row", maintain_order=True))

    def _plan(self, given: pl.DataFrame) -> _Plan:
        columns = self.frame.columns
        to_text = self._text(given)
        text = given.clear().select(to_text)
        casts = {column.name: cast_column(text, column) for column in columns}
        on_text = [NamedCheck(name, cast.rule, cast.fails) for name, cast in casts.items()]
        required = [
            NamedCheck(column.name, "required", pl.col(column.name).is_null())
            for column in columns
            if column.required
        ]
        first = [*required, *on_text]
        typed = [cast.typed.alias(name) for name, cast in casts.items()]
        return _Plan(
            to_text,
            [*typed, *_flags(first)],
            _flags(self.checks),
            [check.name for check in (*first, *self.checks)],
        )

    def _text(self, given: pl.DataFrame) -> list[pl.Expr]:
        absent = [c.name for c in self.frame.columns if c.name not in given.columns]
        missing = [c.name for c in self.frame.columns if c.required and c.name in absent]
        if missing:
            message = (
                f"{self.contract.name} lacks the column{'s' if len(missing) > 1 else ''} "
                f"{', '.join(missing)}: add them and import the file again"
            )
            raise InputError(message, contract=self.contract.name, columns=missing)
        return [
            as_text(given, column).alias(column.name)
            if column.name not in absent
            else pl.lit(None, dtype=column.dtype).alias(column.name)
            for column in self.frame.columns
        ]


def compile_contract(contract: DataContract) -> Compiled:
    """Turn every property rule and row rule of a contract into a named expression.

    Raises
    ------
    ContractError
        A rule has a limit or argument that can't be enforced on its column.
    """
    checks = [
        NamedCheck(
            one.name, rule.id, VALUE_CHECKS[rule.check](pl.col(one.name), one.kind, rule.arguments)
        )
        for one in contract.properties
        for rule in one.rules
    ]
    for rule in contract.rules:
        if rule.check in ROW_CHECKS:
            column, fails = ROW_CHECKS[rule.check](rule.arguments)
            checks.append(NamedCheck(column, rule.id, fails))
    names = [check.name for check in checks]
    if len(set(names)) != len(names):
        message = f"{contract.name} has two rules of one name on a column"
        raise ContractError(message, contract=contract.name)
    compiled = Compiled(contract, contract.frame(), tuple(checks))
    compiled.check(_sample(compiled.frame))  # a rule that can't run on its column fails here
    return compiled


def _sample(frame: Frame) -> pl.DataFrame:
    """Return one row of nulls as text, to try the expressions on."""
    return pl.DataFrame({column.name: [None] for column in frame.columns}).cast(pl.String)


def _flags(checks: Sequence[NamedCheck]) -> list[pl.Expr]:
    return [check.fails.fill_null(value=False).alias(check.name) for check in checks]


def _rejected(text: pl.DataFrame, flag: pl.Series) -> pl.DataFrame:
    column, rule = flag.name.split(":", maxsplit=1)
    rows = flag.arg_true()
    value = text[column].gather(rows)
    if value.dtype != pl.String():
        value = value.cast(pl.String)
    return pl.DataFrame(
        {"row": rows.cast(pl.Int64), "value": value},
    ).select(
        "row",
        pl.lit(column).alias("column"),
        pl.lit(rule).alias("rule"),
        pl.col("value").str.slice(0, 500),
    )
