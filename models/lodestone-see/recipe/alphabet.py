"""What a cell of a picture may hold: nothing, or one of the printable characters of ASCII.

Each class is a piece of lodestone-tiny's byte-level vocabulary, so the text model's embedding is the output layer (export.py).
"""
BLANK = 0
CHARACTERS = [chr(c) for c in range(32, 127)]
CLASS = {c: i + 1 for i, c in enumerate(CHARACTERS)}
CLASSES = 1 + len(CHARACTERS)
# Piece of each class in the tokenizer's spelling; a byte-level vocabulary writes the space as this letter.
PIECES = ["<pad>", "\u0120"] + CHARACTERS[1:]
