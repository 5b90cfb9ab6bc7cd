"""A study in W&B, made by code: a saved view of its runs, and a report that anybody with the link can read."""
