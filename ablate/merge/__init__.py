"""Copying runs from another store."""
