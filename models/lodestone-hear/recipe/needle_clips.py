"""The speech that `lodestone needle --suite audio` hides keywords in: sentences of held-out books and "The secret keyword is ...", said by
voices that training never hears. Two Ogg Opus files and one index with the text, the voice and the times of each.

    python needle_clips.py --work work      (needs ffmpeg)
"""
import argparse
import json
import random
import subprocess
from pathlib import Path

import numpy as np

from texts import HELD_OUT_KEYWORDS
from voices import HELD_OUT_FLITE, HELD_OUT_SPEAKERS, RATE, say

OUT = Path(__file__).parents[3] / "fixtures" / "speech"
PAUSE = .4      # seconds between clips
VOICES = [f"espeak:{accent}+{speaker}" for accent, speaker in zip(("en-us", "en", "en-us", "en-gb-x-rp", "en", "en-us", "en-gb-scotland", "en-us"), HELD_OUT_SPEAKERS)]
VOICES.append(f"flite:{HELD_OUT_FLITE[0]}")


def join(texts, r):
    """(samples, [{text, voice, from, to}]): the texts one after another, each by a voice of its own."""
    parts, rows, at = [], [], 0
    for i, text in enumerate(texts):
        voice = VOICES[i % len(VOICES)]
        x = say(text, voice, r.uniform(.8, 1.05), r.randint(35, 65))
        gap = np.zeros(round(PAUSE * RATE), np.float32)
        rows.append(dict(text=text, voice=voice, **{"from": round((at + len(gap)) / RATE, 3), "to": round((at + len(gap) + len(x)) / RATE, 3)}))
        parts += [gap, x]
        at += len(gap) + len(x)
    return np.concatenate([*parts, gap]), rows


def write_opus(path, x, kbps):
    pcm = np.round(np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-", "-c:a", "libopus", "-b:a", f"{kbps}k",
                    "-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1", str(path)], input=pcm, check=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", default="work")
    ap.add_argument("--out", default=str(OUT))
    ap.add_argument("--sentences", type=int, default=60)
    ap.add_argument("--kbps", type=int, default=20)
    a = ap.parse_args()
    out, r = Path(a.out), random.Random(12)
    out.mkdir(parents=True, exist_ok=True)
    hidden = ("secret", "password", "code", "number is", *HELD_OUT_KEYWORDS)
    books = [t for t in (Path(a.work) / "texts-test.txt").read_text().splitlines() if 30 <= len(t) <= 80 and not any(w in t.lower() for w in hidden)]
    index = {}
    for name, texts in (("haystack", books[:a.sentences]), ("needles", [f"The secret keyword is {word}." for word in HELD_OUT_KEYWORDS])):
        x, index[name] = join(texts, r)
        write_opus(out / f"{name}.ogg", x, a.kbps)
        print(name, len(texts), f"{len(x) / RATE:.1f} s", (out / f"{name}.ogg").stat().st_size)
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
