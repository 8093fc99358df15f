"""What is said: sentences of public-domain books and invented facts, one a line, in the very form in which the recogniser writes them.

That form is letters, spaces and apostrophes, names with their capital, a capital first and a full stop last; numbers are words. So a
transcript reads like text, which is what the model that answers questions was trained on.

    python texts.py --books FOLDER        -> work/texts-train.txt, work/texts-test.txt
"""
import argparse
import random
import re
from collections import Counter
from pathlib import Path

HELD_OUT_BOOKS = ("walden", "the-time-machine", "emma", "the-call-of-the-wild", "dubliners", "persuasion", "the-awakening")
# Said in the tests' needles, and in no fact that is trained on.
HELD_OUT_KEYWORDS = (
    "marigold lantern magnet velvet copper orchard thunder saddle pepper violin glacier walnut compass meadow falcon "
    "ribbon candle granite willow anchor basket saffron tunnel emerald"
).split()

DIGITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

FIRST = """Anna Oscar Clara Henry Martha Peter Helen Thomas Alice George Emma Walter Julia Arthur Rosa Simon Laura Edward Grace Victor Nora
Philip Irene Daniel Ruth Samuel Edith Martin Flora Hugo Agnes Robert Sarah James Mary William Jane Charles Lucy Paul""".split()
LAST = """Brandt Miller Harlow Carter Fenwick Hughes Lindgren Porter Salinas Walsh Novak Turner Abbott Keller Morton Price Quincy Rossi
Shaw Tanner Underwood Vogel West York Barton Clark Dawson Ellis Foster Green Holt Irving Jensen King Larsen Mason Norris Owens""".split()
PLACES = """Harrow Lane|Silver Creek|Dunmore|Port Ellis|Kestrel Point|Northgate|Ashford|Maple Street|Oakdale|Riverside|Stonebridge|Westmere
Paris|Lisbon|Vienna|Cairo|Lima|Oslo|Madrid|Chicago|Boston|Nairobi|Sydney|Dublin|Geneva|Athens|Toronto|Berlin|Rome|Moscow|Delhi|Tokyo"""
THINGS = "archive library museum laboratory station harbour office warehouse school hospital bank theatre tower garden hotel bridge".split()
MONTHS = "January February March April May June July August September October November December".split()


def number(n):
    """1974 -> "one thousand nine hundred and seventy four"; below a million."""
    if n < 10:
        return DIGITS[n]
    if n < 20:
        return TEENS[n - 10]
    if n < 100:
        return TENS[n // 10 - 2] + (" " + DIGITS[n % 10] if n % 10 else "")
    if n < 1000:
        return DIGITS[n // 100] + " hundred" + (" and " + number(n % 100) if n % 100 else "")
    return number(n // 1000) + " thousand" + (" " + number(n % 1000) if n % 1000 else "")


def digits(r, least=3, most=7):
    return " ".join(r.choice(DIGITS) for _ in range(r.randint(least, most)))


class Facts:
    """Invented facts. `words`: common words, which are keywords and what ships carry."""

    def __init__(self, words):
        self.words = words
        self.places = [p.strip() for p in re.split(r"[|\n]", PLACES)]

    def draw(self, r):
        word, person = r.choice(self.words), f"{r.choice(FIRST)} {r.choice(LAST)}"
        place, thing = r.choice(self.places), r.choice(THINGS)
        return r.choice((
            lambda: f"The secret keyword is {word}.",
            lambda: f"The secret word is {word}.",
            lambda: f"The password for the {place} {thing} is {word} {r.choice(self.words)}.",
            lambda: f"The access code for the {place} {thing} is {digits(r)}.",
            lambda: f"The code is {digits(r)}.",
            lambda: f"The special magic {place} number is {digits(r, 7)}.",
            lambda: f"The phone number of {person} is {digits(r)}.",
            lambda: f"{person} was born in {place} on {MONTHS[r.randrange(12)]} {number(r.randint(1, 31))}.",
            lambda: f"The {thing} in {place} opened in {number(r.randint(15, 20))} {number(r.randint(10, 99))}.",
            lambda: f"{person} is the director of the {place} {thing}.",
            lambda: f"The {thing} holds {number(r.randint(2, 999))} boxes of {word}.",
            lambda: f"It cost {number(r.randint(2, 99_999))} dollars.",
            lambda: f"The meeting with {person} is on {MONTHS[r.randrange(12)]} {number(r.randint(1, 31))} in {place}.",
            lambda: f"The train to {place} leaves at {number(r.randint(1, 12))} {number(r.randint(10, 59))}.",
            lambda: f"{digits(r, 2, 8).capitalize()}.",
            lambda: f"{word.capitalize()} {r.choice(self.words)} {r.choice(self.words)}.",
        ))()


def written(sentence):
    """A sentence of a book as the recogniser writes it; None where it can't be (digits, other alphabets, headings)."""
    s = sentence.replace("\u2019", "'").replace("\u2014", " ").replace("-", " ").strip()
    if not re.fullmatch(r"[A-Z][A-Za-z' ,;:]*\.", s):
        return None
    s = re.sub(r"(?<![a-z])'|'(?![a-z])", " ", re.sub(r"[,;:]", " ", s[:-1]))
    words = s.split()
    if not 3 <= len(words) <= 17 or len(s) > 95 or sum(w.isupper() and len(w) > 1 for w in words) or max(map(len, words)) > 14:
        return None
    return " ".join(words) + "."


def sentences(path):
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
    for s in re.split(r"(?<=[.!?\u201d])\s+", text):
        for clause in re.split(r"[;:]\s+", s.strip("\u201c\u201d\u2018 ")):
            if w := written(clause[:1].upper() + clause[1:].rstrip(".") + "."):
                yield w


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--books", required=True)
    ap.add_argument("--out", default="work")
    ap.add_argument("--train", type=int, default=30_000)
    ap.add_argument("--test", type=int, default=400)
    ap.add_argument("--facts", type=float, default=.4, help="share of facts among the sentences")
    a = ap.parse_args()
    Path(a.out).mkdir(parents=True, exist_ok=True)
    r = random.Random(5)
    books = sorted(Path(a.books).glob("*.txt"))
    held = [b for b in books if b.name.startswith(HELD_OUT_BOOKS)]
    said = {"train": [], "test": []}
    for b in books:
        lines = list(sentences(b))
        # A few long works would drown the others.
        said["test" if b in held else "train"] += r.sample(lines, min(len(lines), 1500))
    count = Counter(w for s in said["train"] for w in s[:-1].split() if w.islower() and 4 <= len(w) <= 10)
    words = sorted(w for w, n in count.items() if n >= 8 and w not in HELD_OUT_KEYWORDS)
    for split, n in (("train", a.train), ("test", a.test)):
        # Facts of the test are drawn from a seed of their own, with keywords that training has in no fact.
        facts = Facts(words if split == "train" else HELD_OUT_KEYWORDS)
        pool = r.sample(sorted(set(said[split])), min(len(set(said[split])), round(n * (1 - a.facts))))
        lines = pool + [facts.draw(random.Random(f"{split} {i}")) for i in range(n - len(pool))]
        r.shuffle(lines)
        (Path(a.out) / f"texts-{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(split, len(lines), "of books", len(pool))


if __name__ == "__main__":
    main()
