"""One file per charge model, listed in ``CHARGE_MODELS``."""
