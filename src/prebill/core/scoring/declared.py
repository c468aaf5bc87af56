"""Which features each model reads, by the name of the model, with what they declare."""

from collections.abc import Mapping
from typing import Final

from prebill.core.scoring.features import payment
from prebill.core.scoring.features.declaration import (
    BEFORE,
    RECEIVED,
    AllowedUse,
    Feature,
    alike,
    allowed,
)
from prebill.core.scoring.models import FOREST_COLUMNS
from prebill.core.scoring.models.error_risk import SCORE
from prebill.core.scoring.scene import FEATURE_ROW, FEATURES, TAILS

_SCORE: Final = alike(
    {SCORE: "unsupervised score, [0, 1], high = unusual"},
    *(source for tail in TAILS.values() for source in tail.sources),
    null="no judge could judge",
    as_of=f"{BEFORE}; {RECEIVED}",
)
#: A model's columns are these: what is not declared is read by none.
READ_BY: Final[Mapping[str, Mapping[str, Feature]]] = {
    "forest": allowed((FEATURES[name] for name in FOREST_COLUMNS), AllowedUse.VARIANCE),
    "payment_risk": allowed(payment.DECLARED.values(), AllowedUse.PAYMENT),
    "error_risk": allowed((*FEATURE_ROW.values(), *_SCORE.values()), AllowedUse.VARIANCE),
}
