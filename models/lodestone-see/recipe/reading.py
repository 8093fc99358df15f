"""Probabilities of the cells -> text. The same as src/see/read-cells.ts in the repository, which says it in more words.

A character on the border of two cells is half in each, and the tower says so: its probability there sums up to one. So characters are
counted by mass: the cells beside each other that hold the same one belong together, and their mass says how often it stands there.
"""
import numpy as np

from alphabet import BLANK, CHARACTERS

FAINT = .1          # less is no part of a character
LEAST = .3          # of mass, to be a character; tuned on fonts of the training (README)
AGAIN = .85         # and for each further one: letters that stand twice are rarer than letters that are smeared


def read(probabilities):
    """[rows, columns, classes] -> lines of text, from top to bottom."""
    probabilities = probabilities.astype(np.float64)
    found = []      # (row, column, character)
    rows, cols, _ = probabilities.shape
    strong = probabilities > FAINT
    strong[..., BLANK] = False
    for c in np.unique(np.nonzero(strong.any((0, 1)))[0]):
        left = {tuple(p) for p in np.argwhere(strong[..., c])}
        while left:
            todo, part = [min(left)], []
            left.discard(todo[0])
            while todo:
                r, k = todo.pop()
                part.append((r, k))
                for n in ((r + i, k + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                    if n in left:
                        left.discard(n)
                        todo.append(n)
            found += place(part, probabilities[..., c], CHARACTERS[c - 1])
    return lines(found)


def place(part, mass, character):
    """A group's characters where they stand: the mass from left to right, cut in equal parts, each at its centre."""
    part = sorted(part, key=lambda p: (p[1], p[0]))
    total = sum(mass[p] for p in part)
    count = 0 if total < LEAST else max(1, int(total + 1 - AGAIN))
    row = sum(mass[p] * p[0] for p in part) / total
    places, each, filled, moment = [], total / max(1, count), 0.0, 0.0
    for p in part:
        m = mass[p]
        while m > 0 and len(places) < count:
            take = min(m, each - filled)
            filled, moment, m = filled + take, moment + take * p[1], m - take
            if filled > each - 1e-9:
                places.append((row, moment / filled, character))
                filled = moment = 0.0
    return places


def lines(found):
    """Characters nearer than a row and a quarter above each other are of one line; a line is read from left to right."""
    grouped = []
    for at in sorted(found):
        if grouped and at[0] - np.mean([a[0] for a in grouped[-1]]) < 1.25:
            grouped[-1].append(at)
        else:
            grouped.append([at])
    texts = ["".join(c for _, _, c in sorted(line, key=lambda a: a[1])) for line in grouped]
    return [" ".join(t.split()) for t in texts if t.strip()]
