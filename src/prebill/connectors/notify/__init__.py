"""Announcing issued documents."""
