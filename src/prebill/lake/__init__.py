"""Facts in Delta Lake tables. A reader trusts only the batches that SQL names."""
