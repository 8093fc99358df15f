"""Training windows: clips with pauses between them, in rooms and noises that they were not said in, and what is to be written.

What is written follows Whisper: <|from|> text <|to|> for each piece of speech; of one that the window's end cuts, its beginning
alone; of a window without speech <|nospeech|>, and, should a time be written nevertheless, nothing after it. A share of the windows is
written without times, which is how word times are found later.
"""
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from features import HOP, RATE, SECONDS_PER_POSITION, log_mel, mel_filters, power

WARPS = [1.0, .86, .91, .95, 1.05, 1.1, 1.16]
IGNORED = -100


@dataclass
class Options:
    """Chances of what is done to a window."""

    noise: float = .6
    reverb: float = .25
    warp: float = .6
    microphone: float = .5
    mask: float = .5
    silent: float = .04
    without_times: float = .2
    digits: float = .06


PLAIN = Options(noise=0, reverb=0, warp=0, microphone=0, mask=0, silent=0, without_times=0, digits=0)


class Clips:
    """The clips of a split, read as they are needed."""

    def __init__(self, work, split):
        work = Path(work)
        self.rows = [json.loads(line) for line in (work / f"clips-{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        self.samples = np.memmap(work / f"clips-{split}.i16", "<i2", "r")
        self.by_length = sorted(range(len(self.rows)), key=lambda i: self.rows[i]["length"])
        self.lengths = np.array([self.rows[i]["length"] for i in self.by_length])

    def sound(self, row):
        return self.samples[row["start"]:row["start"] + row["length"]].astype(np.float32) / 32768

    def draw(self, r, longest):
        """(text, sound) of at most `longest` samples."""
        row = self.rows[self.by_length[r.randrange(max(1, np.searchsorted(self.lengths, longest)))]]
        return row["text"], self.sound(row)


def spoken_digits(r, people, n):
    """Digits of one person, one after another, as one piece of speech."""
    voice = r.choice(sorted({row["voice"] for row in people.rows}))
    rows = [r.choice([row for row in people.rows if row["voice"] == voice]) for _ in range(n)]
    parts = []
    for row in rows:
        parts += [people.sound(row), np.zeros(round(r.uniform(.02, .22) * RATE), np.float32)]
    return " ".join(row["text"] for row in rows).capitalize() + ".", np.concatenate(parts[:-1])


def compose(r, clips, people, seconds, o):
    """(sound f32 [seconds * RATE], pieces [(text, from, to)], cut: where a piece begins that the end cuts, or None); times in seconds."""
    n = round(seconds * RATE)
    x, pieces, cut = np.zeros(n, np.float32), [], None
    if r.random() < o.silent:
        return x, pieces, cut
    at = round((r.uniform(0, .3) if r.random() < .8 else r.uniform(.3, seconds / 3)) * RATE)
    while True:
        if r.random() < o.digits:
            text, sound = spoken_digits(r, people, r.randint(1, 6))
        else:
            text, sound = clips.draw(r, n - at if not pieces else n)
        sound = sound * 10 ** r.uniform(-.5, .1)
        if at + len(sound) > n:
            # The rest stays silent half of the time.
            if pieces and n - at > .4 * RATE and r.random() < .5:
                x[at:] += sound[:n - at]
                cut = at / RATE
            return x, pieces, cut
        x[at:at + len(sound)] += sound
        pieces.append((text, at / RATE, (at + len(sound)) / RATE))
        at += len(sound) + round((r.uniform(.2, .8) if r.random() < .8 else r.uniform(.8, 3)) * RATE)
        if n - at < .3 * RATE:
            return x, pieces, cut


def noises(count=32, seconds=20):
    """Noise with spectra that fall by 0 to 12 dB an octave, f32 [count, seconds * RATE], each of power 1."""
    rng = np.random.default_rng(8)
    spectra = np.fft.rfft(rng.standard_normal((count, seconds * RATE)).astype(np.float32))
    spectra *= (np.arange(spectra.shape[1]) + 20.0 * seconds) ** -rng.uniform(0, 2, (count, 1))
    x = np.fft.irfft(spectra).astype(np.float32)
    return x / np.sqrt((x * x).mean(1, keepdims=True))


def in_a_room(rng, x):
    """Reverberation: the sound itself, and noise that dies away in 0.1 to 0.5 s."""
    seconds = rng.uniform(.1, .5)
    n = int(seconds * RATE)
    echo = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    echo *= rng.uniform(.2, .8) / np.sqrt((echo * echo).sum())
    size = 1 << (len(x) + n - 1).bit_length()
    return x + np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(echo, size), size)[:len(x)].astype(np.float32)


def spoil(r, x, bank, o):
    """`x` in a room, in one of the noises of `bank`, further from the microphone."""
    rng = np.random.default_rng(r.getrandbits(32))
    if r.random() < o.reverb:
        x = in_a_room(rng, x)
    if r.random() < o.noise or (o.noise and not x.any()):
        loud = np.sqrt((x * x).mean()) if x.any() else .05
        noise = r.choice(bank)
        first = r.randrange(len(noise) - len(x))
        x = x + noise[first:first + len(x)] * np.float32(loud * 10 ** (-r.uniform(5, 40) / 20))
    return x * (10 ** r.uniform(-1, 0) if o.noise else 1)


def microphone(r, bands):
    """Gains of the bands (energies), smooth; now and then nothing above 4 kHz, as on the telephone."""
    knots = np.linspace(0, bands - 1, 5)
    decibels = np.interp(np.arange(bands), knots, [r.gauss(0, 5) for _ in knots])
    if r.random() < .3:
        decibels[round(bands * .73):] -= 60
    return torch.tensor(10 ** (decibels / 10), dtype=torch.float32)


def mask(r, mel):
    """SpecAugment, gently: what nobody could hear is not asked for."""
    for _ in range(2):
        n, m = r.randint(0, 10), r.randint(0, 7)
        low, first = r.randrange(mel.shape[1] - n), r.randrange(mel.shape[0] - m)
        mel[:, low:low + n] = mel.mean()
        mel[first:first + m] = mel.mean()


def position(seconds):
    return round(seconds / SECONDS_PER_POSITION)


def script(v, pieces, cut, timed):
    """(ids, centres): what the decoder writes after <|startoftranscript|>, end included, and the position where each was said; -1: nowhere.
    A piece's tokens are taken to follow each other evenly."""
    ids, centres = [], []
    for text, begin, end in pieces:
        tokens = v.encode(text)
        if timed:
            ids.append(v.first_time + position(begin))
            centres.append(position(begin))
        ids += tokens
        centres += [(begin + (end - begin) * (i + .5) / len(tokens)) / SECONDS_PER_POSITION for i in range(len(tokens))]
        if timed:
            ids.append(v.first_time + position(end))
            centres.append(position(end))
    if timed and cut is not None:
        ids.append(v.first_time + position(cut))
        centres.append(position(cut))
    return ids + [v.end], centres + [-1]


class Windows:
    def __init__(self, v, clips, people):
        self.v, self.clips, self.people = v, clips, people
        self.filters = [mel_filters(w) for w in WARPS]
        self.noises = noises()

    def one(self, r, seconds, o):
        x, pieces, cut = compose(r, self.clips, self.people, seconds, o)
        energies = power(torch.from_numpy(spoil(r, x, self.noises, o))[None])[0] @ self.filters[r.randrange(len(WARPS)) if r.random() < o.warp else 0]
        if r.random() < o.microphone:
            energies = energies * microphone(r, energies.shape[1])
        mel = log_mel(energies)
        if r.random() < o.mask:
            mask(r, mel)
        v = self.v
        if not pieces:
            return mel, [v.start, v.first_time], [v.no_speech, v.end], [-1, -1], [], position(seconds)
        timed = r.random() >= o.without_times
        ids, centres = script(v, pieces, cut, timed)
        prompt = [v.start] if timed else [v.start, v.no_times]
        skipped = [IGNORED] * (len(prompt) - 1)
        heard = [i for text, _, _ in pieces for i in v.heard(text)]
        return mel, prompt + ids[:-1], skipped + ids, [-1] * len(skipped) + centres, heard, position(seconds if cut is None else cut)

    def batch(self, r, count, seconds, tokens, o):
        """mel [B, frames, bands]; ids, targets, centres [B, tokens]; for CTC heard [sum], heard_lengths [B], positions [B]."""
        rows = []
        while len(rows) < count:
            row = self.one(r, seconds, o)
            if len(row[1]) <= tokens:
                rows.append(row)
        fill = lambda k, value, dtype: torch.tensor([row[k] + [value] * (tokens - len(row[k])) for row in rows], dtype=dtype)
        return dict(
            mel=torch.stack([row[0] for row in rows]),
            ids=fill(1, self.v.end, torch.long), targets=fill(2, IGNORED, torch.long), centres=fill(3, -1, torch.float32),
            heard=torch.tensor([i for row in rows for i in row[4]], dtype=torch.long),
            heard_lengths=torch.tensor([len(row[4]) for row in rows]), positions=torch.tensor([row[5] for row in rows]))
