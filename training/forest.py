"""The level forest: fitted on settled past invoices, measured on later ones made wrong."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from prebill.bundles import Bundle
from prebill.core.errors import InputError
from prebill.core.scoring.comparison import interval
from prebill.core.scoring.declared import READ_BY
from prebill.core.scoring.models import FOREST_COLUMNS, level_rows
from prebill.core.scoring.models.forest import LEAST_ROWS, Forest, fit_forest
from prebill.core.scoring.scene import scene_of
from training.dataset import Dataset
from training.money import Floats, curve, weights_of, within_budget
from training.plant import plant
from training.slices import slices_of
from training.specification import Specification
from training.split import TimeSplit
from training.trained import CALIBRATION, FAULTS, Fitted, Prepared, Recipe, Tested

#: Shares of ordinary invoices that an alarm is set for: is that what it raises later?
ALARM_SHARES: Final = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
_KEPT: Final = ("invoice_id", "customer_id", "issued_on", *FOREST_COLUMNS)
#: Own earlier invoices that the comparison rests on.
_HISTORY: Final = ("1 or 2", "3 to 5", "6 to 8")


@dataclass(frozen=True, slots=True)
class ForestLater:
    """Later invoices of which a known few were made wrong.

    ``rows``: features, ``known``, ``currency``, the planted ``kind`` (null: ordinary) and its
    ``amount_minor``; ``past``: what the forest learnt from, the yardstick of its alarms.
    """

    rows: pl.DataFrame
    past: pl.DataFrame
    sliced: pl.DataFrame
    review_share: float
    seed: int

    @property
    def height(self) -> int:
        """Tested rows."""
        return self.rows.height

    @property
    def slices(self) -> pl.DataFrame:
        """``invoice_id, currency, entity, size, tenure, history``."""
        place = pl.sum_horizontal(pl.col("known") > edge for edge in (2.5, 5.5)).cast(pl.Int64)
        named = place.replace_strict(dict(enumerate(_HISTORY)), return_dtype=pl.String())
        own = self.rows.select("invoice_id", history=named)
        return self.sliced.join(own, on="invoice_id", maintain_order="left")

    def measure(self, bundle: Bundle) -> Tested:
        """Measure a registered forest."""
        content = bundle.files["forest.npz"]
        forest = Forest.from_npz(content, sha256=hashlib.sha256(content).hexdigest())
        return self._measured(forest.score(self.rows), forest.score(self.past))

    def measure_simple(self) -> Tested:
        """Without a forest the level is judged by the robust deviation alone."""
        return self._measured(_deviation(self.rows), _deviation(self.past))

    def after(self, day: date) -> "ForestLater":
        """Only rows issued on that day or later."""
        rows = self.rows.filter(pl.col("issued_on") >= day)
        return replace(self, rows=rows, sliced=self.sliced.join(rows, on="invoice_id", how="semi"))

    def _measured(self, said: pl.Series, past: pl.Series) -> Tested:
        from sklearn.metrics import average_precision_score, roc_auc_score

        scores = said.to_numpy()
        planted = self.rows["kind"].is_not_null().to_numpy()
        found = {"rows": float(self.height), "planted": float(planted.sum())}
        weights = weights_of(self.rows.select("currency", pl.col("amount_minor").fill_null(0)))
        looked_at = within_budget(scores, self.review_share)
        if 0 < planted.sum() < planted.size:
            found["average_precision"] = float(average_precision_score(planted, scores))
            found["auroc"] = float(roc_auc_score(planted, scores))
            found["money_caught"] = float(weights[looked_at].sum())
            found["precision_at_budget"] = float(planted[looked_at].mean())
        loss = _rank_loss(scores, planted)
        own = self.rows.select("invoice_id", "customer_id")
        return Tested(
            figures=found,
            losses=own.with_columns(loss=pl.Series(loss)),
            calibration=self._alarms(scores[~planted], past.to_numpy()),
            money=curve(scores, weights),
            faults=self._faults(looked_at, weights),
        )

    def _alarms(self, ordinary: Floats, past: Floats) -> pl.DataFrame:
        """Share of ordinary later rows above the past's quantile, for each nominal share."""
        customers = self.rows.filter(pl.col("kind").is_null())["customer_id"]
        return pl.DataFrame(
            [
                _share(ordinary > np.quantile(past, 1.0 - nominal), customers, nominal, self.seed)
                for nominal in ALARM_SHARES
                if len(past)
            ],
            schema=CALIBRATION,
        )

    def _faults(
        self, looked_at: np.ndarray[tuple[int], np.dtype[np.bool_]], weights: Floats
    ) -> pl.DataFrame:
        """By kind of fault: found within the review budget, as a share of faults and of money."""
        rows = self.rows.select(
            "kind", "customer_id", looked_at=pl.Series(looked_at), weight=pl.Series(weights)
        ).filter(pl.col("kind").is_not_null())
        found = []
        for (kind,), part in sorted(rows.partition_by("kind", as_dict=True).items()):
            hits = part["looked_at"].to_numpy()
            low, high = likely_share(int(hits.sum()), part.height)
            weight = part["weight"].to_numpy()
            money = weight[hits].sum() / max(weight.sum(), 1e-12)
            found.append(
                {
                    "kind": kind,
                    "faults": part.height,
                    "found": float(hits.mean()),
                    "low": low,
                    "high": high,
                    "money": money,
                }
            )
        return pl.DataFrame(found, schema=FAULTS)


def rows(dataset: Dataset, cut_off: date) -> pl.DataFrame:
    """Settled past invoices with history of their own, as of a day: what the forest learns from."""
    scene = scene_of(dataset.before(cut_off).judged(cut_off, cut_off))
    return level_rows(scene.rows).select(_KEPT)


def prepare(dataset: Dataset, spec: Specification, split: TimeSplit) -> Prepared:
    """Training rows, and later invoices of which some are made wrong."""
    inputs = dataset.judged(split.train_before, split.test_end_on)
    planted = plant(
        inputs.drafts,
        share=spec.evaluate["planted_share"],
        usage_up=spec.evaluate["planted_factor"],
        seed=spec.seed,
    )
    scene = scene_of(replace(inputs, drafts=planted.books))
    past = level_rows(scene.rows).filter(pl.col("issued_on") < split.train_before).select(_KEPT)
    in_test = pl.col("issued_on") >= split.test_start_on
    later = scene.rows.filter("is_draft", pl.col("known") > 0, in_test).select(
        *_KEPT, "known", "currency"
    )
    later = later.join(planted.faults, on="invoice_id", how="left", maintain_order="left")
    tested = ForestLater(
        rows=later,
        past=past,
        sliced=slices_of(dataset, later),
        review_share=spec.evaluate["review_share"],
        seed=spec.seed,
    )
    return Prepared(split, past, tested)


def fit(rows: pl.DataFrame, spec: Specification) -> Fitted:
    """Fit the forest.

    Raises
    ------
    InputError
        Too few invoices have history of their own.
    """
    forest = fit_forest(
        rows, FOREST_COLUMNS, spec.seed, trees=spec.fit["trees"], sample=spec.fit["sample"]
    )
    if forest is None:
        message = (
            f"fewer than {LEAST_ROWS} invoices have earlier ones to compare with: the forest "
            "needs more history; robust deviations judge meanwhile"
        )
        raise InputError(message, rows=rows.height)
    return Fitted({"forest.npz": forest.to_npz()})


def _rank_loss(scores: Floats, planted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    """Loss of each row: for a planted one the share of ordinary ones above it, and the reverse.

    The mean is 1 - AUROC; both kinds weigh the same in it.
    """
    loss = np.zeros(len(scores))
    for own in (planted, ~planted):
        others = np.sort(scores[~own])
        if not own.any() or not len(others):
            continue
        below = np.searchsorted(others, scores[own], side="left")
        ties = np.searchsorted(others, scores[own], side="right") - below
        under = (below + ties / 2) / len(others)
        wrong = 1.0 - under if own is planted else under
        loss[own] = wrong * len(scores) / (2 * own.sum())
    return loss


def _deviation(rows: pl.DataFrame) -> pl.Series:
    return rows.select(pl.max_horizontal(pl.col(FOREST_COLUMNS).abs()).fill_null(0.0)).to_series()


def likely_share(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of few (Wilson 1927); a customer hardly has two planted faults."""
    z2, share = 1.96**2, hits / count
    middle = share + z2 / (2 * count)
    spread = (z2 * (share * (1 - share) + z2 / (4 * count)) / count) ** 0.5
    return (middle - spread) / (1 + z2 / count), (middle + spread) / (1 + z2 / count)


def _share(
    hits: np.ndarray[tuple[int], np.dtype[np.bool_]], customers: pl.Series, said: float, seed: int
) -> Mapping[str, float]:
    """A share with its interval by customer, as a row of ``CALIBRATION``."""
    by_customer = (
        pl.DataFrame({"customer": customers, "hit": pl.Series(hits).cast(pl.Float64)})
        .group_by("customer", maintain_order=True)
        .agg(pl.col("hit").sum(), rows=pl.len())
    )
    low, high = interval(
        by_customer["hit"].to_numpy(), by_customer["rows"].cast(pl.Float64).to_numpy(), seed=seed
    )
    observed = float(hits.mean())
    return {"said": said, "observed": observed, "low": low, "high": high, "rows": len(hits)}


FOREST: Final = Recipe("forest", READ_BY["forest"], rows, prepare, fit)
