"""A study in W&B as code: a saved view of its runs and a report that anybody with the link can read."""
