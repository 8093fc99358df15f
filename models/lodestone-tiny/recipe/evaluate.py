"""Recall of a checkpoint, in Python: exact match of the whole answer, greedy.

Greedy decoding is right exactly when every token of the right answer, and the end token, is the
best one after the right prefix; so one teacher-forced pass decides it, without decoding.
The documents come from held-out books, the needle's keys are the cities of cities.json, and the
phrasings those of eval_templates.json: none of them occurs in training.
"""
import argparse
import pickle
import random
from collections import defaultdict

import numpy as np
import torch
from tokenizers import Tokenizer

from blocks import FORMATS, plan
from data import BOS, ROW, TARGETS, Generator, Options, locate, pack
from export import load, rounded
from lexicon import load_eval_families
from loop import pair_hits
from model import BLOCK, absolute_rope


@torch.no_grad()
def check(model, doc, pairs):
    """For one document of whole blocks and its pairs: [(right, predicted tokens)]."""
    T, R = len(doc), len(pairs)
    batch = dict(qa=np.zeros((1, R, ROW), np.int64), pos=np.full((1, R, ROW), T), pair=np.full((1, R, ROW), -1),
                 at=np.zeros((1, R, TARGETS), np.int64), target=np.full((1, R, TARGETS), -100))
    placed = pack(pairs, T, R, {k: v[0] for k, v in batch.items()})     # as many rows as pairs: all find room
    assert len(placed) == R
    used = max(1, int((batch["pair"][0] >= 0).any(1).sum()))
    batch = {k: v[:, :used] for k, v in batch.items()}
    on = {k: torch.from_numpy(v) for k, v in batch.items() if k != "target"}
    best = model(torch.tensor([doc]), **on, window=model.c.sliding_window, absolute_rope=absolute_rope(model.c, T + ROW)).argmax(-1).numpy()
    hits = pair_hits(best == batch["target"], batch)[0]
    owner = np.where(batch["target"] != -100, np.take_along_axis(batch["pair"], batch["at"], 2), -1)
    return [(h, best[owner == n].tolist()) for n, h in enumerate(hits)]


class Suite:
    def __init__(self, model, tok, prepared, seed, show):
        self.model, self.tok, self.seed, self.show = model, tok, seed, show
        self.cities = prepared["cities"]
        held = {**prepared, "articles": {}}      # articles are trained on; what is held out is books
        self.gen = Generator(held, tok, "held")
        self.held = Generator(held, tok, "held", load_eval_families())

    def run(self, title, examples, by_tag=False):
        hits, n, tags, shown = 0, 0, defaultdict(lambda: [0, 0]), 0
        for ex in examples:
            for (ok, got), (q, a, tag) in zip(check(self.model, ex[0], ex[1]), ex[1]):
                hits += ok; n += 1
                tags[tag][0] += ok; tags[tag][1] += 1
                if not ok and shown < self.show:
                    shown += 1
                    print("      miss", repr(self.tok.decode(q)), "want", repr(self.tok.decode(a, skip_special_tokens=False)), "got", repr(self.tok.decode(got, skip_special_tokens=False)))
        print(f"{title}: {hits}/{n} = {hits / max(1, n):.3f}", flush=True)
        if by_tag:
            print("    " + " ".join(f"{t}={h}/{k}" for t, (h, k) in sorted(tags.items(), key=lambda x: x[1][0] / x[1][1])))
        return hits / max(1, n)

    def looks(self, title, docs, **opt):
        """Passages that are looked at again: 128 tokens, both ways."""
        batch, _ = self.gen.batch(random.Random(f"{self.seed}look{opt}"), docs, 128, 2, Options(real=0, **opt))
        on = {k: torch.from_numpy(v) for k, v in batch.items() if k != "target"}
        best = self.model(**on, window=self.model.c.sliding_window, absolute_rope=absolute_rope(self.model.c, 128 + ROW), both_ways=True).argmax(-1).numpy()
        hits = [h for of in pair_hits(best == batch["target"], batch) for h in of]
        print(f"{title}: {sum(hits)}/{len(hits)} = {sum(hits) / len(hits):.3f}", flush=True)

    def generated(self, gen, T, docs, **opt):
        r = random.Random(f"{self.seed}{T}{opt}")
        out = []
        while len(out) < docs:
            ex = gen.example(r, T, 16, Options(real=0, **opt))
            if ex:
                out.append(ex)
        return out

    def needle(self, T, docs, per_doc, wrap=0.0):
        """The special-magic needle with the evaluation's cities; `per_doc` needles in one document of about T tokens."""
        r = random.Random(f"{self.seed}needle{T}{per_doc}")
        out = []
        while len(out) < docs:
            inserts, asks = [], []
            for city in r.sample(self.cities, per_doc):
                number = self.gen.lex.digits(r, 7)
                text = f"The special magic {city} number is: {number}"
                inserts.append((text + r.choice(["", "."]), [(len(text) - 7, len(text))]))
                asks.append(f"What is the special magic {city} number?")
            text, spans = self.gen.compose(r, int(T * 3.4), inserts, Options(wrap=wrap))
            enc = self.tok.encode(text, add_special_tokens=False)
            starts = [a for a, _ in enc.offsets]
            where = [locate(starts, enc.offsets, text, s[0]) for s in spans]
            if None in where:
                continue
            n = (len(enc.ids) + 1) // BLOCK * BLOCK      # cut prose so that the document is whole blocks
            cut = len(enc.ids) + 1 - n
            lo, hi = min(w[0] for w in where) - 24, max(w[1] for w in where)
            if lo >= cut:
                s = cut
            elif hi <= len(enc.ids) - cut:
                s = 0
            else:
                continue
            pairs = [(self.tok.encode(q, add_special_tokens=False).ids, enc.ids[w[0]:w[1]], "needle") for q, w in zip(asks, where)]
            out.append(([BOS] + enc.ids[s:s + n - 1], pairs))
        return out


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--checkpoint", default="work/run/last.pt")
    ap.add_argument("--prepared", default="work/prepared.pkl")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--weights", choices=["ema", "model"], default="ema")
    ap.add_argument("--format", choices=FORMATS, help="what matrices are rounded to, as in export.py")
    ap.add_argument("--seed", type=int, default=11)
    ap.add_argument("--docs", type=int, default=20, help="documents per setting")
    ap.add_argument("--lengths", default="1024,4096,16384,32768")
    ap.add_argument("--show", type=int, default=4, help="misses to print per setting")
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    model, state, formats = load(a.checkpoint, a.weights)
    if a.format:
        formats = plan(model, a.format)
    s = Suite(rounded(model, formats), Tokenizer.from_file(a.tokenizer), pickle.load(open(a.prepared, "rb")), a.seed, a.show)
    print("step", state["step"], "doc tokens", state["doc_tokens"], "pairs", state["pairs"], "matrices", "+".join(sorted(set(formats.values()))))
    d = a.docs
    s.run("seen phrasings, held-out books, 512", s.generated(s.gen, 512, d, absent=0, wrap=0), True)
    s.run("  the same, lines wrapped", s.generated(s.gen, 512, d, absent=0, wrap=1))
    s.run("  2,048 tokens", s.generated(s.gen, 2048, max(2, d // 2), absent=0))
    s.run("  8,192 tokens", s.generated(s.gen, 8192, max(2, d // 5), absent=0))
    s.run("absent, 512", s.generated(s.gen, 512, d, absent=.5), True)
    s.run("sentences of held-out books as they stand, 512", s.generated(s.gen, 512, 2 * d, absent=0, natural=1))
    s.run("sentences of held-out books with made-up facts, 512", s.generated(s.gen, 512, d, absent=0, cloze=1))
    s.looks("second look, sentences as they stand", 2 * d, absent=0, natural=1)
    s.looks("  with made-up facts", 2 * d, absent=0, cloze=1)
    s.looks("  absent", 2 * d, absent=1, cloze=.5, natural=.5)
    s.run("held-out phrasings, 512", s.generated(s.held, 512, d, absent=0), True)
    s.run("  2,048 tokens", s.generated(s.held, 2048, max(2, d // 2), absent=0))
    for T in map(int, a.lengths.split(",")) if a.lengths else ():
        s.run(f"needle, unseen cities, one per document, {T}", s.needle(T, min(d, 20) if T < 8192 else min(d, 10), 1))
        s.run(f"  eight per document, {T}", s.needle(T, max(2, d // 4), 8, wrap=0.35))


if __name__ == "__main__":
    main()
