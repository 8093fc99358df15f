"""Exact strings and characters on whole frames that the training never saw: other fonts, words and pictures, by kind and size.

    python evaluate.py --checkpoint work/run/last.pt --pictures PICTURES
"""
import argparse
import random
from pathlib import Path

import numpy as np
import torch

from alphabet import BLANK, CLASSES
from overlays import GRID, patches
from reading import read
from tower import Config, Tower, cells
from train import FIXTURES, drawing

BATCH = 8


def similarity(a, b):
    """1 - edit distance / length of the longer."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
        before = row
    return 1 - before[-1] / max(1, len(a), len(b))


def needle(r, words):
    return ["The secret word is", f'"{r.choice(words)}"']


@torch.no_grad()
def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--checkpoint", required=True)
    ap.add_argument("--prose", default=FIXTURES / "haystack")
    ap.add_argument("--pictures")
    ap.add_argument("--held-words", default=FIXTURES / "video" / "words.json")
    ap.add_argument("--count", type=int, default=64, help="frames of each kind")
    a = ap.parse_args()
    torch.set_num_threads(1)
    s = torch.load(a.checkpoint)
    model = Tower(Config(**s["config"]))
    model.load_state_dict(s["ema"])
    at = cells(GRID, GRID)
    for name, held, kind in (("needles in seen fonts", False, "needle"), ("needles in held-out fonts", True, "needle"), ("anything in seen fonts", False, "any"),
                             ("anything in held-out fonts", True, "any"), ("frames without text", True, "none")):
        overlays, r = drawing(a, held), random.Random(7)
        words = drawing(a, True).texts.words
        exact, alike, misread, frames = 0, 0.0, [], 0
        while frames < a.count:
            drawn = []
            while len(drawn) < BATCH:
                if kind == "none":
                    image = overlays.background(r, 384, 216)
                    drawn.append((np.asarray(overlays.damage(r, image).resize((192, 192))), np.zeros((GRID, GRID), np.int64)))
                    continue
                picture, classes = overlays.sample(r, GRID, GRID, text=needle(r, words) if kind == "needle" else None, plain=kind == "needle")
                if classes.any():
                    drawn.append((picture, classes))
            x = patches(np.stack([p for p, _ in drawn]).astype(np.float32) / 127.5 - 1)
            p = model(torch.from_numpy(x), at).softmax(-1).numpy().reshape(-1, GRID, GRID, CLASSES)
            for one, (_, classes) in zip(p, drawn):
                got, truth = read(one), read(np.eye(CLASSES)[classes])
                exact += got == truth
                alike += similarity(" ".join(got), " ".join(truth))
                if got != truth:
                    misread.append((truth, got))
                frames += 1
        print(f"{name}: {exact} of {frames} exact, similarity {alike / frames:.3f}")
        for truth, got in misread[:4]:
            print("   ", truth, "read as", got)


if __name__ == "__main__":
    main()
