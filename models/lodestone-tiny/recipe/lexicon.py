"""Keys and values for facts, and the written relations that join them.

Every draw takes the caller's random generator. Nothing that the evaluation uses is ever drawn: no name from cities.json."""
import json
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
STOP = set("the a an of in on at to for and or is was were are by with from that this it as & upon".split())


def load_cities(path):
    return json.loads(Path(path).read_text())["cities"]


def city_pattern(cities):
    return re.compile(r"\b(" + "|".join(re.escape(c) for c in sorted(cities, key=len, reverse=True)) + r")\b", re.I)


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
