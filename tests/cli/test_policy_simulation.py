"""`prebill policy simulate`, `diff`, `shadow`, `optimise` over a run that was stored."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner, Result

from prebill.bootstrap import policy_text
from prebill.cli import app
from prebill.core.errors import InputError, UnauthenticatedError
from prebill.core.policy.model import Policy
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.builders import add_people
from tests.workflows import world


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def token(home: Path) -> Iterator[str]:
    """Of a viewer of an installation with one run, in which a draft is held."""
    settings = Settings.load(home)
    store = Store(settings.database_url)
    store.create_all()
    store.close()
    opened = world.install(settings.database_url, home)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    people = add_people(opened.store)
    yield people[Role.VIEWER].token
    opened.close()


@pytest.fixture
def candidate(home: Path) -> Path:
    """The policy of the run without its one rule; a score asks for reviews."""
    document = yaml.safe_load((home / "lenient.yaml").read_text())
    score = {"kind": "score_at_least", "score": "anomaly_score", "at_least": 0.9999}
    document["rules"] = [{"id": "score", **score, "action": "review"}]
    path = home / "candidate.yaml"
    path.write_text("# mine\n" + yaml.safe_dump(document))
    return path


@pytest.fixture
def blind(candidate: Path) -> Path:
    """A policy whose one rule hits nothing."""
    path = candidate.with_name("blind.yaml")
    text = candidate.read_text().replace("anomaly_score", "p_late").replace("0.9999", "1.0")
    path.write_text(text)
    return path


def run(home: Path, token: str, *arguments: str) -> Result:
    variables = {
        "PREBILL_TOKEN": token,
        "PREBILL_HOME": str(home),
        "PREBILL_POLICY_PATH": str(home / "lenient.yaml"),
    }
    return CliRunner().invoke(app, ["policy", *arguments], env=variables)


def test_candidate_is_shown_with_what_moves(home: Path, token: str, blind: Path) -> None:
    result = run(home, token, "simulate", str(blind))
    assert 1 == result.exit_code, result.output
    assert "12, 1 would be another one" in result.output
    assert "hold->release rule=exact-hold" in result.output
    assert "no label is mature" in result.output
    same = run(home, token, "simulate", str(home / "lenient.yaml"))
    assert 0 == same.exit_code, same.output


def test_list_behind_a_figure_goes_to_a_file(
    home: Path, token: str, blind: Path, tmp_path: Path
) -> None:
    for name, read in (("found.csv", pl.read_csv), ("found.parquet", pl.read_parquet)):
        listing = ("--list", "hold->release rule=exact-hold", "--out", str(tmp_path / name))
        result = run(home, token, "simulate", str(blind), *listing)
        assert "1 drafts in" in result.output
        assert ["hold"] == read(tmp_path / name)["action_before"].to_list()
    refused = run(home, token, "simulate", str(blind), "--list", "hold->release", "--out", "x")
    assert isinstance(refused.exception, InputError)


def test_everything_comes_as_json(home: Path, token: str, candidate: Path) -> None:
    result = run(home, token, "simulate", str(candidate), "--json", "--since", "2026-11-01")
    summary = json.loads(result.output)
    assert (12, 1) == (summary["decisions"], summary["moved"])


def test_diff_shows_both_texts_and_the_effect(home: Path, token: str, candidate: Path) -> None:
    result = run(home, token, "diff", "live", str(candidate))
    assert "+- action: review" in result.output
    assert "1 would be another one" in result.output
    same = run(home, token, "diff", str(candidate), str(candidate))
    assert "the texts are the same" in same.output


def test_shadow_needs_an_instant_with_its_zone(home: Path, token: str, candidate: Path) -> None:
    early = run(home, token, "shadow", str(candidate), "--since", "2026-01-01T00:00Z")
    assert "12, 1 would be another one" in early.output
    late = run(home, token, "shadow", str(candidate), "--since", "2100-01-01T00:00Z")
    assert "no decision since" in str(late.exception)
    for wrong in ("2026-01-01T00:00", "yesterday"):
        refused = run(home, token, "shadow", str(candidate), "--since", wrong)
        assert "instant with its zone" in str(refused.exception)


def test_proposal_is_a_policy_with_the_same_comments(
    home: Path, token: str, candidate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "proposed.yaml"
    asked = ("optimise", str(candidate), "--hours", "0.5", "--out", str(out))
    result = run(home, token, *asked)
    assert 0 == result.exit_code, result.output
    assert "score: 0.9999 -> " in result.output
    assert out.read_text().startswith("# mine\n")
    assert 0 == run(home, token, "lint", str(out)).exit_code
    assert "optimised for 0.5 hours" == Policy.parse(policy_text(out)).name


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "x"),
        ("diff", "x", "live"),
        ("shadow", "x", "--since", "2026-01-01T00:00Z"),
        ("optimise", "--hours", "1"),
    ],
    ids=" ".join,
)
def test_a_stranger_sees_nothing(home: Path, token: str, arguments: tuple[str, ...]) -> None:
    assert token
    refused = run(home, "", *arguments)
    assert isinstance(refused.exception, UnauthenticatedError)
