"""Canonical files in, issued documents out."""
