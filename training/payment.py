"""Payment risk: fitted on what was known at the cut-off, measured on the invoices after it."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import polars as pl

from prebill.bundles import Bundle
from prebill.core.errors import InputError
from prebill.core.scoring.comparison import interval
from prebill.core.scoring.declared import READ_BY
from prebill.core.scoring.models.payment_risk import (
    PaymentRisk,
    PaymentSpec,
    Rung,
    fit_payment_risk,
    training_rows,
)
from training.calibrate import BINS, error_if_perfect
from training.dataset import Dataset
from training.evaluate import LaterRows, figures, later_rows, predicted
from training.money import Floats, curve, weights_of, within_budget
from training.slices import slices_of
from training.specification import Specification
from training.split import TimeSplit
from training.trained import CALIBRATION, Fitted, Prepared, Recipe, Tested


@dataclass(frozen=True, slots=True)
class PaymentLater:
    """Later invoices whose outcome is known whatever it is."""

    later: LaterRows
    sliced: pl.DataFrame
    review_share: float
    seed: int

    @property
    def height(self) -> int:
        """Tested rows."""
        return self.later.rows.height

    @property
    def slices(self) -> pl.DataFrame:
        """``invoice_id, currency, entity, size, tenure``."""
        return self.sliced

    def measure(self, bundle: Bundle) -> Tested:
        """Measure a registered model."""
        return self._measured(PaymentRisk.from_bytes(dict(bundle.files)))

    def measure_simple(self) -> Tested:
        """Without a model the customer's own distribution, pulled to everyone's, answers."""
        return self._measured(PaymentRisk(Rung.PRIOR, 0.0))

    def after(self, day: date) -> "PaymentLater":
        """Only rows issued on that day or later."""
        keep = self.later.rows.select(pl.col("issued_on") >= day).to_series()
        later = self.later.take(keep)
        return replace(
            self, later=later, sliced=self.sliced.join(later.rows, on="invoice_id", how="semi")
        )

    def _measured(self, model: PaymentRisk) -> Tested:
        """Figures, calibration beside what chance explains, and the Brier loss of each row."""
        said = predicted(model, self.later.features, self.later)
        chance, late = said["p_late"].to_numpy(), self.later.is_late
        found = figures(said, self.later)
        cluster = pl.concat_str("customer_id", pl.col("due_on").cast(pl.String))
        found["ece_if_perfect"] = error_if_perfect(
            chance,
            late,
            self.later.rows.select(cluster.alias("cluster"))["cluster"],
            seed=self.seed,
        )
        at_stake = self.later.rows.select(
            "currency",
            amount_minor=pl.when(pl.Series(late == 1)).then(pl.col("total_minor")).otherwise(0),
        )
        weights = weights_of(at_stake)
        # Whom to call first: the amount that is expected late, in the currency's usual invoices.
        urgency = chance * _relative_amounts(self.later.rows)
        found["money_caught"] = float(weights[within_budget(urgency, self.review_share)].sum())
        own = self.later.rows.select("invoice_id", "customer_id")
        return Tested(
            figures=found,
            losses=own.with_columns(loss=pl.Series((chance - late) ** 2)),
            calibration=reliability_by_customer(chance, late, own["customer_id"], self.seed),
            money=curve(urgency, weights),
        )


def prepare(dataset: Dataset, spec: Specification, split: TimeSplit) -> Prepared:
    """Training rows as of the cut-off, and later ones whose outcome is known by now.

    Raises
    ------
    InputError
        Nothing was ever paid.
    """
    later = later_rows(dataset, split)
    tested = PaymentLater(
        later=later,
        sliced=slices_of(dataset, later.rows),
        review_share=spec.evaluate["review_share"],
        seed=spec.seed,
    )
    return Prepared(split, rows(dataset, split.train_before), tested)


def rows(dataset: Dataset, cut_off: date) -> pl.DataFrame:
    """Features and outcomes as they were known on the morning of a day.

    Raises
    ------
    InputError
        Nothing was ever paid.
    """
    known = dataset.receivables()
    if known["settled_on"].null_count() == known.height:
        message = "no invoice was ever paid: import payments to learn payment risk from"
        raise InputError(message, source=dataset.source)
    return training_rows(known, cut_off)


def fit(rows: pl.DataFrame, spec: Specification) -> Fitted:
    """Fit the model on the rung of the ladder that the rows carry."""
    model = fit_payment_risk(rows, spec.seed, PaymentSpec(**spec.fit))
    return Fitted(model.to_bytes(), {"rung": model.rung.value})


def _relative_amounts(rows: pl.DataFrame) -> Floats:
    usual = pl.col("total_minor").median().over("currency")
    return rows.select((pl.col("total_minor") / usual).cast(pl.Float64)).to_series().to_numpy()


def reliability_by_customer(
    chance: Floats, late: Floats, customers: pl.Series, seed: int
) -> pl.DataFrame:
    """Said against observed in ten bins, with the interval by customer."""
    frame = pl.DataFrame({"said": chance, "late": late, "customer": customers}).with_columns(
        bin=(pl.col("said") * BINS).cast(pl.Int64).clip(0, BINS - 1)
    )
    found = []
    for (_,), part in sorted(frame.partition_by("bin", as_dict=True).items()):
        by_customer = part.group_by("customer", maintain_order=True).agg(
            pl.col("late").sum(), rows=pl.len().cast(pl.Float64)
        )
        low, high = interval(
            by_customer["late"].to_numpy(), by_customer["rows"].to_numpy(), seed=seed
        )
        found.append(
            {
                "said": part["said"].mean(),
                "observed": part["late"].mean(),
                "low": low,
                "high": high,
                "rows": part.height,
            }
        )
    return pl.DataFrame(found, schema=CALIBRATION)


PAYMENT_RISK: Final = Recipe("payment_risk", READ_BY["payment_risk"], rows, prepare, fit)
