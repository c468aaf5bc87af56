"""Charge models: how a quantity becomes an amount. One file a model, one line below.

A model prices *full* periods; shares, discounts and tax come after it.
"""

from typing import Final

from prebill.core.billing.charges.base import ChargeModel, register
from prebill.core.billing.charges.flat import FLAT
from prebill.core.billing.charges.graduated import GRADUATED
from prebill.core.billing.charges.package import PACKAGE
from prebill.core.billing.charges.per_unit import PER_UNIT
from prebill.core.billing.charges.volume import VOLUME

CHARGE_MODELS: Final[dict[str, ChargeModel]] = register(FLAT, PER_UNIT, GRADUATED, VOLUME, PACKAGE)

__all__ = ["CHARGE_MODELS", "ChargeModel", "register"]
