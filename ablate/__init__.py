"""ablate settles arguments about Transformer design with experiments."""
