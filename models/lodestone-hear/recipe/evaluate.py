"""Word error rates on windows of held-out voices and texts, while training. What ships is measured through Lodestone itself."""
import random
import re

import torch

from windows import PLAIN, Clips, Windows, compose


def fixed_batch(v, work, count, seconds=10):
    """(mel [count, frames, bands], [what is said])"""
    windows = Windows(v, Clips(work, "test"), None)
    mels = torch.stack([windows.one(random.Random(f"test {i}"), seconds, PLAIN)[0] for i in range(count)])
    return mels, [" ".join(text for text, _, _ in compose(random.Random(f"test {i}"), windows.clips, None, seconds, PLAIN)[1]) for i in range(count)]


def distance(a, b):
    """Levenshtein's, between two lists."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def words(text):
    return re.sub(r"[^a-z' ]", "", text.lower()).split()


def rate(pairs):
    pairs = [(words(said), words(got)) for said, got in pairs]
    return sum(distance(*p) for p in pairs) / max(1, sum(len(said) for said, _ in pairs))


@torch.no_grad()
def ctc_error_rate(model, v, mels, said):
    best = model.ctc(model.encoder(mels)).argmax(-1)
    texts = [v.decode([i for i in torch.unique_consecutive(row).tolist() if i < v.end]) for row in best]
    return rate(zip(said, texts))


@torch.no_grad()
def written(model, v, mels, most=96):
    """Greedy ids of each window, without the rules of times."""
    source = model.encoder(mels)
    ids = torch.full((len(mels), 1), v.start)
    ended = torch.zeros(len(mels), dtype=torch.bool)
    while ids.shape[1] < most and not ended.all():
        following = model.decoder(ids, source)[0][:, -1].argmax(-1)
        ended |= following == v.end
        ids = torch.cat([ids, torch.where(ended, v.end, following)[:, None]], 1)
    return ids[:, 1:]


def error_rate(model, v, mels, said):
    return rate(zip(said, [v.decode(row.tolist()) for row in written(model, v, mels)]))
