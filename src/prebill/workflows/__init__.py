"""Durable processes on DBOS: gather, decide (pure), apply."""
