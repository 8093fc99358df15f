"""Every text said once: work/clips-SPLIT.i16 (16 kHz mono, one clip after another) and work/clips-SPLIT.jsonl (text, voice, where).

Goes on where it was interrupted. Spoken digits of real people (Free Spoken Digit Dataset, CC BY-SA 4.0) are added with --digits: its
training part to the training clips, and of the speakers kept for testing nothing.

    python clips.py --split train; python clips.py --split test; python clips.py --split digits --digits FOLDER
"""
import argparse
import json
import random
import re
import wave
from pathlib import Path

import numpy as np

from texts import DIGITS
from voices import RATE, draw_voice, resample, say, trimmed

# Of the six, these two are heard in tests alone.
HELD_OUT_DIGIT_SPEAKERS = ("jackson", "theo")
LONGEST = 7.5      # seconds: several clips must fit a window


class Store:
    """Clips appended to a file of samples, with a line each in an index."""

    def __init__(self, out, split):
        self.samples, self.index = Path(out) / f"clips-{split}.i16", Path(out) / f"clips-{split}.jsonl"
        rows = [json.loads(line) for line in self.index.read_text().splitlines()] if self.index.exists() else []
        self.done = rows[-1]["number"] + 1 if rows else 0
        self.end = rows[-1]["start"] + rows[-1]["length"] if rows else 0
        self.samples.touch()
        with open(self.samples, "r+b") as f:
            f.truncate(2 * self.end)

    def add(self, number, x, **row):
        pcm = np.round(np.clip(x, -1, 1) * 32767).astype("<i2")
        with open(self.samples, "ab") as f:
            f.write(pcm.tobytes())
        with open(self.index, "a") as f:
            f.write(json.dumps(dict(number=number, start=self.end, length=len(pcm), **row)) + "\n")
        self.end += len(pcm)


def synthesise(store, split, texts, most):
    for i, text in list(enumerate(texts))[store.done:most]:
        r = random.Random(f"{split} {i}")
        voice, speed, pitch = draw_voice(r, held_out=split == "test")
        x = say(text, voice, speed, pitch)
        if len(x) <= LONGEST * RATE:
            store.add(i, x, text=text, voice=voice)
        if i % 1000 == 0:
            print(i, f"{store.end / RATE / 3600:.2f} h", flush=True)


def read_wav(path):
    with wave.open(str(path)) as f:
        return resample(np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768, f.getframerate())


def collect_digits(store, folder):
    for i, path in enumerate(sorted(Path(folder).glob("*.wav"))):
        digit, speaker, _take = re.fullmatch(r"(\d)_(\w+)_(\d+)", path.stem).groups()
        x = trimmed(read_wav(path), .03)
        if speaker not in HELD_OUT_DIGIT_SPEAKERS:
            store.add(i, x * (.5 / np.abs(x).max()), text=DIGITS[int(digit)], voice=f"person:{speaker}")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--split", choices=("train", "test", "digits"), required=True)
    ap.add_argument("--digits", help="folder of the Free Spoken Digit Dataset's recordings")
    ap.add_argument("--most", type=int, default=10 ** 9)
    ap.add_argument("--out", default="work")
    a = ap.parse_args()
    store = Store(a.out, a.split)
    if a.split == "digits":
        collect_digits(store, a.digits)
    else:
        synthesise(store, a.split, (Path(a.out) / f"texts-{a.split}.txt").read_text().splitlines(), a.most)
    print(a.split, f"{store.end / RATE / 3600:.2f} h")


if __name__ == "__main__":
    main()
