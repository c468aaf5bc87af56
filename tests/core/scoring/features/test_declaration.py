"""What a feature declares: complete, dated, and nothing that is known only after the outcome."""

import pytest

from prebill.core.errors import ModelError
from prebill.core.scoring.features.declaration import AllowedUse, Feature, declared
from prebill.core.scoring.features.payment import DECLARED


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
