"""Facts and questions from the sentences of books and articles themselves. Written relations are few, and a model learns them one
by one; sentences have no end of phrasings, so what is left to learn is to match words: the same ones, other forms of them, and
words of the same meaning."""
import re

from lexicon import STOP, Family

KINDS = ["person", "person", "place", "place", "thing", "org", "project", "ship", "product", "room", "object", "event"]
VALUES = ["num", "num7", "count", "person", "person", "place", "word", "phrase", "code", "colour", "money", "date", "year", "time",
          "percent", "measure", "weight", "items", "hidingplace", "food", "object_v", "material", "animalkind", "job", "orgname", "hex"]
ASK = {
    "num": ["What", "What number", "Which number"], "num7": ["What", "What number", "Which number"], "count": ["How many", "What number"],
    "person": ["Who", "Who", "Whom", "Which person"], "place": ["Where", "Where", "Which place", "At which place", "From where"],
    "code": ["What", "Which code", "What code"], "hex": ["What", "Which code"], "colour": ["What colour", "Which colour", "What"],
    "money": ["How much", "How much", "What sum", "What"], "date": ["When", "When", "On what date"], "year": ["When", "In which year", "In what year"],
    "time": ["When", "At what time", "What time"], "percent": ["How much", "What share", "What"], "measure": ["How far", "How long", "What"],
    "weight": ["How much", "How heavy", "What"], "items": ["How many", "What"], "hidingplace": ["Where", "What"], "job": ["What", "Which trade"],
    "orgname": ["Who", "What", "Which firm"], "animalkind": ["What", "Which animal"],
}
AUXILIARIES = ["did", "was", "is", "does", "had", "were", "", "", ""]
MARKS = ",.;:!?\"“”‘’()—"


def question_words(words, spots, lo, hi, r, thesaurus, vary):
    """The words of a sentence from lo to hi as a question repeats them: `spots` {index: text put there}, some little words and
    some of the others dropped, some varied. Returns (words, how many meaningful ones are left)."""
    out, content = [], 0
    for i in range(lo, hi):
        w = words[i].strip(MARKS)
        if i in spots:
            if spots[i]:
                out.append(spots[i])
        elif w.lower() in STOP or len(w) < 4:
            if r.random() < .55 and w:
                out.append(w)
        elif r.random() < .75:
            out.append(thesaurus.vary(w, r) if r.random() < vary else w)
            content += 1
    return out, content


def cloze_family(r, books, thesaurus, vary):
    """A family of its own from one sentence of a book: one word becomes the key, another the value."""
    while True:
        words = r.choice(r.choice(r.choice(books))).split()
        if not 7 <= len(words) <= 26 or any("{" in w for w in words):
            continue
        content = [i for i, w in enumerate(words) if re.fullmatch(r"[a-z]{4,}[,.;]?", w) and w.strip(",.;") not in STOP]
        if len(content) < 5:
            continue
        vi, ki = r.sample(content, 2)
        if abs(vi - ki) > 12:
            continue
        kind, vtype = r.choice(KINDS), r.choice(VALUES)
        marks = {vi: "{v}", ki: "{k}"}
        fact = []
        for i, w in enumerate(words):
            if i in marks:
                if fact and fact[-1].lower() in ("a", "an", "the", "his", "her", "their", "my", "your"):
                    fact.pop()
                w = marks[i] + w[len(w.rstrip(",.;")):]
            fact.append(w)
        questions = [q for q in (cloze_question(words, vi, ki, vtype, r, thesaurus, vary) for _ in range(3)) if q]
        if questions:
            return Family("cloze", [kind], [vtype], [" ".join(fact)], questions)


def cloze_question(words, vi, ki, vtype, r, thesaurus, vary):
    lo, hi = max(0, min(vi, ki) - r.randint(0, 6)), min(len(words), max(vi, ki) + r.randint(1, 7))
    ask = r.choice(ASK.get(vtype, ["What", "What", "Which", "Which thing"]))
    in_place = r.random() < .2      # "the farmer found what in the field?"
    out, content = question_words(words, {vi: ask.lower() if in_place else "", ki: "{k}"}, lo, hi, r, thesaurus, vary)
    if content < 2:
        return None
    if not in_place:
        out = [w for w in [ask, r.choice(AUXILIARIES)] if w] + out
    q = " ".join(out) + "?"
    return q if len(q) < 110 else None


MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = re.compile(rf"\b(?:\d{{1,2}} (?:{MONTH})(?: \d{{4}})?|(?:{MONTH}) \d{{1,2}}(?:, \d{{4}})?|(?:{MONTH}) \d{{4}})\b")
NUMBER = re.compile(r"[$£€]?\b\d[\d,.]*\d\b%?|\b\d\b%?")
NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w’'-]+(?: (?:of |the |de |von )?[A-Z][\w’'-]+)*")
NOUNS = re.compile(r"\b(?:an?|the|his|her|their|its|some|two|three|four|five|six|several) (?:[a-z]+ ){0,2}[a-z]{3,}"
                   r"(?=[,.;]| (?:in|on|of|at|to|and|for|with|by|from|that|who|which|was|were|is|had|when|where)\b)")
PLACE_BEFORE = {"in", "at", "from", "near", "to", "on", "into", "through"}


def natural(r, sentence, thesaurus, vary):
    """((start, end), question): a date, number, name or phrase of a sentence, asked for in the sentence's own words, some varied.
    None if there is nothing to ask."""
    if not 30 <= len(sentence) <= 320:
        return None
    for pattern in sorted((DATE, NUMBER, NAME, NOUNS), key=lambda p: r.random() * (3 if p is DATE else 1), reverse=True):
        found = [m for m in pattern.finditer(sentence) if m.end() - m.start() <= 45]
        if found:
            break
    else:
        return None
    m = r.choice(found)
    before, after = sentence[:m.start()].split(), sentence[m.end():].split()
    previous = before[-1].strip(MARKS).lower() if before else ""
    where = previous in PLACE_BEFORE
    skip = 0
    if pattern is DATE or re.fullmatch(r"1[0-9]{3}|20\d\d", m.group()) and previous in ("in", "since", "by", "until", "of", "from", "during"):
        ask = r.choice(["When", "When", "In what year", "On what date", "What year"])
    elif pattern is NUMBER:
        noun = after[0].strip(MARKS) if after and re.fullmatch(r"[a-z]{3,}[,.;]?", after[0]) else ""
        if m.group()[0] in "$£€":
            ask = r.choice(["How much", "How much money", "What amount"])
        elif m.group().endswith("%") or noun in ("percent", "per"):
            ask = r.choice(["What percentage", "How much", "What share"])
        elif noun and noun not in STOP and r.random() < .8:
            ask, skip = "How many " + noun, 1
        else:
            ask = r.choice(["How many", "What number", "How much"])
    elif where and r.random() < .6:
        ask = r.choice(["Where", "Where", "In what place", "Which place"])
    else:
        ask = r.choice(["Who", "Who", "What", "Which"]) if pattern is NAME else "What"
    words = before + [m.group()] + after
    v = len(before)
    lo, hi = max(0, v - r.randint(3, 9)), min(len(words), v + 1 + r.randint(3, 9))
    if where or previous in ("by", "with", "of", "a", "an", "the"):
        words[v - 1] = ""
    spots = {v: "", **({v + 1: ""} if skip else {})}
    out, content = question_words(words, spots, lo, hi, r, thesaurus, vary)
    if content < 2 or m.group().lower() in " ".join(out).lower():
        return None
    q = " ".join([w for w in [ask, r.choice(AUXILIARIES)] if w] + out) + "?"
    if len(q) > 150:
        return None
    return m.span(), q
