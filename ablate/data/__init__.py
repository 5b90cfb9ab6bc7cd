"""The data room: corpora as they are published, the recipe that turns them into numbers, and batches of those."""
