"""Text to speech, with voices that may be used for anything: eSpeak NG (its output is free of its GPL) and Flite (CMU, BSD-like).

A voice is "espeak:en-us+f3" (a language and a variant of the speaker) or "flite:slt"; speed is a factor of its usual one.
"""
import ctypes
import ctypes.util
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

RATE = 16_000
ACCENTS = ("en-us", "en", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
SPEAKERS = """m1 m2 m3 m5 m6 m7 m8 f1 f3 f5 Alex Alicia Andrea Andy Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Mike adam anika
aunty belinda benjamin boris caleb david ed gustave john linda max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby
steph travis victor zac""".split()
# Never heard in training.
HELD_OUT_SPEAKERS = ("m4", "f2", "f4", "Annie", "Michael", "edward", "marcelo", "antonio")
FLITE, HELD_OUT_FLITE = ("slt", "rms", "kal16"), ("awb",)


def draw_voice(r, held_out=False):
    """(voice, speed, pitch 0..99)"""
    if r.random() < .12:
        return f"flite:{r.choice(HELD_OUT_FLITE if held_out else FLITE)}", r.uniform(.85, 1.2), r.randint(25, 75)
    speaker = r.choice(HELD_OUT_SPEAKERS if held_out else SPEAKERS)
    return f"espeak:{r.choice(ACCENTS)}+{speaker}", r.uniform(.72, 1.15), r.randint(25, 75)


class Espeak:
    """The library itself: a process for each sentence would take longer than the sentence."""

    WORDS_PER_MINUTE = 175

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
        synchronous = 2
        self.rate = self.lib.espeak_Initialize(synchronous, 0, None, 0)
        if self.rate <= 0:
            raise RuntimeError("espeak-ng can't be started")
        self.heard = []

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        def hear(samples, count, _events):
            if samples and count > 0:
                self.heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        self.hear = hear      # kept: the library holds a pointer to it
        self.lib.espeak_SetSynthCallback(hear)

    def say(self, text, voice, speed, pitch):
        if self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        rate_parameter, pitch_parameter, utf8 = 1, 3, 1
        self.lib.espeak_SetParameter(rate_parameter, round(self.WORDS_PER_MINUTE * speed), 0)
        self.lib.espeak_SetParameter(pitch_parameter, pitch, 0)
        self.heard.clear()
        raw = text.encode()
        self.lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, utf8, None, None)
        return resample(np.concatenate(self.heard).astype(np.float32) / 32768, self.rate)


def say_flite(text, voice, speed, pitch):
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "said.wav")
        change = ["--setf", f"duration_stretch={1 / speed:.3f}"]
        if voice == "kal16":      # the other voices' models bring their own melody
            change += ["--setf", f"int_f0_target_mean={70 + pitch}"]
        subprocess.run(["flite", "-voice", voice, *change, "-t", text, "-o", path], check=True)
        with wave.open(path) as f:
            return resample(np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768, f.getframerate())


def resample(x, rate):
    """To 16 kHz, by cutting or padding the spectrum. f32 [samples] -> f32 [samples]"""
    if rate == RATE:
        return x
    unit = rate // 50      # 20 ms: a whole number of samples in both rates
    x = np.pad(x, (0, -len(x) % unit + unit))
    n = len(x) // unit * (RATE // 50)
    spectrum = np.fft.rfft(x)
    kept = np.zeros(n // 2 + 1, complex)
    both = min(len(spectrum), len(kept))
    kept[:both] = spectrum[:both]
    return np.fft.irfft(kept, n).astype(np.float32) * (n / len(x))


def trimmed(x, below=.01):
    """Without the silence around it: what is quieter than 1 % of its loudest."""
    loud = np.flatnonzero(np.abs(x) > below * np.abs(x).max())
    return x[loud[0]:loud[-1] + 1]


_espeak = None


def say(text, voice, speed=1.0, pitch=50):
    """f32 [samples], 16 kHz, its loudest sample 0.5"""
    global _espeak
    engine, name = voice.split(":")
    if engine == "flite":
        x = say_flite(text, name, speed, pitch)
    else:
        _espeak = _espeak or Espeak()
        x = _espeak.say(text, name, speed, pitch)
    x = trimmed(x)
    return x * (.5 / np.abs(x).max())
