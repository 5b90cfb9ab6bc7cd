"""How fast ablate is, beside other frameworks, beside the hardware's limit and beside an earlier version of itself."""

PARTS = ("training", "translation", "limit", "growth", "store", "gpu")
