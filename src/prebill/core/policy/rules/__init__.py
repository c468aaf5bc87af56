"""One file per deterministic policy rule, listed in ``RULES``."""
