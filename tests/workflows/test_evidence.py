"""An evidence pack is whole, and can be checked by hashing alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prebill import audit
from prebill.cli import app
from prebill.core.errors import NotFoundError
from prebill.store.engine import Store
from prebill.workflows.evidence import evidence_of
from tests.api.builders import add_people, add_waiting

DRAFT, CASE = "DE:2026-10:SUB-00001", "case:DE:2026-10:SUB-00001:v1"
#: What an entry's hash is made of, in this order, as JSON without blanks.
HASHED = ("stream", "entered_at", "actor", "action", "object_id", "detail")


@pytest.fixture
def sealed(store: Store, tmp_path: Path) -> Store:
    """Seven entries under two seals, three of them on one draft; one more is not sealed."""
    with store.transaction() as tx:
        add_waiting(tx, 1)
        add_waiting(tx, 2)
        for name in (DRAFT, "other", CASE, "other", DRAFT):
            audit.record(tx, "ann", "draft.stored", name, {"n": name})
    audit.seal(store, tmp_path / "heads.log")
    with store.transaction() as tx:
        for name in (CASE, "other"):
            audit.record(tx, "ben", "case.released", name)
    audit.seal(store, tmp_path / "heads.log")
    with store.transaction() as tx:
        audit.record(tx, "ben", "draft.issued", DRAFT)
    return store


def checked(entry: dict[str, Any]) -> bool:
    """Check one entry without this program: hashes of texts, concatenated as the pack says."""
    values = [entry[name] for name in HASHED]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    node = hashlib.sha256(b"\x00" + f"{entry['seq']}:{digest}".encode()).digest()
    for side, sibling in entry["proof"]["path"]:
        other = bytes.fromhex(sibling)
        node = hashlib.sha256(b"\x01" + (other + node if side == "left" else node + other)).digest()
    seal = entry["proof"]["seal"]
    unsigned = {name: value for name, value in seal.items() if name != "head"}
    said = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    head = hashlib.sha256(b"\x02" + said.encode()).hexdigest()
    return node.hex() == seal["merkle_root"] and head == seal["head"]


@pytest.mark.parametrize("name", [DRAFT, CASE])
def test_pack_is_whole_and_proves_itself(sealed: Store, tmp_path: Path, name: str) -> None:
    pack = json.loads(json.dumps(evidence_of(sealed, name)))
    assert DRAFT == pack["draft_id"]
    assert {DRAFT} == {row["draft_id"] for row in pack["kept"]["decisions"]}
    assert [DRAFT, CASE, DRAFT, CASE, DRAFT] == [one["object_id"] for one in pack["audit"]]
    *proved, last = pack["audit"]
    assert last["proof"] is None
    assert [True] * 4 == [checked(one) for one in proved]
    heads = (tmp_path / "heads.log").read_text()
    assert all(one["proof"]["seal"]["head"] in heads for one in proved)
    proved[1]["detail"] = '{"n":"another"}'
    assert not checked(proved[1])


def test_paths_lead_to_the_root_for_every_size() -> None:
    for size in (1, 2, 3, 7, 8, 13):
        numbers = list(range(10, 10 + size))
        hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
        root = audit.merkle_root(numbers, hashes)
        for index, (number, digest) in enumerate(zip(numbers, hashes, strict=True)):
            path = audit.merkle_path(numbers, hashes, index)
            assert root == audit.root_of(number, digest, path)
            assert root != audit.root_of(number + 1, digest, path)


def test_unknown_name_is_said(sealed: Store) -> None:
    with pytest.raises(NotFoundError, match="nothing is kept under nobody"):
        evidence_of(sealed, "nobody")


def test_pack_is_written_from_the_terminal(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREBILL_HOME", str(settings.home))
    store = Store(settings.database_url)
    store.create_all()
    add_people(store)
    with store.transaction() as tx:
        add_waiting(tx, 1)
    store.close()
    out = tmp_path / "pack.json"
    done = CliRunner().invoke(app, ["audit", "evidence", CASE, "--out", str(out)])
    assert 0 == done.exit_code, done.output
    assert DRAFT == json.loads(out.read_text())["draft_id"]
