"""Training data: documents of real prose that hold facts, and questions about the facts.

`Generator.example` writes a document of exactly T tokens with its questions; `Generator.batch` packs them.

An answer is a slice of the document's own tokens, starting with the white space before the value and ending with it, so that
answering is copying; white space is collapsed after decoding. Nothing that the evaluation uses occurs here: no name from
cities.json, no held-out phrasing, no held-out book, no SQuAD paragraph (see test_data.py).
"""
import re
from dataclasses import dataclass

import numpy as np

from cloze import cloze_family, natural
from lexicon import Fact, Lexicon, fill, load_families
from wordnet import Thesaurus

PAD, EOS, BOS, UNK, QUESTION, ANSWER, ABSENT = range(7)
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<question>", "<answer>", "<absent>"] + [f"<unused{i}>" for i in range(9)]
ROW = 64        # tokens of a row of packed pairs
TARGETS = 24    # predicted tokens per row, at most
ANSWER_LEN = 20     # tokens of an answer, at most
QA_WEIGHT = {"squadshifts_new_wiki": 4, "qamr": 4, "fairytaleqa": 2, "qasrl_gs": 1, "qadiscourse": 1, "qed_nq": 0.2, "tatqa": 0.4,
             "covidqa": 0.4, "timeqa": 0.5}

@dataclass
class Options:
    absent: float = 0.08        # share of questions whose answer is not in the document
    real: float = 0.3           # share of documents that are made of real question-answer paragraphs
    wrap: float = 0.35          # share of documents with lines broken as in PDF text
    max_facts: int = 64
    magic: float = 0.06         # share of facts from the magic-number families
    cloze: float = 0.0          # share of facts in the words of a book's sentence, with a made-up key and value
    natural: float = 0.0        # share of documents asked about sentences of books and articles as they stand
    vary: float = 0.3           # share of a question's words that are put in another form or by a synonym
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
        self.articles = [a for a in prepared["articles"].values() if len(a) > 3]
        self.thesaurus = Thesaurus(*prepared["thesaurus"], prepared["known"])

    # facts

    def draw_fact(self, r, o):
        if o.families:
            f = self.by_name[r.choice(o.families)]
        elif r.random() < o.cloze:
            f = cloze_family(r, self.books, self.thesaurus, o.vary)
        elif self.magic and r.random() < o.magic:
            f = r.choice([self.magic[0], self.magic[0], self.magic[-1]])
        elif "attr_is" in self.by_name and r.random() < .3:
            f = self.by_name["attr_is"]
        else:
            f = r.choice(self.families)
        return self.make_fact(f, r)

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

    def question(self, f, r, o, key=None, attr=None):
        q = r.choice(f.family.questions)
        if f.family.name != "cloze" and r.random() < o.vary:     # cloze questions are varied already
            q = " ".join(self.thesaurus.vary(w, r) if len(w) > 4 and r.random() < .5 else w for w in q.split(" "))
        q, _ = fill(q, key or f.key, attr or f.attr)
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

    def natural_asks(self, r, room, n, o):
        """Consecutive sentences of a book or an article, about `room` characters, and at most n questions on them, made from
        their own words; a few ask about sentences that are not there."""
        asks, text = [], ""
        while not asks:
            book = r.choice(self.articles if self.articles and r.random() < .5 else self.books)
            prose = [s for p in book[r.randrange(len(book)):][:12] for s in p]
            text, at = "", []
            for s in prose:
                if text and len(text) + len(s) > room:
                    break
                at.append((len(text), s))
                text += s + " "
            if self.lex.forbidden.search(text):
                continue
            spans = []
            for _ in range(3):
                for base, s in at:
                    found = natural(r, s, self.thesaurus, o.vary)
                    if found:
                        (a, b), q = found
                        asks.append((0, len(spans), q, "natural"))
                        spans.append((base + a, base + b))
            for s in prose[len(at):][:len(asks)]:
                found = natural(r, s, self.thesaurus, o.vary)
                if found and r.random() < 2 * o.absent:
                    asks.append((None, None, found[1], "absent natural"))
            r.shuffle(asks)
        return [(text.rstrip(), spans)], asks[:n]

    def real_asks(self, r, room, n):
        """Paragraphs of one question-answer set, about `room` characters, and about n questions on them. A paragraph that is too
        long is cut to sentences around an answer; a question whose answer was cut away has none."""
        f = r.choices(list(self.qa), [QA_WEIGHT[k] for k in self.qa])[0]
        inserts, rows, used = [], [], 0
        for context, questions in r.sample(self.qa[f], min(len(self.qa[f]), 40)):
            if inserts and used + len(context) > room:
                break
            if len(context) > room:
                context, questions, lost = cut_context(r, context, questions, room)
                rows += [(None, None, q, "absent cut") for q in lost[:max(1, len(questions) // 3)]]
            rows += [(len(inserts), j, q, "real:" + f) for j, (q, _, _) in enumerate(questions)]
            inserts.append((context, [(a, b) for _, a, b in questions]))
            used += len(context)
        r.shuffle(rows)
        return f, inserts, [(i, j, q if r.random() > .1 else q.rstrip("?").lower(), tag) for i, j, q, tag in rows[:n]]

    def example(self, r, T, N, o):
        """(doc ids [T], [(question ids, answer ids, tag)], text) with at most N pairs, or None if nothing fits."""
        room = T * 4.0 * 0.6
        want = N + N // 2       # some will fall outside the window of T tokens
        inserts, asks = [], []      # inserts: (text, spans); asks: (insert, index of the span, question, tag)
        kind = r.random()
        if kind < o.real:
            f, inserts, asks = self.real_asks(r, T * 4.0 * r.choice([.4, .6, .8]), want)
            for _ in range(round(len(asks) * o.absent * r.uniform(0, 2))):
                context, rows = r.choice(self.qa[f])
                if all(context != t for t, _ in inserts):
                    asks.append((None, None, r.choice(rows)[0], "absent real"))
        elif kind < o.real + o.natural:
            inserts, asks = self.natural_asks(r, T * 4.0 * r.choice([.4, .6, .8]), want, o)
        else:
            top = int(min(o.max_facts, max(1, room / 75)))
            nf = min(top, max(1, round(2 ** r.uniform(0.5, np.log2(top + 1)))))
            facts = self.draw_facts(r, nf, o)
            for f in facts:
                t, span = fill(r.choice(f.family.facts), f.key, f.attr, f.value)
                inserts.append((t, [span]))
            known = {f.identity() for f in facts}
            tries = 0
            while len(asks) < want and tries < 4 * want:
                f, k = facts[tries % len(facts)], tries % len(facts)
                tries += 1
                if r.random() < o.absent:
                    q = self.absent_question(f, known, r, o)
                    if q:
                        asks.append((None, None, q, "absent"))
                else:
                    asks.append((k, 0, self.question(f, r, o), f.family.name))
        text, spans = self.compose(r, int(T * 4.3), inserts, o)
        enc = self.tok.encode(text, add_special_tokens=False)
        ids, off = enc.ids, enc.offsets
        if len(ids) < T - 1:
            extra = " ".join(s for s, _ in self.passage(r, (T - len(ids)) * 8 + 400)) + "\n"
            shift = len(extra)
            text = extra + text
            spans = [[(a + shift, b + shift) for a, b in s] for s in spans]
            enc = self.tok.encode(text, add_special_tokens=False)
            ids, off = enc.ids, enc.offsets
            if len(ids) < T - 1:
                return None
        starts = [a for a, _ in off]
        needed = {a[0] for a in asks if a[0] is not None}
        if not needed:
            return None
        base = {i: spans[i][0][0] - inserts[i][1][0][0] for i in needed}     # where the insert's text begins
        # the window of T-1 tokens must hold the insert's text, not only the value
        lo_tok = {i: bisect(starts, base[i]) for i in needed}
        hi_tok = {i: bisect(starts, base[i] + len(inserts[i][0]) - 1) for i in needed}
        first_t, last_t = min(lo_tok.values()), max(hi_tok.values())
        if last_t - first_t < T - 1:
            lo, hi = max(0, last_t + 1 - (T - 1)), min(first_t, len(ids) - (T - 1))
        else:
            lo, hi = min(first_t, len(ids) - (T - 1)), min(last_t + 1 - (T - 1), len(ids) - (T - 1))
        s = r.randint(min(lo, hi), max(lo, hi))
        e = s + T - 1
        pairs = []
        for i, j, q, tag in asks:
            if i is None:
                qi, a = self.tok.encode(q, add_special_tokens=False).ids, [ABSENT]
            else:
                if lo_tok[i] < s or hi_tok[i] >= e:
                    continue
                t = locate(starts, off, text, spans[i][j])
                if t is None or t[0] < s or t[1] > e or t[1] - t[0] > ANSWER_LEN:
                    continue
                qi, a = self.tok.encode(q, add_special_tokens=False).ids, ids[t[0]:t[1]]
            if len(qi) + len(a) + 2 <= ROW:
                pairs.append((qi, a, tag))
        if not any(p[1] != [ABSENT] for p in pairs):
            return None
        r.shuffle(pairs)
        return [BOS] + ids[s:e], pairs[:N], text

    def absent_question(self, f, known, r, o):
        """A question near a fact that is there, but whose own fact is not."""
        k = r.random()
        if k < .45:
            key = self.lex.similar(f.key, r)
            if not key or any(i[2] == key for i in known):
                return None
            return self.question(f, r, o, key=key)
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
        return self.question(g, r, o)

    def batch(self, r, B, T, R, o):
        """B documents of T tokens, the questions of each packed into R rows: a dict of arrays.
          doc [B, T]; qa [B, R, ROW] token ids; pos [B, R, ROW] positions; pair [B, R, ROW] number of the pair, -1 for padding
          at [B, R, TARGETS] column whose output predicts; target [B, R, TARGETS] token id, -100 for none
        and `tags` [B][pair], one string per pair."""
        out = dict(doc=np.zeros((B, T), np.int64), qa=np.zeros((B, R, ROW), np.int64), pos=np.full((B, R, ROW), T, np.int64),
                   pair=np.full((B, R, ROW), -1, np.int64), at=np.zeros((B, R, TARGETS), np.int64), target=np.full((B, R, TARGETS), -100, np.int64))
        tags = []
        for b in range(B):
            ex = None
            while ex is None:
                ex = self.example(r, T, R * 5, o)
            out["doc"][b] = ex[0]
            tags.append(pack(ex[1], T, R, {k: v[b] for k, v in out.items() if k != "doc"}))
        return out, tags


def pack(pairs, T, R, rows):
    """First fit of pairs into R rows of ROW tokens; fills the views of one document's arrays, returns the tags of those placed."""
    used, targets, tags = [0] * R, [0] * R, []
    for q, a, tag in pairs:
        ids = [QUESTION] + q + [ANSWER] + a
        for i in range(R):
            if used[i] + len(ids) <= ROW and targets[i] + len(a) + 1 <= TARGETS:
                break
        else:
            continue
        c, t = used[i], targets[i]
        rows["qa"][i, c:c + len(ids)] = ids
        rows["pos"][i, c:c + len(ids)] = T + np.arange(len(ids))
        rows["pair"][i, c:c + len(ids)] = len(tags)
        first = c + len(q) + 1      # the column of <answer>
        rows["at"][i, t:t + len(a) + 1] = np.arange(first, first + len(a) + 1)
        rows["target"][i, t:t + len(a) + 1] = a + [EOS]
        used[i] += len(ids)
        targets[i] += len(a) + 1
        tags.append(tag)
    return tags


def cut_context(r, context, questions, room):
    """(sentences of the context around one question's answer, at most about `room` characters, or that one if it is longer;
    the questions [(question, start, end)] whose answers are in it; the texts of the others)."""
    ends = [m.end() for m in re.finditer(r"[.!?;][\"”’')]*\s+|\n", context)] + [len(context)]
    spans = list(zip([0] + ends[:-1], ends))
    _, start, end = r.choice(questions)
    i = next(k for k, s in enumerate(spans) if s[1] > start)
    j = next(k for k, s in enumerate(spans) if s[1] >= end)
    while True:
        more = [(a, b) for a, b in ((i - 1, j), (i, j + 1)) if a >= 0 and b < len(spans) and spans[b][1] - spans[a][0] <= room]
        if not more:
            break
        i, j = r.choice(more)
    a, b = spans[i][0], spans[j][1]
    kept = [(q, x - a, y - a) for q, x, y in questions if x >= a and y <= b]
    return context[a:b].rstrip(), [(q, x, y) for q, x, y in kept if y <= len(context[a:b].rstrip())], [q for q, x, y in questions if y <= a or x >= b]


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
