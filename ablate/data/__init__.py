"""Published corpora, the recipe that turns them into token ids, and batches of these."""
