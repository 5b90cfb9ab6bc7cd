"""Published corpora, a file each, and the readers that they share."""
