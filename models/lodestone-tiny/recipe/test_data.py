"""Tests of the data: leakage into training, spans, limits. Run: python -m unittest test_data

Set LODESTONE_PREPARED and LODESTONE_TOKENIZER if the work files are elsewhere; tests that need
them are skipped where they are missing."""
import json
import os
import pickle
import random
import re
import unittest
from pathlib import Path

from data import (ABSENT, ANSWER_LEN, HERE, QUESTION_LEN, Generator, Options, city_pattern, fill, load_eval_families,
                  load_families, wrap_lines)

PREPARED = Path(os.environ.get("LODESTONE_PREPARED", HERE / "work" / "prepared.pkl"))
TOKENIZER = Path(os.environ.get("LODESTONE_TOKENIZER", HERE / "work" / "tokenizer.json"))


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


@unittest.skipUnless(PREPARED.exists() and TOKENIZER.exists(), "no prepared data")
class GeneratorTest(unittest.TestCase):
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
        for ids, pairs, text in self.examples(512, 300, absent=.2, real_qa=.3):
            self.assertIsNone(cities.search(text))
            for q, a, _ in pairs:
                self.assertIsNone(cities.search(self.tok.decode(q)))

    def test_held_out_books_are_apart(self):
        self.assertEqual(len(self.prepared["held"]), 5)
        self.assertFalse(set(self.prepared["held"]) & set(self.prepared["books"]))

    def test_shape_and_answers(self):
        for wrap in (0, 1):
            for ids, pairs, _ in self.examples(512, 100, wrap=wrap):
                self.assertEqual(len(ids), 512)
                for q, a, tag in pairs:
                    self.assertLess(len(q), QUESTION_LEN)
                    self.assertLess(len(a), ANSWER_LEN)
                    if a != [ABSENT]:
                        joined = "," + ",".join(map(str, ids)) + ","
                        self.assertIn("," + ",".join(map(str, a)) + ",", joined)

    def test_seeded(self):
        a = self.gen.example(random.Random(9), 256, 8, Options())
        b = self.gen.example(random.Random(9), 256, 8, Options())
        self.assertEqual(a, b)

    def test_repeatable_special_tokens(self):
        t = json.loads(TOKENIZER.read_text())
        self.assertIsNone(t.get("post_processor"))
        self.assertIsNone(t.get("normalizer"))
        self.assertEqual([x["id"] for x in t["added_tokens"]], list(range(16)))


if __name__ == "__main__":
    unittest.main()
