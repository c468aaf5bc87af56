"""Forecasts of usage, cash and reviewers' work: frames in, frames out, each with its basis."""
