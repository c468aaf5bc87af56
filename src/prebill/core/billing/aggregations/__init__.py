"""One file per aggregation, listed in ``AGGREGATIONS``."""
