"""Runs that were trained elsewhere join a store."""
