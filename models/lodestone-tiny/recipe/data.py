"""Training data: documents of real prose that hold facts, and questions about the facts.

`prepare` reads the corpora once (books as sentences, mined names and words, extractive QA rows)
into one file. `Generator.example` then writes a document of exactly T tokens with its questions.

An answer is a slice of the document's own tokens, starting with the white space before the value
and ending with it, so that answering is copying; white space is collapsed after decoding.
Nothing that the evaluation uses occurs here: no name from cities.json, no held-out phrasing, no
held-out book (see test_data.py).
"""
import argparse
import json
import pickle
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PAD, EOS, BOS, UNK, QUESTION, ANSWER, ABSENT = range(7)
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<question>", "<answer>", "<absent>"] + [f"<unused{i}>" for i in range(9)]
QUESTION_LEN, ANSWER_LEN = 24, 12   # columns of a pair: <question> + question | <answer> + answer
HELD_OUT_BOOKS = ["dracula", "walden_", "three-men-in-a-boat", "roughing-it", "the-voyage-of-the-beagle"]
QA_FILES = ["squadshifts_new_wiki", "qamr", "fairytaleqa", "qasrl_gs", "qed_nq", "tatqa", "covidqa", "timeqa"]
QA_WEIGHT = {"squadshifts_new_wiki": 5, "qamr": 5, "fairytaleqa": 3, "qasrl_gs": 0.5, "qed_nq": 0.3, "tatqa": 0.5, "covidqa": 0.5, "timeqa": 0.2}
STOP = set("the a an of in on at to for and or is was were are by with from that this it as & upon".split())


# -- once: corpora -> prepared file ---------------------------------------------------------------

def load_cities(path):
    return json.loads(Path(path).read_text())["cities"]


def city_pattern(cities):
    return re.compile(r"\b(" + "|".join(re.escape(c) for c in sorted(cities, key=len, reverse=True)) + r")\b", re.I)


def sentences(paragraph):
    return [s for s in re.split(r"(?<=[.!?;][\"”’')])\s+|(?<=[.!?;])\s+(?=[\"“‘'(A-Z])", paragraph) if s and s.strip()]


def read_book(path, forbidden):
    """List of paragraphs, each a list of sentences; paragraphs that name an evaluation city dropped."""
    out = []
    for p in re.split(r"\n\s*\n|\n", path.read_text(encoding="utf-8", errors="ignore")):
        p = " ".join(p.split())
        if 20 <= len(p) <= 4000 and not forbidden.search(p):
            out.append(sentences(p))
    return out


def prepare(corpora, cities, out):
    corpora = Path(corpora)
    forbidden = city_pattern(load_cities(cities))
    city_words = {w.lower() for c in load_cities(cities) for w in c.split()}
    books, held = {}, {}
    names, words, phrases = Counter(), Counter(), []
    rng = random.Random(0)
    for path in sorted(corpora.glob("*.txt")):
        book = read_book(path, forbidden)
        if any(path.name.startswith(h) for h in HELD_OUT_BOOKS):
            held[path.stem] = book
            continue
        books[path.stem] = book
        for p in book:
            for s in p:
                for m in re.finditer(r"(?<=[a-z,] )([A-Z][a-z]{2,13})\b", s):
                    names[m.group(1)] += 1
                w = re.findall(r"\b[a-z]{3,14}\b", s)
                words.update(w)
                if rng.random() < 0.03 and len(w) > 8:
                    n = rng.randint(2, 5)
                    i = rng.randrange(0, max(1, len(s) - 60))
                    m = re.search(r"(?<= )[a-z]{3,}( [a-z]{2,}){%d}(?=[ ,.;])" % (n - 1), s[i:])
                    if m:
                        phrases.append(m.group(0))
    low = words
    names = [n for n, c in names.items() if c >= 2 and n.lower() not in city_words and low[n.lower()] < c]
    words = [w for w, c in words.items() if 15 <= c <= 3000 and len(w) > 3 and w not in STOP and w not in city_words]
    qa = {}
    for f in QA_FILES:
        groups = defaultdict(list)
        path = corpora / f"{f}.jsonl"
        if not path.exists():
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            r = json.loads(line)
            if r["type"] != "span" or r["split"] != "train" or not r["answers"]:
                continue
            if len(r["context"]) > 1800 or len(r["question"]) > 130:
                continue
            if forbidden.search(r["context"]) or forbidden.search(r["question"]):
                continue
            i = r["context"].find(r["answers"][0])
            if i < 0 or len(r["answers"][0]) > 60:
                continue
            groups[r["context"]].append((r["question"], i, i + len(r["answers"][0])))
        qa[f] = list(groups.items())
    pickle.dump({"books": books, "held": held, "names": sorted(names), "words": sorted(words),
                 "phrases": sorted(set(phrases)), "qa": qa, "cities": load_cities(cities)}, open(out, "wb"))
    print("books", len(books), "held out", len(held), "names", len(names), "words", len(words),
          "phrases", len(phrases), "qa contexts", {k: len(v) for k, v in qa.items()})


# -- templates -----------------------------------------------------------------------------------

@dataclass
class Family:
    name: str
    keys: list
    values: list
    facts: list
    questions: list


def load_families(path=HERE / "templates" / "relations.txt"):
    out = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            name, keys, values = [s.strip() for s in line[2:].split("|")]
            out.append(Family(name, keys.split(), values.split(), [], []))
        elif line.startswith("F "):
            out[-1].facts.append(line[2:])
        elif line.startswith("Q "):
            out[-1].questions.append(line[2:])
    return out


def load_eval_families(path=HERE / "eval_templates.json"):
    return [Family(**f) for f in json.loads(Path(path).read_text(encoding="utf-8"))["families"]]


@dataclass
class Fact:
    family: Family
    kind: str
    key: str
    attr: str      # attribute noun, or the counted noun, or ""
    vtype: str
    value: str

    def identity(self):
        return (self.family.name, self.attr, self.key)


def fill(template, key, attr, value=None):
    """Text of a template and the (start, end) of the value in it."""
    if key.startswith("the "):
        template = template.replace("The {k} {a}", "{k} {a}").replace("the {k} {a}", "{k} {a}")
    t = template.replace("{k}", key).replace("{a}", attr).replace("{n}", attr)
    if value is None:
        return t[0].upper() + t[1:], None
    i = t.index("{v}")
    t = t.replace("{v}", value)
    return t[0].upper() + t[1:], (i, i + len(value))


# -- keys and values -------------------------------------------------------------------------------

ONSET = "b c d f g h j k l m n p r s t v w y z br ch cl cr dr fl gr kh kr pl pr sh sk st th tr v w qu gl zh sl".split()
VOWEL = "a e i o u a e i o u ai au ea ei ia io oa ou ue y".split()
CODA = ["", "", "", "", "n", "r", "l", "s", "m", "th", "ck", "nd", "rt", "ng", "sh", "x", "lm", "st"]


class Lexicon:
    """Random keys and values. Every draw takes the caller's random generator."""

    def __init__(self, prepared):
        self.nouns = json.loads((HERE / "templates" / "nouns.json").read_text(encoding="utf-8"))
        self.names, self.words, self.phrases = prepared["names"], prepared["words"], prepared["phrases"]
        self.forbidden = city_pattern(prepared["cities"])
        self.attr_types = [(a, t) for t, l in self.nouns["attributes"].items() for a in l]
        heads = [self.nouns[k] for k in ("thing_heads", "org_heads", "project_heads", "event_heads", "objects")]
        self.peers = {w: l for l in heads for w in l}

    def made_up(self, r):
        n = r.choice([1, 2, 2, 2, 3, 3, 4])
        s = "".join(r.choice(ONSET) + r.choice(VOWEL) + (r.choice(CODA) if i == n - 1 or r.random() < .3 else "") for i in range(n))
        if len(s) < 4:
            s += r.choice(["na", "dor", "ven", "lin", "ra"])
        return s.capitalize()

    def name(self, r):
        while True:
            n = self.made_up(r) if r.random() < 0.5 else r.choice(self.names)
            if not self.forbidden.search(n):
                return n

    def Word(self, r):
        return r.choice(self.words).capitalize()

    def person(self, r):
        n = self.nouns
        k = r.random()
        if k < .4: return f"{r.choice(n['given'])} {self.name(r)}"
        if k < .6: return f"{r.choice(n['titles'])} {self.name(r)}"
        if k < .7: return f"{self.name(r)} {self.name(r)}"
        if k < .8: return r.choice(n["given"])
        if k < .9: return self.name(r)
        return f"{r.choice(n['given'])} {r.choice('ABCDEFGHJKLMNPRSTVW')}. {self.name(r)}"

    def place(self, r):
        n = self.nouns
        k = r.random()
        if k < .45: return self.name(r)
        if k < .65: return f"{r.choice(n['place_prefix'])} {self.name(r)}"
        if k < .85: return f"{self.name(r)} {r.choice(n['place_suffix'])}"
        if k < .95: return f"{self.name(r)} {self.name(r)}"
        return f"{self.name(r)}-{self.name(r)}"

    def headed(self, r, heads):
        h, k = r.choice(self.nouns[heads]), r.random()
        if k < .4: return f"the {self.name(r)} {h}"
        if k < .55: return f"the {self.name(r)} {r.choice(self.nouns['place_suffix'])} {h}"
        if k < .7: return f"the {r.choice(self.words)} {h}"
        if k < .85: return f"the {h} of {self.name(r)}"
        if k < .93: return f"{self.name(r)} {h.capitalize()}"
        return f"the {r.choice(self.nouns['colours'])} {h}"

    def key(self, kind, r):
        while True:
            k = self._key(kind, r)
            if len(k) < 40 and not self.forbidden.search(k):
                return k

    def _key(self, kind, r):
        n, k = self.nouns, r.random()
        if kind == "any":
            kind = r.choice(["thing", "org", "project", "person", "place", "ship", "product", "room", "object", "event", "magic"])
        if kind == "person": return self.person(r)
        if kind == "place": return self.place(r)
        if kind == "magic":
            if k < .6: return self.place(r)
            if k < .75: return self.person(r)
            if k < .85: return self.Word(r)
            if k < .92: return f"{r.choice(n['place_prefix'])} {self.name(r)} {r.choice(n['place_suffix'])}"
            return self.name(r)
        if kind == "thing": return self.headed(r, "thing_heads")
        if kind == "event":
            return f"the {r.choice(n['ordinals'][:12])} {self.name(r)} {r.choice(n['event_heads'])}" if k < .2 else self.headed(r, "event_heads")
        if kind == "org":
            if k < .7: return self.headed(r, "org_heads")
            if k < .85: return f"{self.name(r)} & {r.choice(['Sons', 'Co', 'Daughters', self.name(r)])}"
            return f"{self.name(r)} {r.choice(['Limited', 'Brothers', 'Industries', 'Works', 'Partners', 'Inc', 'Systems', 'Foods'])}"
        if kind == "ship":
            if k < .5: return f"the {self.name(r)}"
            if k < .75: return f"the {r.choice(n['colours']).title()} {self.Word(r)}"
            if k < .85: return f"HMS {self.name(r)}"
            return f"the {r.choice(n['given'])} {self.name(r)}"
        if kind == "project":
            if k < .4: return f"Project {self.name(r)}"
            if k < .6: return f"Operation {self.Word(r)}"
            return f"the {self.name(r)} {r.choice(n['project_heads'])}"
        if kind == "product":
            if k < .4: return f"the {self.name(r)}-{r.choice([r.randint(2, 99), r.randint(1, 40) * 100])}"
            if k < .7: return f"the {self.name(r)} {r.randint(2, 9)}{r.choice(['', '0', '00', '000', 'X', 'S'])}"
            return f"Model {r.choice('ABCDEFGHKLMNPQRTVWXZ')}{r.randint(1, 99)}"
        if kind == "room":
            w = r.choice(["room", "vault", "locker", "gate", "cabin", "hall", "office", "cell", "ward", "warehouse", "Room", "Suite", "platform", "box", "drawer"])
            return f"{w} {r.choice([str(r.randint(2, 99)), str(r.randint(100, 999)), r.choice('ABCDEFGHKLM') + str(r.randint(1, 30))])}"
        if kind == "object":
            if k < .3: return f"the {r.choice(n['colours'])} {r.choice(n['objects'])}"
            if k < .5: return f"the {r.choice(n['materials'])} {r.choice(n['objects'])}"
            if k < .75: return f"the {r.choice(n['objects'])} of {self.name(r)}"
            return f"the {self.name(r)} {r.choice(n['objects'])}"
        if kind == "animal": return self.name(r)
        if kind == "job2": return f"the {r.choice(self.words)} {r.choice(['inspector', 'keeper', 'clerk', 'maker', 'officer', 'driver'])}"
        if kind == "title": return self.title(r)
        raise KeyError(kind)

    def title(self, r):
        w = self.Word
        return r.choice([f"The {w(r)} of {w(r)}", f"The {w(r)} {w(r)}", f"A {w(r)} {w(r)}", f"{w(r)} and {w(r)}", f"The {w(r)} of {self.name(r)}"])

    def similar(self, key, r):
        """The same key with one word exchanged."""
        parts = key.split(" ")
        spots = [i for i, p in enumerate(parts) if p.lower() not in STOP]
        if not spots:
            return None
        i = r.choice(spots)
        p = parts[i]
        if any(c.isdigit() for c in p):
            new = "".join(r.choice("123456789") if c.isdigit() else c for c in p)
        elif p in self.peers:
            new = r.choice(self.peers[p])
        elif p in self.nouns["titles"]:
            new = r.choice(self.nouns["titles"])
        elif p[0].isupper():
            new = self.name(r)
        else:
            new = r.choice(self.words)
        parts[i] = new
        k = " ".join(parts)
        return None if k == key or self.forbidden.search(k) else k

    def digits(self, r, n):
        return r.choice("123456789") + "".join(r.choice("0123456789") for _ in range(n - 1))

    def date(self, r):
        d, m, y, n = r.randint(1, 28), r.randint(1, 12), r.randint(1700, 2035), self.nouns
        M = n["months"][m - 1]
        return r.choice([f"{d} {M} {y}", f"{M} {d}, {y}", f"{d} {M}", f"{M} {d}", f"the {d}th of {M}", f"{y}-{m:02d}-{d:02d}", f"{d}/{m}/{y}", f"{M} {y}"])

    def money(self, r):
        x = r.choice([r.randint(2, 999), r.randint(1, 99) * 1000, r.randint(1000, 999999)])
        return r.choice([f"${x:,}", f"£{x:,}", f"{x} dollars", f"{x} pounds", f"{x} francs", f"€{x}", f"{x:,} crowns", f"${x / 100:.2f}",
                         f"{r.randint(2, 99)}.{r.randint(1, 9)} million {r.choice(['dollars', 'euros', 'pounds'])}", f"{r.randint(2, 90)} shillings"])

    def value(self, t, r):
        while True:
            v = self._value(t, r)
            if not self.forbidden.search(v):
                return v

    def _value(self, t, r):
        n = self.nouns
        if t == "num7": return self.digits(r, 7)
        if t == "num":
            return self.repeat_heavy(r) if r.random() < .15 else self.digits(r, r.choice([2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7, 8]))
        if t == "num2": return str(r.randint(11, 99))
        if t == "bignum":
            x = int(self.digits(r, r.randint(3, 7)))
            return f"{x:,}" if r.random() < .6 else str(x)
        if t == "count": return str(r.randint(2, 900))
        if t == "countof": return str(r.choice([r.randint(2, 99), r.randint(100, 9999)]))
        if t == "money": return self.money(r)
        if t == "date": return self.date(r)
        if t == "year": return str(r.randint(1400, 2030))
        if t == "time":
            h, m = r.randint(1, 12), r.randint(0, 59)
            return r.choice([f"{h}:{m:02d} p.m.", f"{h}:{m:02d} a.m.", f"{r.randint(0, 23):02d}:{m:02d}", f"{h} o'clock", f"half past {r.choice(['two', 'three', 'four', 'five', 'six', 'seven', 'eight'])}", f"{h} in the {r.choice(['morning', 'evening', 'afternoon'])}"])
        if t == "weekday": return r.choice(n["weekdays"])
        if t == "percent": return r.choice([f"{r.randint(1, 99)}%", f"{r.randint(1, 99)} per cent", f"{r.randint(0, 99)}.{r.randint(0, 9)}%", f"{r.randint(2, 99)} percent"])
        if t == "code":
            L = "ABCDEFGHJKLMNPQRSTUVWXYZ"
            a = lambda k: "".join(r.choice(L) for _ in range(k))
            return r.choice([f"{a(1)}{r.randint(1, 9)}-{a(1)}{r.randint(10, 99)}{a(1)}", f"{a(2)}{r.randint(10, 999)}", f"{a(3)}-{r.randint(100, 9999)}", f"{r.randint(10, 99)}{a(2)}{r.randint(0, 9)}", f"{a(1)}-{r.randint(1000, 99999)}", f"{a(4)}"])
        if t == "hex":
            h = lambda k: "".join(r.choice("0123456789abcdef") for _ in range(k))
            return r.choice([h(4) + "-" + h(4), h(8), h(6)])
        if t == "word": return r.choice(self.words)
        if t == "phrase": return r.choice(self.phrases)
        if t == "colour": return r.choice(n["colours"])
        if t == "person": return self.person(r)
        if t == "place": return self.place(r)
        if t == "orgname": return self.key("org", r)
        if t == "address": return f"{r.randint(1, 250)} {self.name(r)} {r.choice(['Street', 'Road', 'Lane', 'Square', 'Avenue', 'Row'])}"
        if t == "job": return r.choice(n["jobs"])
        if t == "measure":
            x = r.choice([str(r.randint(2, 99)), str(r.randint(100, 9000)), f"{r.randint(1, 99)}.{r.randint(1, 9)}"])
            return f"{x} {r.choice(['metres', 'feet', 'miles', 'yards', 'kilometres', 'inches', 'km', 'm', 'cm', 'leagues'])}"
        if t == "weight": return f"{r.choice([r.randint(2, 99), r.randint(100, 9000)])} {r.choice(['pounds', 'kilograms', 'tons', 'kg', 'grams', 'stone', 'ounces'])}"
        if t == "cargo": return f"{r.randint(2, 999)} {r.choice(n['cargo'])} of {r.choice(n['goods'])}" if r.random() < .7 else f"{r.choice(n['goods'])} and {r.choice(n['goods'])}"
        if t == "items": return f"{r.randint(2, 999)} {r.choice(n['countables'])}" if r.random() < .6 else f"{r.choice(self.words)} {r.choice(n['countables'])}"
        if t == "hidingplace": return r.choice(n["hiding"])
        if t == "food": return r.choice(n["foods"])
        if t == "object_v": return r.choice([f"a {r.choice(n['materials'])} {r.choice(n['objects'])}", f"a {r.choice(self.words)} {r.choice(n['objects'])}", f"two {r.choice(n['colours'])} {r.choice(n['objects'])}s"])
        if t == "title": return self.title(r)
        if t == "phone": return r.choice([f"{r.randint(200, 999)}-{r.randint(1000, 9999)}", f"0{r.randint(10, 99)} {r.randint(100, 999)} {r.randint(100, 999)}", str(r.randint(1000, 99999))])
        if t == "temp": return f"{r.randint(-30, 99)}{r.choice([' degrees', '°C', ' degrees below zero', '°F'])}"
        if t == "version": return r.choice([f"{r.randint(1, 20)}.{r.randint(0, 20)}", f"{r.randint(1, 20)}.{r.randint(0, 20)}.{r.randint(0, 9)}", f"v{r.randint(1, 20)}.{r.randint(0, 20)}"])
        if t == "speed": return f"{r.randint(3, 900)} {r.choice(['knots', 'miles an hour', 'km/h', 'mph'])}"
        if t == "animalkind": return r.choice(n["animals"])
        if t == "subject": return r.choice(n["subjects"])
        if t == "langword": return r.choice(n["languages"])
        if t == "material": return r.choice(n["materials"])
        if t == "ordinal": return r.choice(n["ordinals"])
        raise KeyError(t)

    def repeat_heavy(self, r):
        """Numbers with repeated digits: the hard case for copying by 'what followed this digit'."""
        a = r.choice("0123456789")
        b = r.choice("0123456789")
        return r.choice("123456789") + "".join(r.choice([a, a, b]) for _ in range(r.randint(3, 7)))


CLOZE_KINDS = ["person", "person", "place", "place", "thing", "org", "project", "ship", "product", "room", "object", "event"]
CLOZE_VALUES = ["num", "num7", "count", "person", "person", "place", "word", "phrase", "code", "colour", "money", "date", "year", "time",
                "percent", "measure", "weight", "items", "hidingplace", "food", "object_v", "material", "animalkind", "job", "orgname", "hex"]
CLOZE_ASK = {
    "num": ["What", "What number", "Which number"], "num7": ["What", "What number", "Which number"], "count": ["How many", "What number"],
    "person": ["Who", "Who", "Whom", "Which person"], "place": ["Where", "Where", "Which place", "At which place", "From where"],
    "code": ["What", "Which code", "What code"], "hex": ["What", "Which code"], "colour": ["What colour", "Which colour", "What"],
    "money": ["How much", "How much", "What sum", "What"], "date": ["When", "When", "On what date"], "year": ["When", "In which year", "In what year"],
    "time": ["When", "At what time", "What time"], "percent": ["How much", "What share", "What"], "measure": ["How far", "How long", "What"],
    "weight": ["How much", "How heavy", "What"], "items": ["How many", "What"], "hidingplace": ["Where", "What"], "job": ["What", "Which trade"],
    "orgname": ["Who", "What", "Which firm"], "animalkind": ["What", "Which animal"],
}

# -- documents ---------------------------------------------------------------------------------------

@dataclass
class Options:
    absent: float = 0.08        # share of questions whose answer is not in the document
    real_qa: float = 0.2        # share of documents with a real extractive QA paragraph
    wrap: float = 0.35          # share of documents with lines broken as in PDF text
    max_facts: int = 64
    magic: float = 0.06         # share of facts from the magic-number families
    cloze: float = 0.0          # share of facts in the words of a book's sentence, no two alike
    families: tuple = ()        # restrict to these names (curriculum)


class Generator:
    def __init__(self, prepared, tokenizer, books="books", families=None):
        self.lex = Lexicon(prepared)
        self.tok = tokenizer
        self.books = [b for b in prepared[books].values() if len(b) > 30]
        # long books are cut down in weight, so that Gibbon and Plato do not dominate
        self.book_weight = [min(len(b), 1500) for b in self.books]
        self.families = families or load_families()
        self.by_name = {f.name: f for f in self.families}
        self.magic = [f for f in self.families if "magic" in f.name]
        self.qa = {k: v for k, v in prepared["qa"].items() if v}

    # facts

    def draw_fact(self, r, o):
        if o.families:
            f = self.by_name[r.choice(o.families)]
        elif r.random() < o.cloze:
            f = self.cloze_family(r)
        elif self.magic and r.random() < o.magic:
            f = r.choice([self.magic[0], self.magic[0], self.magic[-1]])
        elif "attr_is" in self.by_name and r.random() < .3:
            f = self.by_name["attr_is"]
        else:
            f = r.choice(self.families)
        return self.make_fact(f, r)

    def cloze_family(self, r):
        """A family of its own from one sentence of a book: one word becomes the key, another the value, and the
        question repeats some of the other words. Written templates are few, and a model learns them one by
        one; this has no end of phrasings, so what is left to learn is to match words."""
        while True:
            sentence = r.choice(r.choice(r.choice(self.books)))
            words = sentence.split()
            if not 7 <= len(words) <= 26 or "{" in sentence:
                continue
            content = [i for i, w in enumerate(words) if re.fullmatch(r"[a-z]{4,}[,.;]?", w) and w.strip(",.;") not in STOP]
            if len(content) < 5:
                continue
            vi, ki = r.sample(content, 2)
            if abs(vi - ki) > 12:
                continue
            kind, vtype = r.choice(CLOZE_KINDS), r.choice(CLOZE_VALUES)
            marks = {vi: "{v}", ki: "{k}"}
            fact = []
            for i, w in enumerate(words):
                if i in marks:
                    if fact and fact[-1].lower() in ("a", "an", "the", "his", "her", "their", "my", "your"):
                        fact.pop()
                    w = marks[i] + w[len(w.rstrip(",.;")):]
                fact.append(w)
            questions = [q for q in (self.cloze_question(words, vi, ki, vtype, r) for _ in range(3)) if q]
            if questions:
                return Family("cloze", [kind], [vtype], [" ".join(fact)], questions)

    def cloze_question(self, words, vi, ki, vtype, r):
        lo, hi = max(0, min(vi, ki) - r.randint(0, 6)), min(len(words), max(vi, ki) + r.randint(1, 7))
        ask = r.choice(CLOZE_ASK.get(vtype, ["What", "What", "Which", "Which thing"]))
        in_place = r.random() < .2      # "the farmer found what in the field?"
        out, content = [], 0
        for i in range(lo, hi):
            w = words[i].strip(",.;:!?\"“”‘’()—")
            if i == vi:
                if in_place: out.append(ask.lower())
            elif i == ki:
                out.append("{k}")
            elif w.lower() in STOP or len(w) < 4:
                if r.random() < .5: out.append(w)
            elif r.random() < .7:
                out.append(w); content += 1
        if content < 2:
            return None
        if not in_place:
            aux = r.choice(["did", "was", "is", "does", "had", "were", "", "", ""])
            out = [ask] + ([aux] if aux else []) + out
        q = " ".join(out) + "?"
        return q if len(q) < 90 else None

    def make_fact(self, f, r, key=None, attr=None, kind=None):
        lex = self.lex
        kind = kind or r.choice(f.keys)
        if f.name == "cloze":
            attr = f.facts[0]       # tells one cloze fact's identity from another's
        key = key or lex.key(kind, r)
        if f.values == ["*"]:
            if not attr:
                t = r.choice(list(lex.nouns["attributes"]))
                if r.random() < .4:
                    t = r.choice(["num", "person", "word", "code"])
                attr = r.choice(lex.nouns["attributes"][t])
            vtype = dict(lex.attr_types)[attr]
        else:
            vtype = r.choice(f.values)
            if not attr:
                attr = r.choice(lex.nouns["countables"]) if f.name == "how_many" else ""
        return Fact(f, kind, key, attr, vtype, lex.value(vtype, r))

    def related_fact(self, fact, r):
        """A hard distractor: the same relation for another key, or another relation of the key."""
        if r.random() < .6:
            key = self.lex.similar(fact.key, r) if r.random() < .6 else None
            return self.make_fact(fact.family, r, key=key, attr=fact.attr, kind=fact.kind)
        others = [f for f in self.families if (fact.kind in f.keys or "any" in f.keys)]
        f = r.choice(others)
        return self.make_fact(f, r, key=fact.key, kind=fact.kind)

    def draw_facts(self, r, n, o):
        facts, seen = [], set()
        tries = 0
        while len(facts) < n and tries < 4 * n + 20:
            tries += 1
            f = self.related_fact(r.choice(facts), r) if facts and r.random() < .5 else self.draw_fact(r, o)
            if f.identity() not in seen:
                seen.add(f.identity())
                facts.append(f)
        return facts

    def question(self, f, r, key=None, attr=None):
        q, _ = fill(r.choice(f.family.questions), key or f.key, attr or f.attr)
        k = r.random()
        if k < .12: q = q.lower()
        if r.random() < .15: q = q.rstrip("?.")
        if r.random() < .04: q = r.choice(["Please tell me: ", "Question: ", "According to the text, ", "In this document, "]) + q[0].lower() + q[1:]
        return q

    # prose

    def passage(self, r, chars):
        """Consecutive sentences of one book, with paragraph ends marked."""
        book = r.choices(self.books, self.book_weight)[0]
        i = r.randrange(len(book))
        out, n = [], 0
        while n < chars:
            p = book[i % len(book)]
            for j, s in enumerate(p):
                out.append((s, j == len(p) - 1))
                n += len(s) + 1
            i += 1
        return out

    def compose(self, r, chars, inserts, o):
        """Text with `inserts` = [(text, [(start, end), ...])] placed at random sentence gaps;
        returns the text and for each insert the absolute spans."""
        need = max(60, chars - sum(len(t) + 1 for t, _ in inserts))
        prose = self.passage(r, need) if r.random() < .7 else self.passage(r, need // 2) + self.passage(r, need // 2)
        gaps = sorted(((r.uniform(0, len(prose)), i) for i in range(len(inserts))))
        style = r.choice(["\n\n", "\n", " ", "\n\n"])
        listing = r.random() < .05     # facts as a list of lines
        parts, spans, pos = [], [None] * len(inserts), 0

        def put(s, sep):
            nonlocal pos
            if parts:
                parts.append(sep); pos += len(sep)
            parts.append(s); pos += len(s)

        sep, g = " ", 0
        for i, (s, end) in enumerate(prose + [(None, False)]):
            while g < len(gaps) and (gaps[g][0] < i or s is None):
                t, sp = inserts[gaps[g][1]]
                own = r.random() < .12 or listing
                if own: sep = style if style != " " else "\n"
                base = pos + (len(sep) if parts else 0)
                spans[gaps[g][1]] = [(a + base, b + base) for a, b in sp]
                put(t, sep)
                sep = (style if style != " " else "\n") if own else " "
                g += 1
            if s is None:
                break
            put(s, sep)
            sep = style if end else " "
            if o.wrap and r.random() < .01:
                put(r.choice([str(r.randint(1, 400)), f"Page {r.randint(1, 400)}", f"CHAPTER {r.randint(1, 60)}", f"{r.randint(1, 9)}.{r.randint(1, 9)} {self.lex.Word(r)}"]), "\n\n")
                sep = "\n\n"
        text = "".join(parts)
        if r.random() < o.wrap:
            text = wrap_lines(text, r.randint(50, 100), r)
        return text, spans

    # examples

    def pick_real(self, r):
        f = r.choices(list(self.qa), [QA_WEIGHT[k] for k in self.qa])[0]
        return f, r.choice(self.qa[f])

    def example(self, r, T, N, o):
        """(doc ids [T], [(question ids, answer ids, tag)] of length <= N), or None if nothing fits."""
        room = T * 3.4 * 0.6
        top = int(min(o.max_facts, max(1, room / 75)))
        nf = min(top, max(1, round(2 ** r.uniform(0.5, np.log2(top + 1)))))
        inserts, asks = [], []      # asks: (insert, span index, question, tag)
        if o.real_qa and r.random() < o.real_qa:
            used = 0
            for _ in range(r.choice([1, 2, 3])):
                f, (context, rows) = self.pick_real(r)
                if used + len(context) > room:
                    continue
                used += len(context)
                i = len(inserts)
                inserts.append((context, [(a, b) for _, a, b in rows]))
                rows = list(enumerate(rows)); r.shuffle(rows)
                for j, (q, _, _) in rows[:max(4, N // 2)]:
                    asks.append((i, j, q if r.random() > .1 else q.rstrip("?").lower(), "real:" + f))
            nf = max(1, min(nf, int((room - used) / 75)))
        facts = self.draw_facts(r, nf, o)
        first = len(inserts)
        for f in facts:
            t, span = fill(r.choice(f.family.facts), f.key, f.attr, f.value)
            inserts.append((t, [span]))
        r.shuffle(asks)
        asks = asks[: N - max(2, N // 4)]
        want = N + (N - len(asks))      # some will fall outside the window of T tokens
        order = list(range(len(facts)))
        r.shuffle(order)
        k, known = 0, {f.identity() for f in facts}
        while len(asks) < want:
            f = facts[order[k % len(order)]]
            if r.random() < o.absent:
                q = self.absent_question(f, known, r)
                if q:
                    asks.append((None, None, q, "absent"))
            else:
                asks.append((first + order[k % len(order)], 0, self.question(f, r), f.family.name))
            k += 1
        text, spans = self.compose(r, int(T * 3.7), inserts, o)
        enc = self.tok.encode(text, add_special_tokens=False)
        ids, off = enc.ids, enc.offsets
        if len(ids) < T - 1:
            extra = " ".join(s for s, _ in self.passage(r, (T - len(ids)) * 7 + 400)) + "\n"
            shift = len(extra)
            text = extra + text
            spans = [[(a + shift, b + shift) for a, b in s] for s in spans]
            enc = self.tok.encode(text, add_special_tokens=False)
            ids, off = enc.ids, enc.offsets
            if len(ids) < T - 1:
                return None
        starts = [a for a, _ in off]
        needed = {a[0] for a in asks if a[0] is not None}
        tokens = {i: [locate(starts, off, text, s) for s in spans[i]] for i in needed}
        # the window of T-1 tokens must hold the insert's text, not only the value
        lo_tok = {i: bisect(starts, spans[i][0][0] - (inserts[i][1][0][0])) for i in needed}
        hi_tok = {i: bisect(starts, spans[i][0][0] - inserts[i][1][0][0] + len(inserts[i][0])) for i in needed}
        first_t = min(lo_tok.values(), default=0)
        last_t = max(hi_tok.values(), default=0)
        lo, hi = max(0, last_t + 1 - (T - 1)), min(max(first_t - 1, 0), len(ids) - (T - 1))
        s = r.randint(min(lo, hi), max(lo, hi)) if lo <= hi else r.randint(0, len(ids) - (T - 1))
        e = s + T - 1
        pairs = []
        for i, j, q, tag in asks:
            qi = self.tok.encode(q, add_special_tokens=False).ids
            if len(qi) > QUESTION_LEN - 1:
                continue
            if i is None:
                pairs.append((qi, [ABSENT], tag))
                continue
            t = tokens[i][j]
            if t is None or t[1] - t[0] > ANSWER_LEN - 1 or lo_tok[i] < s or hi_tok[i] > e + 1:
                continue
            if t[0] < s or t[1] > e:
                continue
            pairs.append((qi, ids[t[0]:t[1]], tag))
        if not any(p[2] != "absent" for p in pairs):
            return None
        r.shuffle(pairs)
        return [BOS] + ids[s:e], pairs[:N], text

    def absent_question(self, f, known, r):
        """A question near a fact that is there, but whose own fact is not."""
        k = r.random()
        if k < .45:
            key = self.lex.similar(f.key, r)
            if not key or any(i[2] == key for i in known):
                return None
            return self.question(f, r, key=key)
        if k < .75:
            g = self.make_fact(f.family, r, attr=f.attr)
        else:
            g = self.make_fact(r.choice([x for x in self.families if f.kind in x.keys or "any" in x.keys]), r, key=f.key, kind=f.kind)
            # relations that share a meaning would make the question answerable after all
            mine = {i[0] for i in known if i[2] == f.key}
            if g.family.name in mine and g.family.values != ["*"]:
                return None
        if g.identity() in known:
            return None
        if g.family.values == ["*"] and any(i[2] == g.key and i[0] != "attr_is" for i in known):
            return None
        return self.question(g, r)

    def batch(self, r, B, T, N, o):
        S = QUESTION_LEN + ANSWER_LEN
        doc = np.zeros((B, T), np.int64)
        qa = np.zeros((B, N, S), np.int64)
        pos = np.full((B, N, S), T, np.int64)
        target = np.full((B, N, ANSWER_LEN), -100, np.int64)
        tags = [[""] * N for _ in range(B)]
        for b in range(B):
            ex = None
            while ex is None:
                ex = self.example(r, T, N, o)
            doc[b] = ex[0]
            for n, (q, a, tag) in enumerate(ex[1][:N]):
                row = [QUESTION] + q + [ANSWER] + a
                s = QUESTION_LEN - 1 - len(q)
                qa[b, n, s:s + len(row)] = row
                pos[b, n, s:] = T + np.arange(S - s)
                target[b, n, :len(a) + 1] = a + [EOS]
                tags[b][n] = tag
        return doc, qa, pos, target, tags


def bisect(starts, c):
    import bisect as b
    return max(0, b.bisect_right(starts, c) - 1)


def locate(starts, off, text, span):
    """Token range of the span with the white space before it; None if tokens do not line up."""
    a, b = span
    i = bisect(starts, a)
    while i > 0 and off[i][0] == off[i - 1][0]:
        i -= 1
    if off[i][0] != a and not (off[i][0] == a - 1 and text[a - 1].isspace()):
        if text[off[i][0]:a].strip():
            return None
    if off[i][0] == a and i > 0 and text[off[i - 1][0]:off[i - 1][1]].isspace():
        i -= 1
    j = i
    while j < len(off) and off[j][0] < b:
        j += 1
    if off[j - 1][1] != b:
        return None
    return i, j


def wrap_lines(text, width, r):
    """Break lines at `width` by turning spaces into newlines: offsets stay valid."""
    out, col, last = list(text), 0, -1
    for i, c in enumerate(text):
        if c == "\n":
            col, last = 0, -1
            continue
        col += 1
        if c == " ":
            last = i
        if col > width and last >= 0:
            out[last] = "\n"
            col = i - last
            last = -1
    return "".join(out)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--corpora", required=True, help="folder of books *.txt and QA *.jsonl")
    ap.add_argument("--cities", required=True, help="cities.json of the recall evaluation")
    ap.add_argument("--out", default="work/prepared.pkl")
    a = ap.parse_args()
    Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    prepare(a.corpora, a.cities, a.out)
