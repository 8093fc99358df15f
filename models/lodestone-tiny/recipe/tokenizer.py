"""The tokenizer: byte-level BPE of 8,192 pieces, digits one by one, no normaliser, no post-processor.

Trained on a sample of the books, articles, question-answer texts and generated facts and questions."""
import argparse
import pickle
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from data import SPECIAL, Generator, Options
from lexicon import fill


def texts(prepared, books=20_000, articles=12_000, facts=50_000, qa=12_000):
    r = random.Random(1)
    for of, n in (("books", books), ("articles", articles)):
        paragraphs = [" ".join(p) for b in prepared[of].values() for p in b]
        yield from r.sample(paragraphs, min(n, len(paragraphs)))
    rows = [(c, q[0]) for f in prepared["qa"].values() for c, qs in f for q in qs]
    for c, q in r.sample(rows, min(qa, len(rows))):
        yield c
        yield q
    g = Generator(prepared, None)
    for _ in range(facts):
        f = g.draw_fact(r, Options())
        yield " " + fill(r.choice(f.family.facts), f.key, f.attr, f.value)[0]
        yield g.question(f, r, Options())


def build(texts, vocab):
    t = Tokenizer(models.BPE(unk_token=None))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return t


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--prepared", default="work/prepared.pkl")
    ap.add_argument("--out", default="work/tokenizer.json")
    ap.add_argument("--vocab", type=int, default=8192)
    ap.add_argument("--facts", type=int, default=50_000, help="generated facts and questions in the sample")
    a = ap.parse_args()
    Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    t = build(texts(pickle.load(open(a.prepared, "rb")), facts=a.facts), a.vocab)
    t.save(a.out)
    print("vocabulary", t.get_vocab_size(), "special", [t.token_to_id(s) for s in SPECIAL])
    print(t.encode("The special magic Dunmore number is: 4412907\nHarrow Lane").tokens)
