"""Judge the rows of one contract against what is known already: references, keys, history.

Nothing is written here. :func:`judge` parts rows into those to enter, those that complete a known
fact, those known already, and those rejected, each with column, rule and value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from prebill.contracts import Catalog, Compiled, DataContract
from prebill.contracts.check import REJECTED
from prebill.contracts.events import EVENT_CHECKS, EVENT_COLUMNS, EventContext
from prebill.contracts.groups import GROUP_CHECKS
from prebill.core.calendar import start_of_day_at
from prebill.lake import Lake
from prebill.store import ingest as sql
from prebill.store.engine import Store
from prebill.store.lake_index import named_batches
from prebill.store.reference import LAKE_FRAMES

#: Rules that no contract names, since they are about what is known already.
KEY_RULES: Final = {
    "duplicate_key": "the file has two rows with this key and different content: keep one",
    "same_id_other_content": "a row with this key and other content is already there: find out "
    "which is true; send a correction under a new id, or dismiss this one",
    "changed_version": "this version was recorded before with other content: a change needs a "
    "later recorded_at",
}
#: Up to this many facts every id is compared; beyond it those of the months around the new ones.
_COMPARE_ALL_ROWS: Final = 20_000_000
_MONTH_AROUND: Final = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows to enter and rows known (typed, with ``row``), and broken rules as REJECTED.

    ``completing``: known facts with the columns that were empty and are given now. ``entering``
    and ``completing`` together are what is new.
    """

    entering: pl.DataFrame
    completing: pl.DataFrame
    known: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def good(self) -> pl.DataFrame:
        """Every row that is in, or will be."""
        return pl.concat([self.entering, self.completing, self.known])


@dataclass(frozen=True, slots=True)
class World:
    """What is known, and the clock. ``closed`` is what was closed before this import began."""

    catalog: Catalog
    store: Store
    lake: Lake
    as_of_at: datetime
    closed: pl.DataFrame
    #: Reference values read once an import: contract and columns → distinct rows.
    seen: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = field(default_factory=dict)

    def forget(self, contract: str) -> None:
        """Drop what was read of a contract that has just changed."""
        for name in [name for name in self.seen if name[0] == contract]:
            del self.seen[name]

    def values(self, contract: str, columns: tuple[str, ...]) -> pl.DataFrame:
        """Return the distinct values of columns of a contract's rows."""
        if (contract, columns) not in self.seen:
            self.seen[contract, columns] = self._read_values(contract, columns)
        return self.seen[contract, columns]

    def _read_values(self, contract: str, columns: tuple[str, ...]) -> pl.DataFrame:
        with self.store.read() as tx:
            if contract not in LAKE_FRAMES:
                return sql.distinct_rows(tx, contract, columns)
            batches = named_batches(tx, contract)
            issued = sql.document_ids(tx)
        with self.lake.reading():
            scanned = self.lake.scan(contract, batches).select(columns).unique().collect()
        return pl.concat([scanned, issued]).unique() if columns == ("invoice_id",) else scanned

    def event_context(self) -> EventContext:
        """Read what usage events are checked against."""
        with self.store.read() as tx:
            starts = sql.contract_starts(tx)
            meters = sql.distinct_rows(tx, "meters", ("meter", "max_quantity"))
        days = starts.select("starts_on", "time_zone").unique()
        instants = [start_of_day_at(day, name) for day, name in days.iter_rows()]
        dated = days.with_columns(pl.Series("starts_at", instants, dtype=pl.Datetime("us", "UTC")))
        contracts = starts.join(dated, on=["starts_on", "time_zone"])
        return EventContext(self.as_of_at, meters, contracts, self.closed)


def judge(world: World, compiled: Compiled, rows: pl.DataFrame) -> Judged:
    """Check rows of text (or of their own types) in the order: value, reference, key, history."""
    contract = compiled.contract
    checked = compiled.check(rows)
    good, rejected = checked.good, [checked.rejected]
    for reference in contract.references:
        known = world.values(reference.contract, reference.targets)
        columns = list(reference.columns)
        absent = good.join(
            known, left_on=columns, right_on=list(reference.targets), how="anti"
        ).drop_nulls(columns)
        rejected.append(blame(absent, columns, reference.id))
        good = without(good, absent)
    good, repeated, clashing = _once(compiled, good)
    rejected.append(clashing)
    state = _state(world, contract, good)
    compared = _compare(contract, good, state)
    fresh = compared.entering
    completing, unfit = _still_good(compiled, compared.completing)
    rejected += [compared.rejected, unfit]
    for check in (_events, _groups):
        broken = check(world, contract, fresh, state)
        rejected.append(broken)
        fresh = without(fresh, broken)
    every = pl.concat([one for one in rejected if one.height] or [pl.DataFrame(schema=REJECTED)])
    known = pl.concat([compared.known, repeated])
    return Judged(fresh, completing, known, every.sort("row", maintain_order=True))


def blame(rows: pl.DataFrame, columns: Sequence[str], rule: str) -> pl.DataFrame:
    """Reject typed rows: name the rule, the last of the columns, and what they held."""
    value = pl.concat_str(
        [pl.col(name).cast(pl.String).fill_null("") for name in columns], separator=", "
    )
    return rows.select(
        pl.col("row"),
        pl.lit(columns[-1]).alias("column"),
        pl.lit(rule).alias("rule"),
        value.str.slice(0, 500).alias("value"),
    )


def without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rows that stand in another frame."""
    if others.is_empty():
        return rows
    return rows.join(others.select("row"), on="row", how="anti", maintain_order="left")


def _once(
    compiled: Compiled, rows: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Keep each key of the file once; equal rows are repeats, different ones clash.

    Of facts the first row stays, since it may be in the lake already, and takes what later ones
    complete. Of reference rows none does: which one is true, nobody can tell.
    """
    contract = compiled.contract
    keys = list(contract.key)
    hashed = rows.select(pl.struct(keys).hash())
    none = rows.clear(), pl.DataFrame(schema=REJECTED)
    if hashed.to_series().n_unique() == rows.height:
        return rows, *none
    several = rows.filter(pl.struct(keys).is_duplicated())
    contents = several.unique(contract.columns, keep="first", maintain_order=True)
    repeats = without(several, contents)
    once = without(rows, several)
    if contract.name in LAKE_FRAMES:
        first, fitting, clashes = _folded(contract, contents)
        first, unfit = _still_good(compiled, first)
        rejected = pl.concat([blame(clashes, keys, "same_id_other_content"), unfit])
        return pl.concat([once, first]).sort("row"), pl.concat([repeats, fitting]), rejected
    clashes = contents.filter(pl.struct(keys).is_duplicated())
    # Repeats of a clashing row clash as well.
    clashes = several.join(clashes.select(keys), on=keys, how="semi", maintain_order="left")
    once = without(without(rows, repeats), clashes)
    return once, without(repeats, clashes), blame(clashes, keys, "duplicate_key")


def _folded(
    contract: DataContract, contents: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Part different rows of one key: the first, completed; those that fit it; the others."""
    keys, completable = list(contract.key), contract.completable
    fixed = [name for name in contract.columns if name not in completable]
    is_equal = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).first().over(keys)) for name in fixed
    )
    is_same = contents.select(is_equal).to_series()
    filled = contents.with_columns(
        pl.when(is_same).then(name).drop_nulls().first().over(keys).alias(name)
        for name in completable
    )
    for name in completable:
        is_same &= contents[name].is_null() | contents[name].eq_missing(filled[name])
    is_first = contents.select(pl.struct(keys).is_first_distinct()).to_series()
    return filled.filter(is_first), contents.filter(is_same & ~is_first), contents.filter(~is_same)


def _state(world: World, contract: DataContract, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the known rows that matter: of facts those of equal key, of references all."""
    if contract.name not in LAKE_FRAMES:
        with world.store.read() as tx:
            return sql.reference_rows(tx, contract.frame())
    with world.lake.reading():
        return _known_facts(world, contract, rows)


def _known_facts(world: World, contract: DataContract, rows: pl.DataFrame) -> pl.DataFrame:
    with world.store.read() as tx:
        batches = named_batches(tx, contract.name)
        counted = tx.scalar(
            "SELECT sum(rows) FROM lake_batches WHERE table_name = :name", {"name": contract.name}
        )
    if not batches or rows.is_empty():
        return contract.frame().empty()
    scanned = world.lake.scan(contract.name, batches)
    if contract.name == "usage_events" and counted > _COMPARE_ALL_ROWS:
        first, last = rows["occurred_at"].min(), rows["occurred_at"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        start, end = first - _MONTH_AROUND, last + _MONTH_AROUND
        scanned = world.lake.scan_between(contract.name, batches, start, end)
    keys = list(contract.key)
    # Most batches are all new: the keys alone say so, and the other columns stay unread.
    ours = rows.select(keys)
    met = scanned.select(keys).join(ours.lazy(), on=keys, how="semi").collect(engine="streaming")
    if met.is_empty():
        return contract.frame().empty()
    found = scanned.select(contract.columns).join(met.lazy(), on=keys, how="semi")
    return found.collect(engine="streaming").unique(keys, keep="first", maintain_order=True)


def _compare(contract: DataContract, rows: pl.DataFrame, state: pl.DataFrame) -> Judged:
    """Part rows into those to enter, those known, and those that contradict what must not change.

    Reference rows may change (that is an update), unless their version is part of the key. Facts
    may only be completed, in the columns that the contract names.
    """
    nothing = pl.DataFrame(schema=REJECTED)
    if state.is_empty():
        return Judged(rows, rows.clear(), rows.clear(), nothing)
    keys = list(contract.key)
    known = rows.join(state, on=contract.columns, how="semi", nulls_equal=True)
    others = without(rows, known)
    is_fact, is_version = contract.name in LAKE_FRAMES, "recorded_at" in keys
    if not is_fact and not is_version:
        return Judged(others, rows.clear(), known, nothing)
    changed = others.join(state.select(keys), on=keys, how="semi", maintain_order="left")
    fresh = without(others, changed)
    if not is_fact:
        return Judged(fresh, rows.clear(), known, blame(changed, keys, "changed_version"))
    completing, older = _completed(contract, changed, state)
    clashing = without(without(changed, completing), older)
    rejected = blame(clashing, keys, "same_id_other_content")
    return Judged(fresh, completing, pl.concat([known, older]), rejected)


def _completed(
    contract: DataContract, changed: pl.DataFrame, state: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that complete a known fact, filled up, and those that say less than it.

    A row that says less is an older file: what was completed meanwhile stays.
    """
    if not contract.completable or changed.is_empty():
        return changed.clear(), changed.clear()
    fixed = [name for name in contract.columns if name not in contract.completable]
    before = state.select(
        *contract.key, *(pl.col(name).alias(f"known.{name}") for name in contract.completable)
    )
    # Equal in everything that is fixed: only then the known row is this one.
    same = changed.join(state.select(fixed), on=fixed, how="semi", nulls_equal=True)
    paired = same.join(before, on=list(contract.key), how="left", maintain_order="left")
    agrees = pl.all_horizontal(
        pl.col(name).is_null()
        | pl.col(f"known.{name}").is_null()
        | (pl.col(name) == pl.col(f"known.{name}"))
        for name in contract.completable
    )
    adds = pl.any_horizontal(
        pl.col(name).is_not_null() & pl.col(f"known.{name}").is_null()
        for name in contract.completable
    )
    full = paired.with_columns(
        pl.coalesce(name, f"known.{name}").alias(name) for name in contract.completable
    ).select(changed.columns)
    marks = paired.select(agrees=agrees, adds=adds)
    return full.filter(marks["agrees"] & marks["adds"]), full.filter(
        marks["agrees"] & ~marks["adds"]
    )


def _still_good(compiled: Compiled, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Check completed rows once more: columns of two files meet in them for the first time."""
    if rows.is_empty():
        return rows, pl.DataFrame(schema=REJECTED)
    places = rows["row"]
    broken = compiled.check(rows.drop("row")).rejected
    rejected = broken.with_columns(places.gather(broken["row"]).alias("row"))
    return without(rows, rejected), rejected


def _events(
    world: World, contract: DataContract, rows: pl.DataFrame, _: pl.DataFrame
) -> pl.DataFrame:
    """Check usage events against meters, contracts, the clock and closed periods."""
    rules = [rule for rule in contract.rules if rule.check in EVENT_CHECKS]
    found = [pl.DataFrame(schema=REJECTED)]
    if rules and not rows.is_empty():
        context = world.event_context()
        for rule in rules:
            failing = rows.filter(EVENT_CHECKS[rule.check](rows, context).fill_null(value=False))
            found.append(blame(failing, [EVENT_COLUMNS[rule.check]], rule.id))
    return pl.concat(found)


def _groups(
    _: World, contract: DataContract, rows: pl.DataFrame, state: pl.DataFrame
) -> pl.DataFrame:
    """Check the rows that belong together, as they would be after entering."""
    rules = [rule for rule in contract.rules if rule.check in GROUP_CHECKS]
    found = [pl.DataFrame(schema=REJECTED)]
    if rules and not rows.is_empty():
        keys = list(contract.key)
        unchanged = state.join(rows.select(keys), on=keys, how="anti", nulls_equal=True)
        absent = pl.lit(None, dtype=pl.Int64()).alias("row")
        after = pl.concat([unchanged.with_columns(absent).select(rows.columns), rows])
        for rule in rules:
            blamed = GROUP_CHECKS[rule.check](after, rule.arguments)
            failing = rows.join(blamed.rows, on="row", how="semi", maintain_order="left")
            found.append(blame(failing, [blamed.column], rule.id))
    return pl.concat(found)
