"""What a feature declares: complete, dated, and nothing that is known only after the outcome."""

from pathlib import Path

import pytest

from prebill.contracts.catalog import load_catalog
from prebill.core.errors import ModelError
from prebill.core.scoring.declared import READ_BY
from prebill.core.scoring.detectors import Detector, Judged
from prebill.core.scoring.features.declaration import AllowedUse, Feature, alike, allowed, declared
from prebill.core.scoring.features.payment import DECLARED
from prebill.core.scoring.models import fit_level
from prebill.core.scoring.models.error_risk import SCORE
from prebill.core.scoring.scene import FEATURE_ROW, scene_of
from tests.core.scoring.company import company

CONTRACTS = Path(__file__).parents[4] / "data_contracts"


def feature(*sources: str, name: str = "amount", meaning: str = "what it says") -> Feature:
    return Feature(name, meaning, "finance", sources, "before the draft", "never", AllowedUse.ANY)


def test_dated_sources_are_accepted() -> None:
    assert feature("invoices.issued_on", "invoices.total_minor").name == "amount"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("invoices.payment_status", "only after the outcome"),
        ("invoices.cleared_on", "only after the outcome"),
        ("invoices.ageing_bucket", "only after the outcome"),
        ("disputes.is_open", "only after the outcome"),
        ("invoices.colour", "no data contract declares"),
        ("weather.issued_on", "no data contract declares"),
    ],
)
def test_what_a_draft_could_not_know_is_refused(source: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        feature("invoices.issued_on", source)


@pytest.mark.parametrize("source", ["invoices.total_minor", "disputes.closed_on"])
def test_source_without_its_date_is_refused(source: str) -> None:
    with pytest.raises(ModelError, match="undated"):
        feature(source)


def test_incomplete_and_doubled_declarations_are_refused() -> None:
    with pytest.raises(ModelError, match="must declare"):
        feature("invoices.issued_on", meaning="")
    with pytest.raises(ModelError, match="must declare"):
        feature()
    one = feature("invoices.issued_on")
    with pytest.raises(ModelError, match="declared twice"):
        declared([one, one])


def test_every_payment_feature_says_where_it_comes_from() -> None:
    assert len(DECLARED) > 40
    for name, one in DECLARED.items():
        assert name == one.name
        assert one.use in (AllowedUse.PAYMENT, AllowedUse.ANY)


def test_a_family_that_names_an_outcome_is_refused() -> None:
    sources = ("invoices.issued_on", "invoices.cleared_on")
    with pytest.raises(ModelError, match=r"'paid_soon' reads invoices.cleared_on, which is known"):
        alike({"paid_soon": "1 when it was"}, *sources, null="never null")


def test_a_line_without_its_invoices_day_is_refused() -> None:
    with pytest.raises(ModelError, match=r"without invoices.issued_on: undated"):
        feature("invoice_lines.amount_minor")


def test_a_judge_whose_tail_has_no_sources_is_refused() -> None:
    with pytest.raises(ModelError, match="'tail_guess' must declare"):
        assert Detector("guess", "nothing", lambda _: Judged()).tail


def test_a_feature_for_another_use_is_refused() -> None:
    late = DECLARED["late_rate"]
    with pytest.raises(ModelError, match="'late_rate' is for payment and not for variance"):
        allowed([late], AllowedUse.VARIANCE)
    assert {"late_rate": late} == allowed([late], AllowedUse.PAYMENT)


def test_every_column_that_a_model_reads_is_declared() -> None:
    stored = {*load_catalog(CONTRACTS)["feature_row"].columns} - {"invoice_id"}
    forest = fit_level(scene_of(company()).rows, seed=1)
    assert forest is not None
    assert {*FEATURE_ROW} == stored
    assert {*forest.columns} == {*READ_BY["forest"]} <= stored
    assert {*READ_BY["error_risk"]} == stored | {SCORE}
    assert {*READ_BY["payment_risk"]} == {*DECLARED}
