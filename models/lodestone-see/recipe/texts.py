"""What overlays say: sentences and names from prose, needles, dates, times, codes, and letters that make no word.

Nothing of it is language the tower could lean on alone: a third of the words are letters drawn at random, so that it has to look.
"""
import re
import string
from pathlib import Path

NEEDLES = [
    'The secret word is "{w}"', 'The secret word is "{w}".', 'secret word: {w}', 'The password is {w}', 'The code word is "{w}"', 'KEYWORD: {w}',
    'The {w} is in the {v}', 'Remember the {w}', '{W} and {V}', 'Chapter {n}: {W}', '{W}, {V}', '{w} & {v}', "{W}'s {v}", '{w} ({v})', '{w}?', '{w}!', 'What is {w}?',
]
MONTHS = "January February March April May June July August September October November December".split()


def held_words(path):
    """Words that evaluations look for; none of them is trained on."""
    import json
    return set(json.loads(Path(path).read_text(encoding="utf-8")))


def words_of(folder, without=()):
    """Different words of a folder's texts, in the order of the alphabet."""
    found = set()
    for path in sorted(Path(folder).glob("*.txt")):
        found.update(re.findall(r"[A-Za-z]{2,12}", path.read_text(encoding="utf-8")))
    return sorted(w for w in found if w.lower() not in without)


class Texts:
    def __init__(self, words):
        self.words = words

    def word(self, r):
        if r.random() < .35:
            n = r.choice((2, 3, 4, 5, 5, 6, 6, 7, 8, 9))
            return "".join(r.choices(string.ascii_lowercase, k=n))
        return r.choice(self.words)

    def cased(self, r):
        w = self.word(r)
        return r.choices((w.lower(), w.capitalize(), w.upper(), w), (.45, .25, .2, .1))[0]

    def number(self, r):
        kind = r.randrange(9)
        d = lambda k: "".join(r.choices(string.digits, k=k))
        return (
            d(r.randint(1, 7)), f"{r.randint(0, 23):02}:{r.randint(0, 59):02}", f"{r.randint(1, 28)} {r.choice(MONTHS)} {r.randint(1700, 2030)}",
            f"{r.choice(MONTHS)[:3]} {r.randint(1, 28)}, {r.randint(1900, 2030)}", f"{r.randint(1, 99)}%", f"${d(2)}.{d(2)}", f"{d(2)}-{d(3)}/{d(2)}",
            f"{d(1)},{d(3)}", "".join(r.choices(string.ascii_uppercase + string.digits, k=r.randint(4, 8))),
        )[kind]

    def stream(self, r):
        """Words without end, of one manner."""
        kind = r.random()
        if kind < .35:
            while True:
                text = r.choice(NEEDLES).format(w=self.word(r).lower(), v=self.word(r).lower(), W=self.word(r).capitalize(), V=self.word(r).capitalize(), n=r.randint(1, 40))
                yield from text.split()
        elif kind < .46:
            while True:
                yield from self.number(r).split()
        elif kind < .5:
            while True:
                yield "".join(r.choices(string.ascii_letters + string.digits + string.punctuation, k=r.randint(1, 6)))
        else:
            upper = r.random() < .12
            while True:
                w = self.cased(r)
                mark = r.random()
                w = w + r.choice(",.;:!?") if mark < .12 else f'"{w}"' if mark < .2 else f"({w})" if mark < .22 else w
                yield w.upper() if upper else w

    def lines(self, r, fits, count):
        """At most `count` lines, each as long as `fits(text)` allows, sometimes shorter."""
        stream, lines = self.stream(r), []
        line, budget = "", r.randint(1, 9)
        for _ in range(40):
            w = next(stream)
            longer = f"{line} {w}" if line else w
            if fits(longer) and len(line.split()) < budget:
                line = longer
                continue
            if line:
                lines.append(line)
                if len(lines) == count:
                    return lines
            line, budget = "", r.randint(1, 9)
            while w and not fits(w):
                w = w[:-1]
            line = w
        return lines or ([line] if line else [])
