"""Offline training: data sets, splits, fits, evaluation, promotion. Never imported by prebill."""
