"""A tiny corpus of spoken digits for tests of the recipe, made of tones instead of voices: python toy.py FOLDER

Each digit is a chord of its own, so that a toy can learn to tell them apart in seconds, on a machine that can't speak."""
import sys
from pathlib import Path

import numpy as np

from clips import Store
from texts import DIGITS
from voices import RATE


def tone(digit, seconds=.18):
    t = np.arange(round(seconds * RATE)) / RATE
    return (.2 * np.sin(2 * np.pi * (300 + 150 * digit) * t) + .2 * np.sin(2 * np.pi * (2500 + 300 * digit) * t)).astype(np.float32) * np.hanning(len(t))


def write(folder, clips=60):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(4)
    for split in ("train", "test"):
        store, texts = Store(folder, split), []
        for i in range(clips):
            digits = rng.integers(0, 10, rng.integers(2, 6))
            texts.append(" ".join(DIGITS[d] for d in digits).capitalize() + ".")
            store.add(i, np.concatenate([tone(d) for d in digits]), text=texts[-1], voice="tones")
        (folder / f"texts-{split}.txt").write_text("\n".join(texts) + "\n")
    store = Store(folder, "digits")
    for d, name in enumerate(DIGITS):
        store.add(d, tone(d), text=name, voice="person:tones")


if __name__ == "__main__":
    write(sys.argv[1])
