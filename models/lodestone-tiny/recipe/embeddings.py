"""First values of the token embedding: what words mean, counted rather than learned.

Tokens that keep the same company mean alike. The company is counted in the books and articles (a window of 5 tokens, weight
1/distance), turned into positive pointwise mutual information, and its singular vectors are the embedding (Levy and Goldberg
2014; context counts to the power 0.75). It costs half a minute, where the training that follows would need billions of tokens
to learn the same. Half of every row is random, so that tokens that mean alike can still be told apart when they are copied."""
import argparse
import pickle
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer


def token_streams(prepared, tok, batch=2000):
    for of in ("books", "articles"):
        texts = [" ".join(p) for b in prepared[of].values() for p in b]
        for i in range(0, len(texts), batch):
            for e in tok.encode_batch(texts[i:i + batch], add_special_tokens=False):
                yield e.ids + [0]


def cooccurrence(streams, vocab, window=5):
    """Symmetric counts [vocab, vocab], weighted 1/distance; id 0 separates paragraphs and counts as nothing."""
    counts = np.zeros(vocab * vocab, np.float32)
    buffer = []

    def flush():
        ids = np.concatenate([np.asarray(b, np.int64) for b in buffer])
        for d in range(1, window + 1):
            pairs, n = np.unique(ids[:-d] * vocab + ids[d:], return_counts=True)
            counts[pairs] += n.astype(np.float32) / d
        buffer.clear()

    size = 0
    for s in streams:
        buffer.append(s)
        size += len(s)
        if size > 4_000_000:
            flush()
            size = 0
    if len(buffer) > 0:
        flush()
    c = counts.reshape(vocab, vocab)
    c = c + c.T
    c[0], c[:, 0] = 0, 0
    return c


def embedding(counts, size, random_share=0.5, seed=0):
    """Rows of unit length [vocab, size]: singular vectors of the positive PMI times the root of their values, and noise."""
    c = torch.from_numpy(counts)
    total = c.sum()
    rows, columns = c.sum(1), c.sum(0) ** 0.75
    columns = columns / columns.sum()
    pmi = torch.log((c / total) / ((rows / total)[:, None] * columns[None] + 1e-20) + 1e-20).clamp_(min=0)
    torch.manual_seed(seed)
    u, s, _ = torch.svd_lowrank(pmi, q=size + 16, niter=4)
    meaning = u[:, :size] * s[:size].sqrt()
    meaning = meaning - meaning[rows > 0].mean(0)
    unit = lambda x: x / x.norm(dim=1, keepdim=True).clamp(min=1e-6)
    noise = torch.randn(len(c), size, generator=torch.Generator().manual_seed(seed))
    mixed = (1 - random_share) ** 0.5 * unit(meaning) + random_share ** 0.5 * unit(noise)
    return unit(mixed), unit(meaning)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--prepared", default="work/prepared.pkl")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--size", type=int, default=192)
    ap.add_argument("--random", type=float, default=0.5, help="share of each row that is random")
    ap.add_argument("--out", default="work/embedding.pt")
    ap.add_argument("--near", nargs="*", default=["captain", "thousand", "ship", "paid", "March", "London", "seven", "king"])
    a = ap.parse_args()
    tok = Tokenizer.from_file(a.tokenizer)
    counts = cooccurrence(token_streams(pickle.load(open(a.prepared, "rb")), tok), tok.get_vocab_size())
    e, meaning = embedding(counts, a.size, a.random)
    Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    torch.save(e, a.out)
    torch.save(meaning, Path(a.out).with_name('meaning.pt'))
    for w in a.near:
        i = tok.encode(" " + w).ids
        if len(i) == 1:
            print(f"{w}:", " ".join(tok.decode([int(j)]).strip() for j in (meaning @ meaning[i[0]]).topk(9).indices[1:]))
