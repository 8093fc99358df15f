"""The recipe at toy size, on tones instead of voices. Run: python -m unittest test_recipe

Half a minute of one core. What ships must be a Whisper checkpoint as transformers reads it, down to the numbers; what is trained on must be
what Whisper writes; losses must fall and runs resume. That voices are understood is not tested here, but measured (README.md)."""
import contextlib
import io
import json
import random
import re
import runpy
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

import texts
import toy
from evaluate import distance, rate
from features import RATE, SECONDS_PER_POSITION, log_mel, mel_filters, power
from model import Config, Whisper
from tokens import Vocabulary
from voices import resample, trimmed
from windows import IGNORED, PLAIN, Clips, Options, Windows, compose, script

HERE = Path(__file__).parent


def run(stage, *arguments):
    """What `python stage.py arguments` prints."""
    argv, said = sys.argv, io.StringIO()
    sys.argv = [f"{stage}.py", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(str(HERE / f"{stage}.py"), run_name="__main__")
    finally:
        sys.argv = argv
    return said.getvalue()


class Texts(unittest.TestCase):
    def test_numbers(self):
        self.assertEqual([texts.number(n) for n in (0, 13, 40, 99, 100, 412, 1974, 20_001)],
                         ["zero", "thirteen", "forty", "ninety nine", "one hundred", "four hundred and twelve", "one thousand nine hundred and seventy four", "twenty thousand one"])

    def test_sentences(self):
        self.assertEqual(texts.written("It was, he said, the captain\u2019s boat."), "It was he said the captain's boat.")
        for refused in ("Too short.", "In 1865 the war ended.", "Caf\u00e9 de la Paix was closed.", "CHAPTER THE FIRST.", "no capital at the start.", "Is it a question?"):
            self.assertIsNone(texts.written(refused), refused)

    def test_keywords_of_the_needles_are_in_no_fact(self):
        facts = texts.Facts(["plain"])
        said = " ".join(facts.draw(random.Random(i)) for i in range(300)).lower()
        self.assertFalse([w for w in texts.HELD_OUT_KEYWORDS if re.search(rf"\b{w}\b", said)])


class Sound(unittest.TestCase):
    def test_log_mel_is_transformers(self):
        x = np.random.default_rng(1).standard_normal(4 * RATE).astype(np.float32) * .1
        extractor = WhisperFeatureExtractor(feature_size=80, hop_length=320, n_fft=512, chunk_length=4)
        want = extractor._np_extract_fbank_features(x[None], "cpu")[0].T
        got = log_mel(power(torch.from_numpy(x)[None])[0] @ mel_filters())
        self.assertLess(np.abs(got.numpy() - want).max(), 1e-3)

    def test_warped_filters_move(self):
        peaks = lambda f: f.argmax(0).float()
        self.assertTrue((peaks(mel_filters(1.16))[20:60] < peaks(mel_filters())[20:60]).all())

    def test_resample_keeps_a_tone(self):
        t = np.arange(22_050) / 22_050
        y = resample(np.sin(2 * np.pi * 440 * t).astype(np.float32), 22_050)
        want = np.sin(2 * np.pi * 440 * np.arange(len(y)) / RATE)
        self.assertLess(np.abs(y - want)[1000:15_000].max(), .02)

    def test_trimmed(self):
        self.assertEqual(len(trimmed(np.concatenate([np.zeros(50), np.ones(20), np.zeros(30)]))), 20)


class Words(unittest.TestCase):
    def test_error_rate(self):
        self.assertEqual(distance("a b c".split(), "a x c d".split()), 2)
        self.assertEqual(rate([("The code is seven.", "the code is seven"), ("One two.", "one")]), 1 / 6)


class Recipe(unittest.TestCase):
    """Stages in their order: unittest sorts tests by name."""

    @classmethod
    def setUpClass(cls):
        cls.keep = tempfile.TemporaryDirectory()
        cls.work = Path(cls.keep.name)
        toy.write(cls.work)
        run("tokens", "--work", cls.work, "--pieces", 60)
        cls.v = Vocabulary(cls.work / "tokenizer.json")
        torch.set_num_threads(1)

    @classmethod
    def tearDownClass(cls):
        cls.keep.cleanup()

    def test_a_script_is_whispers(self):
        v = self.v
        ids, centres = script(v, [("One two.", .4, 1.2), ("Three.", 2, 2.4)], 3.0, timed=True)
        self.assertEqual([round((i - v.first_time) * SECONDS_PER_POSITION, 2) if i >= v.first_time else None for i in ids if i >= v.first_time], [.4, 1.2, 2, 2.4, 3])
        self.assertEqual(v.decode(ids), " One two. Three.")
        self.assertEqual((ids[-1], centres[-1]), (v.end, -1))
        self.assertEqual(centres, sorted(centres[:-1]) + [-1])
        without, _ = script(v, [("One two.", .4, 1.2)], 3.0, timed=False)
        self.assertTrue(all(i < v.first_time for i in without))

    def test_a_windows_hold_what_they_say(self):
        clips, people = Clips(self.work, "train"), Clips(self.work, "digits")
        windows = Windows(self.v, clips, people)
        for seed in range(40):
            x, pieces, cut = compose(random.Random(seed), clips, people, 4, Options())
            self.assertEqual(len(x), 4 * RATE)
            times = [t for _, *span in pieces for t in span] + ([cut] if cut is not None else [])
            self.assertEqual(times, sorted(times))
            self.assertTrue(all(0 <= t <= 4 for t in times))
            for _, begin, end in pieces:
                self.assertGreater(np.abs(x[round(begin * RATE):round(end * RATE)]).max(), 0)
        batch = windows.batch(random.Random(1), 6, 4, 60, Options(silent=.5))
        self.assertEqual(batch["ids"].shape, batch["targets"].shape)
        self.assertTrue(((batch["targets"] == IGNORED) | (batch["targets"] < self.v.size)).all())
        silent = batch["heard_lengths"] == 0
        self.assertTrue(silent.any())
        self.assertTrue((batch["targets"][silent][:, 0] == self.v.no_speech).all())

    def test_b_training_and_resuming(self):
        train = lambda steps, *more: run("train", "--work", self.work, "--out", self.work / "run", "--steps", steps, "--size", "toy", "--batch", .2, "--eager", *more)
        said = train(60)
        heard = [float(x) for x in re.findall(r"heard (\S+)", said)]
        self.assertLess(heard[-1], heard[0])
        self.assertIn("resumed at step 60", train(70))

    def test_c_what_ships_is_a_whisper(self):
        run("export", "--checkpoint", self.work / "run/last.pt", "--tokenizer", self.work / "tokenizer.json", "--out", self.work / "export")
        theirs = WhisperForConditionalGeneration.from_pretrained(self.work / "export", dtype=torch.float32).eval()
        s = torch.load(self.work / "run/last.pt", weights_only=False)
        ours = Whisper(Config(**s["config"]))
        ours.load_state_dict({n: p.bfloat16().float() if p.dim() > 1 and "embed_positions" not in n else p for n, p in s["model"].items()})
        windows = Windows(self.v, Clips(self.work, "test"), None)
        mel, ids, *_ = windows.one(random.Random(3), 10, PLAIN)
        with torch.no_grad():
            want = theirs(input_features=mel.T[None], decoder_input_ids=torch.tensor([ids])).logits
            got, _, looks = ours(mel[None], torch.tensor([ids]))
        self.assertLess((got - want).abs().max().item(), 1e-4)
        self.assertEqual(looks.shape[1], len(json.loads((self.work / "export/generation_config.json").read_text())["alignment_heads"]))


if __name__ == "__main__":
    unittest.main()
