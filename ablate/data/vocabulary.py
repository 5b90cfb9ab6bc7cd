"""The ids of the special tokens, which are the first four of every vocabulary."""

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
