"""The audit log: who did what to which object, chained so that a later change is found.

Entries carry their own SHA-256 and are written in the business transaction. :func:`seal` binds each
committed batch by a Merkle root to the head before it, one chain a stream, and writes the head to
a file outside the database: a rewritten or shortened chain disagrees with that file.
"""

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import polars as pl

from prebill.core.errors import StorageError
from prebill.store import audit_log
from prebill.store.codec import canonical_json, now_text
from prebill.store.engine import Row, Store, Tx

#: Entries under one seal: about 50 ms, in which SQLite has no other writer.
SEAL_ENTRIES: Final = 10_000
#: End of the file of heads in which the newest ones are looked for.
_TAIL_BYTES: Final = 65_536
#: Below every number: an entry slipped in before the first is seen too.
_START: Final = -(2**62)
GENESIS: Final = "0" * 64

_LEAF, _NODE, _HEAD = b"\x00", b"\x01", b"\x02"
_HASHED = ("stream", "entered_at", "actor", "action", "object_id", "detail")


class Stream(StrEnum):
    """The chains. The table refuses any other name, so that no entry can hide in one."""

    BOOKS = "books"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One disagreement; ``seq`` is the entry concerned, where one can be named."""

    code: str
    stream: str
    text: str
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify` saw."""

    findings: tuple[AuditFinding, ...]
    sealed: int
    unsealed: int
    seals: int

    @property
    def is_intact(self) -> bool:
        """Whether nothing disagrees. The unsealed tail is no finding, but proves less."""
        return not self.findings


def record(
    tx: Tx,
    actor: str,
    action: str,
    object_id: str,
    detail: dict[str, object] | None = None,
    *,
    stream: Stream = Stream.BOOKS,
) -> None:
    """Write one entry in the caller's transaction. ``detail`` holds ids, never personal data."""
    values = [stream, now_text(), actor, action, object_id, canonical_json(detail or {})]
    audit_log.append_one(tx, [*values, _entry_hash(*values)])


def record_many(tx: Tx, frame: pl.DataFrame, *, stream: Stream = Stream.BOOKS) -> int:
    """Write many entries in the caller's transaction; return how many.

    ``frame`` has the text columns ``actor``, ``action``, ``object_id`` and ``detail`` (JSON text).
    Hashing is the one loop over rows outside the database driver: SHA-256 has no columnar form.
    """
    entries = frame.select(
        pl.lit(stream).alias("stream"),
        pl.lit(now_text()).alias("entered_at"),
        *("actor", "action", "object_id", "detail"),
    )
    return audit_log.append(tx, entries.with_columns(hash=_hashes(entries)))


def seal(store: Store, heads_path: Path) -> int:
    """Chain every committed entry that no seal covers yet; return how many were covered.

    Raises
    ------
    StorageError
        The file of heads can't be written. The seal stands; the next call writes the head again.
    """
    covered = sum(_seal_stream(store, stream) for stream in Stream)
    _export_heads(store, heads_path)
    return covered


def verify(store: Store, heads_path: Path | None = None) -> Verification:
    """Look for alteration, deletion, insertion, reordering and truncation.

    Parameters
    ----------
    store : Store
        The database to check.
    heads_path : Path, optional
        The exported heads; without them a chain that was rewritten as a whole can't be seen.
    """
    findings: list[AuditFinding] = []
    sealed = unsealed = count = 0
    exported = _read_heads(heads_path) if heads_path else {}
    with store.read() as tx:
        for stream in Stream:
            seals = audit_log.seals(tx, stream)
            findings += _chain_findings(stream, seals, exported)
            before = _START
            for one in seals:
                findings += _seal_findings(tx, one, before)
                before = one["last_seq"]
            tail = audit_log.entries_between(tx, stream, after_seq=before)
            findings += _altered(tail, stream)
            sealed += sum(one["entries"] for one in seals)
            unsealed += tail.height
            count += len(seals)
    return Verification(tuple(findings), sealed, unsealed, count)


# ── Sealing ──────────────────────────────────────────────────────────────────────────────────


def _seal_stream(store: Store, stream: str) -> int:
    """Seal until nothing is left; each seal is a transaction, so that others may write between."""
    covered = 0
    while True:
        with store.transaction() as tx:
            audit_log.hold_writers(tx)
            last = audit_log.last_seal(tx, stream)
            after = last["last_seq"] if last else _START
            batch = audit_log.entries_between(tx, stream, after_seq=after, limit=SEAL_ENTRIES)
            if batch.is_empty():
                return covered
            audit_log.add_seal(tx, _next_seal(stream, last, batch))
            covered += batch.height


def _next_seal(stream: str, last: Row | None, batch: pl.DataFrame) -> Row:
    unsigned: Row = {
        "stream": stream,
        "seal_id": last["seal_id"] + 1 if last else 1,
        "first_seq": batch["seq"][0],
        "last_seq": batch["seq"][-1],
        "entries": batch.height,
        "merkle_root": merkle_root(batch["seq"].to_list(), batch["hash"].to_list()),
        "previous_head": last["head"] if last else GENESIS,
        "sealed_at": now_text(),
    }
    return {**unsigned, "head": _head(unsigned)}


def _head(one: Row) -> str:
    """Everything a seal says goes into its head, so that none of it can be changed alone."""
    said = canonical_json({name: value for name, value in one.items() if name != "head"})
    return hashlib.sha256(_HEAD + said.encode()).hexdigest()


def merkle_root(numbers: list[int], hashes: list[str]) -> str:
    """Return the root over entries in their order; an odd last node moves up as it is.

    Leaves and inner nodes are hashed under different prefixes (RFC 6962, section 2.1), so that a
    tree can't pass for another of a different shape.
    """
    level = _leaves(numbers, hashes)
    while len(level) > 1:
        level = _level_above(level)
    return level[0].hex() if level else GENESIS


def _leaves(numbers: list[int], hashes: list[str]) -> list[bytes]:
    return [
        hashlib.sha256(_LEAF + f"{number}:{digest}".encode()).digest()
        for number, digest in zip(numbers, hashes, strict=True)
    ]


def _level_above(level: list[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    odd = level[-1:] if len(level) % 2 else []
    return [hashlib.sha256(_NODE + left + right).digest() for left, right in pairs] + odd


def proofs(tx: Tx, entries: list[Row]) -> dict[int, dict[str, object]]:
    """For each sealed entry its seal and the path from the entry to the seal's Merkle root.

    ``path`` is a list of ``[side, hash]``: hash the node with that sibling on that side, from the
    leaf up; the end is ``merkle_root`` of ``seal``. Entries that no seal covers yet are left out.
    """
    found: dict[int, dict[str, object]] = {}
    for stream in {entry["stream"] for entry in entries}:
        before = _START
        wanted = {entry["seq"] for entry in entries if entry["stream"] == stream}
        for one in audit_log.seals(tx, stream):
            inside = sorted(seq for seq in wanted if before < seq <= one["last_seq"])
            if inside:
                covered = audit_log.entries_between(
                    tx, stream, after_seq=before, up_to_seq=one["last_seq"]
                )
                numbers, hashes = covered["seq"].to_list(), covered["hash"].to_list()
                for seq in inside:
                    path = merkle_path(numbers, hashes, numbers.index(seq))
                    found[seq] = {"seal": one, "path": path}
            before = one["last_seq"]
    return found


def merkle_path(numbers: list[int], hashes: list[str], index: int) -> list[list[str]]:
    """Return what an entry is hashed with on the way to :func:`merkle_root`.

    Examples
    --------
    >>> [side for side, _ in merkle_path([1, 2, 3], ["a", "b", "c"], 1)]
    ['left', 'right']
    """
    level, path = _leaves(numbers, hashes), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(["right" if sibling > index else "left", level[sibling].hex()])
        level, index = _level_above(level), index // 2
    return path


def root_of(number: int, digest: str, path: list[list[str]]) -> str:
    """Return the root that a path leads to from an entry: equal to its seal's, or not its place."""
    (node,) = _leaves([number], [digest])
    for side, sibling in path:
        pair = bytes.fromhex(sibling) + node if side == "left" else node + bytes.fromhex(sibling)
        node = hashlib.sha256(_NODE + pair).digest()
    return node.hex()


def _entry_hash(*values: str) -> str:
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def _hashes(entries: pl.DataFrame) -> pl.Series:
    rows = entries.select(_HASHED).iter_rows()
    return pl.Series("hash", [_entry_hash(*row) for row in rows], dtype=pl.String)


# ── Verifying ────────────────────────────────────────────────────────────────────────────────


def _seal_findings(tx: Tx, one: Row, before: int) -> list[AuditFinding]:
    """Compare one seal with the entries it covers; ``before`` is the end of the seal before."""
    stream = one["stream"]
    # From the end of the seal before: an entry slipped between two seals shows too.
    entries = audit_log.entries_between(tx, stream, after_seq=before, up_to_seq=one["last_seq"])
    findings = _altered(entries, stream)
    if entries.height != one["entries"]:
        what = "deleted" if entries.height < one["entries"] else "inserted"
        number = abs(entries.height - one["entries"])
        text = f"seal {one['seal_id']} covers {one['entries']} entries: {number} {what}"
        findings.append(AuditFinding(f"entries_{what}", stream, text))
    elif merkle_root(entries["seq"].to_list(), entries["hash"].to_list()) != one["merkle_root"]:
        text = f"the entries under seal {one['seal_id']} are not those that were sealed"
        findings.append(AuditFinding("root_differs", stream, text))
    return findings


def _altered(entries: pl.DataFrame, stream: str) -> list[AuditFinding]:
    wrong = entries.filter(_hashes(entries) != entries["hash"])["seq"].to_list()
    return [
        AuditFinding("entry_altered", stream, f"entry {seq} is not what was written", seq)
        for seq in wrong
    ]


def _chain_findings(
    stream: str, seals: list[Row], exported: dict[tuple[str, int], str]
) -> list[AuditFinding]:
    """Check the chain of seals, and that each exported head still stands."""
    findings = []
    head, number = GENESIS, 0
    for one in seals:
        number += 1
        follows = one["seal_id"] == number and one["previous_head"] == head
        if not follows or _head(one) != one["head"]:
            text = f"seal {one['seal_id']} does not continue the chain"
            findings.append(AuditFinding("chain_broken", stream, text))
        head, number = one["head"], one["seal_id"]
    present = {one["seal_id"]: one["head"] for one in seals}
    for (name, seal_id), exported_head in exported.items():
        if name != stream or present.get(seal_id) == exported_head:
            continue
        gone = seal_id not in present
        text = f"seal {seal_id} was exported and is {'gone' if gone else 'another one'} now"
        findings.append(AuditFinding("truncated" if gone else "rewritten", stream, text))
    return findings


# ── Heads outside the database ───────────────────────────────────────────────────────────────


def _export_heads(store: Store, path: Path) -> None:
    """Append the heads that the file doesn't have yet: one line a seal."""
    known: dict[str, int] = {}
    for stream, seal_id in _read_heads(path, last_bytes=_TAIL_BYTES):
        known[stream] = max(seal_id, known.get(stream, 0))
    if not set(Stream) <= set(known):  # not at the end of the file: it may stand before
        known |= dict(sorted(_read_heads(path)))
    with store.read() as tx:
        lines = [
            f"{one['sealed_at']} {stream} {one['seal_id']} {one['head']}\n"
            for stream in Stream
            for one in audit_log.seals(tx, stream, after_id=known.get(stream, 0))
        ]
    if not lines:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            file.writelines(["\n", *lines] if _ends_inside_a_line(path) else lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        message = f"the audit heads can't be written to {path}: {error.strerror}"
        raise StorageError(message, path=str(path)) from error


def _ends_inside_a_line(path: Path) -> bool:
    return _end_of(path, 1) not in (b"", b"\n")


def _end_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()


def _read_heads(path: Path, last_bytes: int | None = None) -> dict[tuple[str, int], str]:
    """Read exported heads, all or those at the end; a line cut short by a crash is left out."""
    if not path.exists():
        return {}
    try:
        content = path.read_bytes() if last_bytes is None else _end_of(path, last_bytes)
    except OSError as error:
        message = f"the audit heads {path} can't be read: {error.strerror}"
        raise StorageError(message, path=str(path)) from error
    lines = [line.split() for line in content.decode(errors="replace").splitlines()]
    return {
        (stream, int(seal_id)): head
        for _, stream, seal_id, head in (line for line in lines if len(line) == 4)
        if len(head) == len(GENESIS)
    }
