"""Hooks for engines that a company already has."""
