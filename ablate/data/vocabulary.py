"""The ids of the tokens that are no text: of every vocabulary the first four."""

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
