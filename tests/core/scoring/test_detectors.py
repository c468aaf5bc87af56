"""Checks that every registered detector passes before it has a test of its own."""

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.schemas.internal import FINDINGS, GAPS
from prebill.core.scoring.detectors import DETECTORS, Detector, Scene, registered
from prebill.core.scoring.detectors.base import TAILS
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.scene import scene_of
from tests.core.scoring.company import company, with_calls

BIG = "C003-202512"


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    return with_calls(company(), BIG, 30)


@pytest.fixture(scope="module")
def scene(inputs: ScoringInputs) -> Scene:
    return scene_of(inputs)


each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)


def frames_of(scene: Scene) -> list[pl.DataFrame]:
    return [scene.rows, scene.lines, scene.usage, scene.books.invoices, scene.books.lines]


@each
def test_input_is_not_changed(detector: Detector, scene: Scene) -> None:
    before = [frame.clone() for frame in frames_of(scene)]
    detector.judge(scene)
    for expected, actual in zip(before, frames_of(scene), strict=True):
        assert_frame_equal(expected, actual)


@each
def test_answers_have_the_declared_shape(detector: Detector, scene: Scene) -> None:
    judged = detector.judge(scene)
    assert judged.tails.schema == TAILS
    assert FINDINGS.schema == judged.findings.schema
    assert GAPS.schema == judged.gaps.schema
    assert judged.tails["invoice_id"].is_unique().all()
    known = judged.tails["tail"].drop_nulls()
    assert known.is_between(0, 1).all()
    assert not known.is_nan().any()
    for column in FINDINGS.columns:
        if column.required:
            assert judged.findings[column.name].null_count() == 0, column.name
    drafts = scene.drafts["invoice_id"].to_list()
    assert set(judged.findings["invoice_id"]) <= set(drafts)
    assert not judged.findings.select(FINDINGS.key).is_duplicated().any()


@each
def test_row_order_is_irrelevant(detector: Detector, inputs: ScoringInputs, scene: Scene) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sample(fraction=1.0, shuffle=True, seed=7)

    mixed = scene_of(
        ScoringInputs(
            history=Books(shuffled(inputs.history.invoices), shuffled(inputs.history.lines)),
            drafts=Books(shuffled(inputs.drafts.invoices), shuffled(inputs.drafts.lines)),
            customers=shuffled(inputs.customers),
            payments=shuffled(inputs.payments),
            usage_days=shuffled(inputs.usage_days),
        )
    )
    expected, actual = detector.judge(scene), detector.judge(mixed)
    assert_frame_equal(
        expected.tails.sort("invoice_id"), actual.tails.sort("invoice_id"), abs_tol=1e-9
    )
    key = ["invoice_id", "code"]
    assert_frame_equal(
        expected.findings.sort(key).select(key), actual.findings.sort(key).select(key)
    )


@each
def test_empty_input(detector: Detector) -> None:
    judged = detector.judge(scene_of(ScoringInputs(Books(), Books())))
    assert judged.findings.is_empty()
    assert judged.tails.is_empty()


@each
@pytest.mark.parametrize("missing", ["lines", "usage", "customers", "history", "optional"])
def test_missing_frames_never_fail(detector: Detector, inputs: ScoringInputs, missing: str) -> None:
    bare = ("due_on", "invoice_id", "customer_id", "currency", "issued_on", "total_minor")
    less = {
        "lines": replace(
            inputs,
            history=Books(inputs.history.invoices),
            drafts=Books(inputs.drafts.invoices),
        ),
        "usage": replace(inputs, usage_days=inputs.usage_days.clear()),
        "customers": replace(inputs, customers=inputs.customers.clear()),
        "history": ScoringInputs(Books(), inputs.drafts),
        "optional": ScoringInputs(
            Books(inputs.history.invoices.select(bare)), Books(inputs.drafts.invoices.select(bare))
        ),
    }
    judged = detector.judge(scene_of(less[missing]))
    assert FINDINGS.schema == judged.findings.schema


@each
def test_high_means_unusual(detector: Detector, scene: Scene) -> None:
    """No draft that a detector says something about has a lower tail than all silent ones."""
    judged = detector.judge(scene)
    tails = judged.tails.filter(pl.col("invoice_id").is_in(scene.drafts["invoice_id"].implode()))
    said = tails.join(judged.findings.select("invoice_id").unique(), on="invoice_id", how="semi")
    silent = tails.join(said, on="invoice_id", how="anti")["tail"].drop_nulls()
    if said.is_empty() or silent.is_empty():
        return
    assert said["tail"].min() >= silent.median()


def test_registry_refuses_a_name_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        registered(DETECTORS[0], DETECTORS[0])
