"""The forest's arrays answer as scikit-learn does, and altered files are refused."""

import hashlib

import numpy as np
import polars as pl
import pytest

from prebill.core.errors import ModelError
from prebill.core.scoring.models.forest import FEW_ROWS, Forest, fit_forest, forest_of, matrix_of

COLUMNS = ("a", "b", "c")


def rows(count: int, seed: int = 1) -> pl.DataFrame:
    values = np.random.default_rng(seed).standard_t(3, size=(count, 3))
    return pl.DataFrame(values, schema=list(COLUMNS))


def test_equal_to_scikit_learn() -> None:
    from sklearn.ensemble import IsolationForest

    known = rows(1000)
    model = IsolationForest(n_estimators=50, max_samples=256, random_state=3)
    model.fit(matrix_of(known, COLUMNS))
    fresh = rows(500, seed=2)
    expected = -model.score_samples(matrix_of(fresh, COLUMNS))
    actual = forest_of(model, COLUMNS).score(fresh).to_numpy()
    assert np.abs(expected - actual).max() < 1e-12


def test_high_means_unusual_and_null_is_ordinary() -> None:
    forest = fit_forest(rows(1000), COLUMNS, seed=1)
    assert forest is not None
    frame = pl.DataFrame({"a": [0.0, 50.0, None], "b": [0.0, 50.0, 0.0], "c": [0.0, 50.0, 0.0]})
    plain, far, absent = forest.score(frame)
    assert far > plain
    assert plain == absent


def test_round_trip_keeps_every_score_and_the_bytes_are_equal() -> None:
    forest = fit_forest(rows(400), COLUMNS, seed=1)
    again = fit_forest(rows(400), COLUMNS, seed=1)
    assert forest is not None
    assert again is not None
    content = forest.to_npz()
    assert content == again.to_npz()
    loaded = Forest.from_npz(content, sha256=hashlib.sha256(content).hexdigest())
    assert forest.score(rows(50)).to_list() == loaded.score(rows(50)).to_list()


def test_altered_file_is_refused() -> None:
    forest = fit_forest(rows(400), COLUMNS, seed=1)
    assert forest is not None
    content = forest.to_npz()
    digest = hashlib.sha256(content).hexdigest()
    flipped = bytes([*content[:-1], content[-1] ^ 1])
    with pytest.raises(ModelError, match="SHA-256"):
        Forest.from_npz(flipped, sha256=digest)
    with pytest.raises(ModelError, match="can't be read"):
        Forest.from_npz(b"no model", sha256=hashlib.sha256(b"no model").hexdigest())


def test_other_features_are_refused_and_few_rows_give_no_forest() -> None:
    forest = fit_forest(rows(400), COLUMNS, seed=1)
    assert forest is not None
    with pytest.raises(ModelError, match="absent"):
        forest.score(rows(3).drop("b"))
    assert fit_forest(rows(199), COLUMNS, seed=1) is None


def test_few_rows_are_scored_to_the_bit_as_many() -> None:
    forest = fit_forest(rows(1000), COLUMNS, seed=1)
    assert forest is not None
    many = forest.score(rows(FEW_ROWS + 1)).to_list()
    assert many[:FEW_ROWS] == forest.score(rows(FEW_ROWS + 1).head(FEW_ROWS)).to_list()
    assert many[:1] == forest.score(rows(FEW_ROWS + 1).head(1)).to_list()
