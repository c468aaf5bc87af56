"""Isolation forest: fitted by scikit-learn, served from plain arrays without pickle.

Liu, Ting, Zhou: Isolation Forest (ICDM 2008). The served score is the paper's s(x) in (0, 1],
high = unusual; scikit-learn's sign is flipped here and nowhere else.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.errors import ModelError

TREES: Final = 200
#: Rows below which a forest isn't fitted; the level detector then uses robust z.
LEAST_ROWS: Final = 200
SAMPLE: Final = 512
#: Up to so many rows it is faster to walk all trees at once.
FEW_ROWS: Final = 200
#: Rows walked at once where there are many: their values fit the cache.
_PART_ROWS: Final = 10_000
_ARRAYS: Final = ("left", "right", "feature", "threshold", "length")


@dataclass(frozen=True, slots=True)
class _Paths:
    """Shape (trees, nodes): thresholds; (trees, 2 · nodes): left and right child of each node."""

    threshold: npt.NDArray[np.float32]
    child: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forest:
    """Arrays of shape (trees, nodes): children, feature, threshold and path length of each node."""

    columns: tuple[str, ...]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]
    normal_length: float

    def score(self, rows: pl.DataFrame) -> pl.Series:
        """Score rows in (0, 1], high = unusual.

        Parameters
        ----------
        rows : pl.DataFrame
            Has ``columns``; null counts as 0, the ordinary value of every variance feature.

        Raises
        ------
        ModelError
            A column of the model is absent.
        """
        values = matrix_of(rows, self.columns)
        depth = self._depth_of_few(values) if len(values) <= FEW_ROWS else self._depth(values)
        score = np.power(2.0, -depth / (len(self.left) * self.normal_length))
        return pl.Series("score", score)

    def _depth_of_few(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Path lengths, all trees at once: as many rounds as a tree is deep."""
        row, tree = np.arange(len(values))[:, None], np.arange(len(self.left))[None, :]
        node = np.zeros((len(values), len(self.left)), dtype=np.int32)
        while (is_inner := (left := self.left[tree, node]) >= 0).any():
            is_left = values[row, self.feature[tree, node]] <= self.threshold[tree, node]
            below = np.where(is_left, left, self.right[tree, node])
            node = np.where(is_inner, below, node)
        # Added tree by tree, as for many rows: the same bytes.
        return np.asarray(np.add.accumulate(self.length[tree, node], axis=1)[:, -1])

    def _depth(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Path lengths, part by part and tree by tree: what is looked up stays in the cache."""
        paths = self._paths()
        parts = [
            self._depth_of_part(values[first : first + _PART_ROWS], paths)
            for first in range(0, len(values), _PART_ROWS)
        ]
        return np.concatenate(parts)

    def _depth_of_part(
        self, values: npt.NDArray[np.float32], paths: "_Paths"
    ) -> npt.NDArray[np.float64]:
        count = len(values)
        cells, row = values.ravel(order="F"), np.arange(count)
        depth = np.zeros(count)
        for tree in range(len(self.left)):  # 200 rounds, whole columns each
            threshold, child = paths.threshold[tree], paths.child[tree]
            start = self.feature[tree].astype(np.int64) * count
            node, below = np.full(count, -1), np.zeros(count, dtype=np.int64)
            while (node != below).any():
                node = below
                is_right = cells.take(start.take(node) + row) > threshold.take(node)
                below = child.take(2 * node + is_right)
            depth += self.length[tree].take(node)
        return depth

    def _paths(self) -> "_Paths":
        """The trees as whole columns walk them: a leaf leads to itself."""
        own = np.arange(self.left.shape[1], dtype=np.int64)[None, :]
        is_leaf = self.left < 0
        child = np.stack([np.where(is_leaf, own, side) for side in (self.left, self.right)], axis=2)
        # The largest float32 up to the threshold divides the same float32 values.
        rounded = self.threshold.astype(np.float32)
        lower = np.nextafter(rounded, np.float32(-np.inf))
        threshold = np.where(rounded > self.threshold, lower, rounded)
        return _Paths(threshold, child.reshape(len(self.left), -1))

    def to_npz(self) -> bytes:
        """Write the arrays as an ``.npz`` file's bytes."""
        buffer = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(
            buffer,
            columns=np.array(self.columns, dtype=np.str_),
            normal_length=np.array(self.normal_length),
            **arrays,
        )
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes, *, sha256: str) -> "Forest":
        """Read what :meth:`to_npz` wrote, after checking its digest.

        Raises
        ------
        ModelError
            The bytes are not the ones that were registered, or no such arrays.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            message = "forest file does not match its SHA-256: fetch the model again or retrain"
            raise ModelError(message, sha256=sha256)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return cls(
                    columns=tuple(str(name) for name in arrays["columns"]),
                    normal_length=float(arrays["normal_length"]),
                    **{name: arrays[name] for name in _ARRAYS},
                )
        except (KeyError, ValueError, OSError) as error:
            message = "forest file can't be read: retrain the model"
            raise ModelError(message, reason=str(error)) from error


def matrix_of(rows: pl.DataFrame, columns: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """The columns as float32, null and NaN as 0, infinities clipped, as scikit-learn reads them."""
    absent = [name for name in columns if name not in rows.columns]
    if absent:
        message = f"features {', '.join(absent)} are absent: the model fits another version"
        raise ModelError(message, columns=absent)
    values = rows.select(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in columns)
    clipped = np.clip(np.nan_to_num(values.to_numpy()), -1e6, 1e6)
    return np.asarray(clipped, dtype=np.float32)


def fit_forest(
    rows: pl.DataFrame,
    columns: tuple[str, ...],
    seed: int,
    *,
    trees: int = TREES,
    sample: int = SAMPLE,
) -> Forest | None:
    """Fit a forest on past rows.

    Parameters
    ----------
    rows : pl.DataFrame
        Settled past invoices with ``columns``.
    columns : tuple of str
        Features.
    seed : int
        Same rows, columns and seed: same arrays.
    trees, sample : int
        Number of trees, and rows that each of them sees.

    Returns
    -------
    Forest or None
        None below ``LEAST_ROWS`` rows.
    """
    if rows.height < LEAST_ROWS:
        return None
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(
        n_estimators=trees, max_samples=min(sample, rows.height), random_state=seed, n_jobs=1
    )
    model.fit(matrix_of(rows, columns))
    return forest_of(model, columns)


def forest_of(model: object, columns: tuple[str, ...]) -> Forest:
    """Take the arrays out of a fitted scikit-learn ``IsolationForest``."""
    trees = [estimator.tree_ for estimator in model.estimators_]  # type: ignore[attr-defined]
    nodes = max(tree.node_count for tree in trees)
    used = [np.asarray(found) for found in model.estimators_features_]  # type: ignore[attr-defined]
    left = np.full((len(trees), nodes), -1, dtype=np.int32)
    right, feature = left.copy(), np.zeros_like(left)
    threshold, length = np.zeros(left.shape), np.zeros(left.shape)
    for index, tree in enumerate(trees):
        count = tree.node_count
        left[index, :count] = tree.children_left
        right[index, :count] = tree.children_right
        feature[index, :count] = used[index][np.maximum(tree.feature, 0)]
        threshold[index, :count] = tree.threshold
        depth = tree.compute_node_depths() - 1.0
        length[index, :count] = depth + _average_path_length(tree.n_node_samples)
    sample = int(model.max_samples_)  # type: ignore[attr-defined]
    normal = float(_average_path_length(np.array([sample]))[0])
    return Forest(columns, left, right, feature, threshold, length, normal)


def _average_path_length(samples: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """c(n) of the paper: mean path of an unsuccessful search in a tree of n rows."""
    count = samples.astype(np.float64)
    many = 2.0 * (np.log(np.maximum(count - 1.0, 1.0)) + np.euler_gamma)
    many -= 2.0 * (count - 1.0) / np.maximum(count, 1.0)
    return np.where(count <= 1, 0.0, np.where(count == 2, 1.0, many))
