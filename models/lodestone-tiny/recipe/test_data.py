"""Tests of the data: leakage into training, spans, packing, other words for a word. Run: python -m unittest test_data

The work files are looked for in work/ or where LODESTONE_PREPARED, LODESTONE_TOKENIZER and LODESTONE_WORDNET say, SQuAD's
development set where LODESTONE_SQUAD says. A test that lacks its file is skipped, and says so on stderr."""
import json
import os
import pickle
import random
import re
import sys
import unittest
from pathlib import Path

import numpy as np
import torch

import wordnet
from cloze import natural
from corpora import shingles, squad_paragraphs
from data import ABSENT, ANSWER, ANSWER_LEN, EOS, QUESTION, ROW, SPECIAL, TARGETS, Generator, Options, cut_context, pack, wrap_lines
from lexicon import HERE, city_pattern, fill, load_eval_families, load_families
from transplant import transplant
from wordnet import Thesaurus


def found(variable, usual):
    """The path that a variable or the recipe's habit names, or None, said aloud."""
    path = Path(os.environ.get(variable, usual))
    if path.exists():
        return path
    print(f"test_data: {path} is not there (set {variable}): tests that need it are skipped", file=sys.stderr)


PREPARED = found("LODESTONE_PREPARED", HERE / "work" / "prepared.pkl")
TOKENIZER = found("LODESTONE_TOKENIZER", HERE / "work" / "tokenizer.json")
WORDNET = found("LODESTONE_WORDNET", "/usr/share/wordnet/")
SQUAD = found("LODESTONE_SQUAD", HERE / "work" / "squad-dev.json")


def plain(t):
    return re.sub(r"\W+", " ", t.lower()).strip()


class TemplateTest(unittest.TestCase):
    def test_every_fact_has_key_and_value(self):
        for f in load_families() + load_eval_families():
            self.assertTrue(f.facts and f.questions, f.name)
            for t in f.facts:
                self.assertEqual((t.count("{k}"), t.count("{v}")), (1, 1), t)
            for t in f.questions:
                self.assertEqual((t.count("{k}"), t.count("{v}")), (1, 0), t)

    def test_size(self):
        fs = load_families()
        self.assertGreaterEqual(len(fs), 40)
        self.assertGreaterEqual(sum(len(f.facts) for f in fs), 150)

    def test_held_out_phrasings_are_not_trained(self):
        trained = {plain(t) for f in load_families() for t in f.facts + f.questions}
        trained_text = " | ".join(trained)
        for f in load_eval_families():
            for t in f.facts + f.questions:
                self.assertNotIn(plain(t), trained)
                # no run of four words in common either, slots aside
                words = plain(t).split()
                for i in range(len(words) - 3):
                    run = words[i:i + 4]
                    if not {"k", "v", "a", "n"} & set(run):
                        self.assertFalse(" ".join(run) in trained_text, f"{run} of {t}")

    def test_fill_span(self):
        t, (a, b) = fill("{v} opens {k}.", "the Harrow archive", "", "4412")
        self.assertEqual((t[a:b], t), ("4412", "4412 opens the Harrow archive."))
        t, _ = fill("The {k} {a} is {v}.", "the Harrow archive", "height", "4 m")
        self.assertEqual(t, "The Harrow archive height is 4 m.")

    def test_wrap_keeps_length(self):
        s = "a b c d e f g h " * 40
        w = wrap_lines(s, 50, random.Random(0))
        self.assertEqual(len(w), len(s))
        self.assertLessEqual(max(map(len, w.split("\n"))), 51)


def unpack(doc, qa, pos, pair, at, target):
    """The pairs of one document's rows, checked on the way: [(question ids, answer ids)] in their order."""
    pairs = {}
    for i in range(len(qa)):
        for n in set(pair[i].tolist()) - {-1}:
            assert n not in pairs, f"pair {n} stands in two rows"
            columns = np.flatnonzero(pair[i] == n)
            assert (np.diff(columns) == 1).all(), f"pair {n} is not in one piece"
            assert (pos[i][columns] == len(doc) + np.arange(len(columns))).all()
            ids = qa[i][columns].tolist()
            assert ids[0] == QUESTION and ids.count(ANSWER) == 1 and ids.count(QUESTION) == 1
            k = ids.index(ANSWER)
            q, a = ids[1:k], ids[k + 1:]
            mine = (target[i] != -100) & (pair[i][at[i]] == n)
            assert target[i][mine].tolist() == a + [EOS]
            assert at[i][mine].tolist() == [columns[0] + k + j for j in range(len(a) + 1)]
            pairs[n] = q, a
        assert (qa[i][pair[i] == -1] == 0).all()
    assert sorted(pairs) == list(range(len(pairs)))
    return [pairs[n] for n in range(len(pairs))]


class PackTest(unittest.TestCase):
    def test_pack(self):
        r = np.random.default_rng(0)
        for R in (1, 3, 8):
            pairs = [(r.integers(16, 99, r.integers(1, 40)).tolist(), r.integers(16, 99, r.integers(1, ANSWER_LEN)).tolist(), str(n)) for n in range(30)]
            rows = dict(qa=np.zeros((R, ROW), np.int64), pos=np.full((R, ROW), 128), pair=np.full((R, ROW), -1),
                        at=np.zeros((R, TARGETS), np.int64), target=np.full((R, TARGETS), -100))
            tags = pack(pairs, 128, R, rows)
            self.assertGreaterEqual(len(tags), R)
            self.assertEqual(unpack(range(128), **rows), [pairs[int(t)][:2] for t in tags])


class NaturalTest(unittest.TestCase):
    SENTENCES = [
        "The bridge over the Tamar was opened by Prince Albert on 2 May 1859.", "It had cost £225,000 and carried 41 trains a day.",
        "In the evening the old gardener brought a basket of apples from the orchard.", "He had walked seven miles through the rain.",
        "Of the 312 passengers only 9 were saved, and the captain, John Ridley, was lost with his ship near the Scilly Isles in 1707."]

    def questions(self, vary, n=600):
        """(sentence, (start, end), question), many."""
        r, empty = random.Random(0), Thesaurus({p: {} for p in wordnet.POS}, {}, {})
        for _ in range(n):
            sentence = r.choice(self.SENTENCES)
            found = natural(r, sentence, empty, vary)
            if found:
                yield (sentence, *found)

    def test_answer_is_in_the_sentence_and_not_in_the_question(self):
        seen = set()
        for text, (a, b), q in self.questions(.3):
            answer = text[a:b]
            seen.add(answer)
            self.assertRegex(answer, r"^\S(.*\S)?$")
            self.assertFalse(text[a - 1:a].isalnum() or text[b:b + 1].isalnum(), answer)
            self.assertNotIn(answer.lower(), q.lower())
            self.assertTrue(q.endswith("?") and len(q) <= 150)
        self.assertLessEqual({"2 May 1859", "£225,000", "312", "Prince Albert"}, seen)
        self.assertGreater(len(seen), 8)

    def test_when_is_asked_for_dates_only(self):
        for text, (a, b), q in self.questions(0):
            if q.startswith(("When", "On what date", "In what year")):
                self.assertRegex(text[a:b], r"\d{4}$")


class CutTest(unittest.TestCase):
    def test_kept_and_lost(self):
        sentences = [f"Sentence {i} names the colour of room {i}, {c}." for i, c in enumerate(["red", "blue", "green", "white", "black", "grey"])]
        context = " ".join(sentences)
        questions = [(f"q{i}", context.index(c), context.index(c) + len(c)) for i, c in enumerate(["red,", "blue", "green", "white", "black", "grey"]) if i]
        r = random.Random(0)
        for room in (20, 100, 150):
            for _ in range(30):
                text, kept, lost = cut_context(r, context, questions, room)
                self.assertIn(text, context)
                self.assertLessEqual(len(text), max(room, max(map(len, sentences))))
                self.assertTrue(kept)
                self.assertEqual(sorted([q for q, _, _ in kept] + lost), [q for q, _, _ in questions])
                for q, a, b in kept:
                    _, x, y = questions[int(q[1:]) - 1]
                    self.assertEqual(text[a:b], context[x:y])


class WordsTest(unittest.TestCase):
    def test_inflect(self):
        for lemma, ending, form in [("carry", "s", "carries"), ("box", "s", "boxes"), ("day", "s", "days"), ("bake", "ed", "baked"), ("bake", "ing", "baking"),
                                    ("carry", "ed", "carried"), ("carry", "ing", "carrying"), ("play", "ed", "played"), ("ship", "", "ship")]:
            self.assertEqual(Thesaurus.inflect(lemma, ending), form)

    def test_base(self):
        t = Thesaurus({"noun": {"city": ["town"]}, "verb": {"bake": ["cook"], "stop": ["halt"], "carry": []}, "adj": {}, "adv": {}}, {}, {"went": "go"})
        for form, want in [("cities", ("city", "s")), ("baked", ("bake", "ed")), ("baking", ("bake", "ing")), ("stopped", ("stop", "ed")),
                           ("went", ("go", "")), ("gherkins", ("gherkins", "")), ("bake", ("bake", ""))]:
            self.assertEqual(t.base(form), want)
        r = random.Random(0)
        self.assertLessEqual({t.vary("baked", r) for _ in range(99)}, {"bake", "cook", "cooked", "baked"})
        self.assertEqual({t.vary(w, r) for w in ["Baked", "no-one", "7"] for _ in range(9)}, {"Baked", "no-one", "7"})

    @unittest.skipUnless(WORDNET, "no WordNet")
    def test_wordnet(self):
        synonyms, derived, irregular = wordnet.load(WORDNET)
        self.assertEqual((irregular["bought"], irregular["taken"]), ("buy", "take"))
        self.assertIn("purchase", synonyms["verb"]["buy"])
        self.assertIn("discovery", derived["discover"])
        t = Thesaurus(synonyms, derived, irregular, known={"purchase"})
        self.assertEqual(t.base("discovered"), ("discover", "ed"))
        r = random.Random(0)
        self.assertLessEqual({t.vary("buying", r) for _ in range(99)}, {"buy", "purchase", "purchasing", "buying"})      # known words only


class TransplantTest(unittest.TestCase):
    def test_shared_tokens_keep_their_vectors(self):
        from tokenizer import build
        old, new = build(["the captain of the ship sailed the sea"] * 9, 300), build(["the captain was at sea and the sailor ashore"] * 9, 304)
        self.assertLess(16 + 256, old.get_vocab_size())
        torch.manual_seed(0)
        e = torch.randn(old.get_vocab_size(), 32)
        meaning = torch.nn.functional.normalize(torch.randn(new.get_vocab_size(), 32), dim=1)
        got, mixed = (transplant(e, old, new, meaning, share) for share in (0, .5))
        shared = [(i, old.get_vocab()[piece]) for piece, i in new.get_vocab().items() if piece in old.get_vocab()]
        self.assertGreater(len(shared), 270)
        self.assertLess(len(shared), new.get_vocab_size())
        for i, j in shared:
            torch.testing.assert_close(got[i], e[j])
            self.assertEqual(bool(torch.equal(mixed[i], e[j])), i < len(SPECIAL))
        usual = e.norm(dim=1).mean()
        self.assertTrue(((got.norm(dim=1) / usual).log().abs() < 1).all())      # new ones have a usual length


@unittest.skipUnless(PREPARED and TOKENIZER, "no prepared data")
class GeneratorTest(unittest.TestCase):
    MIXTURES = [dict(absent=.2, real=.5), dict(absent=.15, real=0, cloze=.4, natural=.25), dict(real=0, natural=1, wrap=1)]

    @classmethod
    def setUpClass(cls):
        from tokenizers import Tokenizer
        cls.tok = Tokenizer.from_file(str(TOKENIZER))
        cls.prepared = pickle.loads(PREPARED.read_bytes())
        cls.gen = Generator(cls.prepared, cls.tok)

    def examples(self, T, n, **o):
        r, out = random.Random(3), []
        while len(out) < n:
            ex = self.gen.example(r, T, 16, Options(**o))
            if ex:
                out.append(ex)
        return out

    def test_no_city_and_no_held_out_phrase(self):
        cities = city_pattern(self.prepared["cities"])
        # what stands between the slots of an evaluation's phrasing, four words or more
        pieces = {p for f in load_eval_families() for t in f.facts + f.questions for p in map(plain, re.split(r"\{\w\}", t)) if len(p.split()) > 3}
        self.assertGreater(len(pieces), 10)
        for o in self.MIXTURES:
            for ids, pairs, text in self.examples(512, 100, **o):
                said = " | ".join([text] + [self.tok.decode(q) for q, _, _ in pairs])
                self.assertIsNone(cities.search(said))
                said = plain(said)
                for p in pieces:
                    self.assertNotIn(p, said)

    def test_held_out_books_are_apart(self):
        held = self.prepared["held"]
        self.assertEqual(len(held), 5)
        self.assertFalse(set(held) & set(self.prepared["books"]))
        sentences = lambda of: {s for b in of.values() for p in b for s in p if len(s) > 80}
        mine = sentences(held)
        self.assertGreater(len(mine), 5000)
        for of in ("books", "articles"):
            self.assertFalse(mine & sentences(self.prepared[of]), of)

    @unittest.skipUnless(SQUAD, "no SQuAD file")
    def test_nothing_of_squad(self):
        """No twelve words in a row of the evaluation's paragraphs in an article, a book or a question-answer row."""
        evaluation = set().union(*map(shingles, squad_paragraphs(SQUAD)))
        self.assertGreater(len(evaluation), 50_000)
        texts = [" ".join(p) for of in ("articles", "books") for d in self.prepared[of].values() for p in d]
        texts += [t for f in self.prepared["qa"].values() for c, questions in f for t in [c] + [q for q, _, _ in questions]]
        self.assertEqual([t[:80] for t in texts if not evaluation.isdisjoint(shingles(t))], [])

    def test_shape_and_answers(self):
        for o in self.MIXTURES:
            for ids, pairs, _ in self.examples(512, 60, **o):
                self.assertEqual(len(ids), 512)
                joined = "," + ",".join(map(str, ids)) + ","
                for q, a, tag in pairs:
                    self.assertLessEqual(len(q) + len(a) + 2, ROW)
                    self.assertLessEqual(len(a), ANSWER_LEN)
                    self.assertEqual(a == [ABSENT], tag.startswith("absent"))
                    if a != [ABSENT]:
                        self.assertIn("," + ",".join(map(str, a)) + ",", joined)

    def test_batch(self):
        for o in self.MIXTURES:
            batch, tags = self.gen.batch(random.Random(5), 6, 256, 4, Options(**o))
            for b in range(6):
                rows = {k: v[b] for k, v in batch.items()}
                pairs = unpack(**rows)
                self.assertEqual(len(pairs), len(tags[b]))
                joined = "," + ",".join(map(str, rows["doc"].tolist())) + ","
                for (q, a), tag in zip(pairs, tags[b]):
                    self.assertTrue(a == [ABSENT] if tag.startswith("absent") else "," + ",".join(map(str, a)) + "," in joined)

    def test_natural_answer_not_in_question(self):
        r = random.Random(2)
        for _ in range(60):
            [(text, spans)], asks = self.gen.natural_asks(r, 800, 9, Options(absent=.2))
            for i, j, q, tag in asks:
                self.assertEqual(i is None, tag == "absent natural")
                if i is not None:
                    a, b = spans[j]
                    self.assertNotIn(text[a:b].lower(), q.lower())
                    self.assertEqual((text[a:b].strip(), b <= len(text)), (text[a:b], True))

    def test_seeded(self):
        a = self.gen.example(random.Random(9), 256, 8, Options(natural=.3, cloze=.3))
        b = self.gen.example(random.Random(9), 256, 8, Options(natural=.3, cloze=.3))
        self.assertEqual(a, b)

    def test_special_tokens(self):
        t = json.loads(TOKENIZER.read_text())
        self.assertIsNone(t.get("post_processor"))
        self.assertIsNone(t.get("normalizer"))
        self.assertEqual([x["id"] for x in t["added_tokens"]], list(range(16)))


if __name__ == "__main__":
    unittest.main()
