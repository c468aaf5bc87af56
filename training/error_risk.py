"""P(error) from labels: learnt on drafts judged before the cut-off, measured on later ones."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.bundles import Bundle
from prebill.core.errors import InputError
from prebill.core.scoring.models.error_risk import ErrorRisk, ErrorSpec, fit_error_risk
from training.calibrate import calibration_error, error_if_perfect
from training.dataset import Dataset
from training.forest import likely_share
from training.labelled import COLUMNS
from training.money import Floats, curve, weights_of, within_budget
from training.payment import reliability_by_customer
from training.specification import Specification
from training.split import TimeSplit
from training.trained import FAULTS, Fitted, Prepared, Recipe, Tested

#: No sampled draft stands for more than this many others.
LEAST_PROPENSITY: Final = 0.005
#: Sources that say "right" of drafts that nobody looked at; a random sample stands for these.
_UNSEEN: Final = ("payment",)


class TooFewLabelsError(InputError):
    """Labels are too few to learn from; the stated prior answers meanwhile."""

    code = "too_few_labels"


@dataclass(frozen=True, slots=True)
class ErrorLater:
    """Later drafts whose labels are mature."""

    rows: pl.DataFrame
    review_share: float
    seed: int

    @property
    def height(self) -> int:
        """Tested rows."""
        return self.rows.height

    @property
    def slices(self) -> pl.DataFrame:
        """``invoice_id, currency, entity, size``: thirds of the amounts in the same currency."""
        rank = pl.col("total_minor").abs().rank("ordinal").over("currency")
        third = ((rank - 1) * 3 // pl.len().over("currency")).cast(pl.Int64)
        sizes = {0: "small", 1: "medium", 2: "large"}
        return self.rows.select(
            "invoice_id",
            "currency",
            entity="entity_id",
            size=third.replace_strict(sizes, return_dtype=pl.String()),
        )

    def measure(self, bundle: Bundle) -> Tested:
        """Measure a registered model."""
        return self._measured(ErrorRisk.from_bytes(dict(bundle.files)).predict(self.rows))

    def measure_simple(self) -> Tested:
        """Without a model the stated prior answers."""
        return self._measured(self.rows["p_prior"])

    def after(self, day: date) -> "ErrorLater":
        """Only drafts of that day or later."""
        return replace(self, rows=self.rows.filter(pl.col("day_on") >= day))

    def _measured(self, said: pl.Series) -> Tested:
        from sklearn.metrics import average_precision_score, roc_auc_score

        chance = said.to_numpy()
        wrong = self.rows["is_error"].cast(pl.Float64).to_numpy()
        weight = self.rows["weight"].to_numpy()
        loss = (chance - wrong) ** 2
        own = self.rows.select("invoice_id", "customer_id", "weight", loss=pl.Series(loss))
        found = {
            "brier": float((loss * weight).sum() / weight.sum()),
            "ece": calibration_error(chance, wrong),
            "ece_if_perfect": error_if_perfect(chance, wrong, own["customer_id"], seed=self.seed),
            "errors": float(wrong.sum()),
            "rows": float(self.height),
        }
        if 0 < wrong.sum() < len(wrong):
            found["auroc"] = float(roc_auc_score(wrong, chance, sample_weight=weight))
            found["average_precision"] = float(
                average_precision_score(wrong, chance, sample_weight=weight)
            )
        at_stake = self.rows.select(
            "currency",
            amount_minor=pl.when("is_error").then(pl.col("total_minor").abs()).otherwise(0),
        )
        money = weights_of(at_stake)
        urgency = chance * _relative_amounts(self.rows)
        looked_at = within_budget(urgency, self.review_share)
        found["money_caught"] = float(money[looked_at].sum())
        found["precision_at_budget"] = float(wrong[looked_at].mean())
        return Tested(
            figures=found,
            losses=own,
            calibration=reliability_by_customer(chance, wrong, own["customer_id"], self.seed),
            money=curve(urgency, money),
            faults=self._by_source(pl.Series(looked_at), pl.Series(money)),
        )

    def _by_source(self, looked_at: pl.Series, money: pl.Series) -> pl.DataFrame:
        """By source of the label: errors within the review budget, as a share and of the money."""
        wrong = self.rows.select("source", "is_error", hit=looked_at, money=money)
        by_source = (
            wrong.filter("is_error")
            .group_by(kind="source")
            .agg(
                faults=pl.len().cast(pl.Int64),
                hits=pl.col("hit").sum().cast(pl.Int64),
                caught=pl.col("money").filter("hit").sum(),
                all=pl.col("money").sum(),
            )
            .sort("kind")
        )
        found = []
        for one in by_source.iter_rows(named=True):
            low, high = likely_share(one["hits"], one["faults"])
            share, caught = one["hits"] / one["faults"], one["caught"] / max(one["all"], 1e-12)
            found.append((one["kind"], one["faults"], share, low, high, caught))
        return pl.DataFrame(found, schema=FAULTS, orient="row")


def split(dataset: Dataset, spec: Specification) -> TimeSplit:
    """Test on the latest days with labels.

    Raises
    ------
    TooFewLabelsError
        Fewer errors are confirmed than the model needs.
    """
    labelled = dataset.labelled
    errors, least = int(labelled["is_error"].sum()), int(spec.fit["least_errors"])
    last_on = labelled["day_on"].max()
    if errors < least or not isinstance(last_on, date):
        message = (
            f"{errors} of the {least} confirmed errors that it needs; "
            "P(error) is the stated prior meanwhile"
        )
        raise TooFewLabelsError(message, errors=errors, least=least)
    end_on = last_on + timedelta(days=1)
    cut_off = end_on - timedelta(days=spec.test_days + spec.gap_days)
    return TimeSplit(cut_off, end_on, end_on, spec.gap_days)


def rows(dataset: Dataset, cut_off: date) -> pl.DataFrame:
    """Labelled drafts of earlier days, with what each stands for.

    A sampled draft stands for all that were as likely to be looked at; where there is a sample,
    drafts that were only paid don't calibrate: the sample stands for them.
    """
    return weighted(dataset.labelled.filter(pl.col("day_on") < cut_off))


def prepare(dataset: Dataset, spec: Specification, split: TimeSplit) -> Prepared:
    """Labelled drafts before the cut-off, and those of the tested days.

    Raises
    ------
    TooFewLabelsError
        No error is confirmed in the tested days.
    """
    tested = weighted(
        dataset.labelled.filter(
            pl.col("day_on") >= split.test_start_on, pl.col("anomaly_score").is_not_null()
        )
    ).filter("calibrates")
    # Of several versions of a draft the last was decided.
    tested = tested.unique("invoice_id", keep="last", maintain_order=True)
    if not tested["is_error"].any() or tested["is_error"].all():
        message = (
            f"the {tested.height} labelled drafts from {split.test_start_on} on are not both right "
            "and wrong: nothing to measure on"
        )
        raise TooFewLabelsError(message, rows=tested.height)
    later = ErrorLater(tested, float(spec.evaluate["review_share"]), spec.seed)
    return Prepared(split, rows(dataset, split.train_before), later)


def fit(rows: pl.DataFrame, spec: Specification) -> Fitted:
    """Fit the model on the rung of the ladder that the labels carry.

    Raises
    ------
    TooFewLabelsError
        Too few labels, or too few customers.
    """
    model = fit_error_risk(rows, tuple(COLUMNS), spec.seed, ErrorSpec(**spec.fit))
    if model is None:
        errors, customers = int(rows["is_error"].sum()), rows["customer_id"].n_unique()
        message = (
            f"{errors} of the {spec.fit['least_errors']} confirmed errors that it needs before the "
            f"tested days, {rows.height} labelled drafts of {customers} customers"
        )
        raise TooFewLabelsError(message, errors=errors, rows=rows.height)
    sources = rows.group_by("source").agg(pl.len()).sort("source")
    facts = {"rung": model.rung.value, "labels": dict(sources.iter_rows())}
    return Fitted(model.to_bytes(), facts)


def weighted(labelled: pl.DataFrame) -> pl.DataFrame:
    """Add what each row stands for, and ``calibrates``: whether the odds may be measured on it."""
    propensity = pl.col("propensity").fill_null(1.0).clip(LEAST_PROPENSITY, 1.0)
    has_sample = labelled["propensity"].count() > 0
    is_unseen = pl.col("source").is_in(_UNSEEN) & pl.col("propensity").is_null()
    return labelled.with_columns(
        weight=pl.col("weight") / propensity,
        calibrates=~is_unseen if has_sample else pl.lit(value=True),
    )


def _relative_amounts(rows: pl.DataFrame) -> Floats:
    usual = pl.col("total_minor").abs().median().over("currency").clip(1.0)
    return (
        rows.select((pl.col("total_minor").abs() / usual).cast(pl.Float64)).to_series().to_numpy()
    )


ERROR_RISK: Final = Recipe("error_risk", COLUMNS, rows, prepare, fit, split)
