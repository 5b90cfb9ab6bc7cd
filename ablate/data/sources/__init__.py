"""Corpora as they are published, a file each, and the readers that they share."""
