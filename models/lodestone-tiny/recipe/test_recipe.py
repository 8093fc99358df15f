"""Every stage once, by its own command line, at toy size on a CPU. Run: python -m unittest test_recipe

Needs no corpora (toy.py) and about a minute and a half of one core. What is checked is that stages fit together, that losses fall, that runs
resume and repeat, and that the files load; a toy of so few steps answers nothing."""
import contextlib
import io
import json
import re
import runpy
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import torch
from safetensors import safe_open
from tokenizers import Tokenizer

import toy
from blocks import from_bytes
from lexicon import HERE
from model import Config, Lodestone
from reference import logits


def losses(text):
    return [float(x) for x in re.findall(r"step \d+ stage \d+ loss (\S+)", text)]


def read_back(folder):
    """The model that an exported folder describes, from its files alone."""
    c = json.loads((folder / "config.json").read_text())
    model = Lodestone(Config(**{k: v for k, v in c.items() if k in Config.__dataclass_fields__}))
    with safe_open(folder / "model.safetensors", "pt") as f:
        formats = {k.removeprefix("block_format."): v for k, v in f.metadata().items() if k.startswith("block_format.")}
        state = {n.removeprefix("model."): from_bytes(f.get_tensor(n), formats[n]) if n in formats else f.get_tensor(n).float() for n in f.keys()}
        stored = {str(f.get_tensor(n).dtype) for n in f.keys()}
    model.load_state_dict(state)
    return model.eval(), formats, stored


class RecipeTest(unittest.TestCase):
    """Stages in their order: unittest sorts tests by name."""

    @classmethod
    def setUpClass(cls):
        cls.keep = tempfile.TemporaryDirectory()
        cls.work = Path(cls.keep.name)
        toy.write(cls.work / "corpora")

    @classmethod
    def tearDownClass(cls):
        cls.keep.cleanup()

    def command(self, stage, *arguments):
        """What `python stage.py arguments` prints; {work} in an argument is the temporary folder."""
        argv, said = sys.argv, io.StringIO()
        sys.argv = [stage + ".py"] + [str(a).replace("{work}", str(self.work)) for a in arguments]
        try:
            with contextlib.redirect_stdout(said), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                runpy.run_path(str(HERE / (stage + ".py")), run_name="__main__")
        finally:
            sys.argv = argv
        return said.getvalue()

    def training(self, stage, out, *arguments, size="toy", steps=40):
        return self.command(stage, "--prepared", "{work}/prepared.pkl", "--tokenizer", "{work}/tokenizer.json", "--size", size, "--steps", steps,
                            "--threads", 1, "--workers", 0, "--batch", .5, "--eager", "--out", "{work}/" + out, *arguments)

    def checkpoint(self, out):
        return torch.load(self.work / out / "last.pt", weights_only=False)

    def test_a_data(self):
        wordnet = Path("/usr/share/wordnet/data.noun")
        if not wordnet.exists():
            print("test_recipe: no WordNet; the data are made without synonyms", file=sys.stderr)
        said = self.command("corpora", "--corpora", "{work}/corpora", "--cities", HERE.parents[2] / "fixtures/haystack/cities.json",
                            "--wordnet", wordnet.parent if wordnet.exists() else "", "--out", "{work}/prepared.pkl")
        self.assertIn("books 7 held out 1 articles 1", said)
        said = self.command("tokenizer", "--prepared", "{work}/prepared.pkl", "--vocab", 1024, "--facts", 1000, "--out", "{work}/tokenizer.json")
        self.assertIn("vocabulary 1024", said)
        for size in (64, 128):
            self.command("embeddings", "--prepared", "{work}/prepared.pkl", "--tokenizer", "{work}/tokenizer.json", "--size", size, "--out", "{work}/embedding%d.pt" % size)

    def test_b_train_and_resume(self):
        arguments = ["teacher", "--embedding", "{work}/embedding128.pt"]
        first = self.training("train", *arguments, "--max-steps", 20, size="toy-teacher")
        second = self.training("train", *arguments, size="toy-teacher")
        self.assertIn("resumed at step 20", second)
        self.assertLess(losses(second)[-1], losses(first)[0] - 1)
        self.assertEqual(self.checkpoint("teacher")["state"]["step"], 40)
        folder = self.work / "teacher"
        self.assertEqual(json.loads((folder / "config.json").read_text())["arguments"]["size"], "toy-teacher")
        self.assertEqual((folder / "run.log").read_text(), first + second)

    def test_c_a_run_repeats(self):
        for out in ("once", "twice"):
            self.training("train", out, "--embedding", "{work}/embedding64.pt", steps=4)
        a, b = (self.checkpoint(out)["model"] for out in ("once", "twice"))
        self.assertTrue(all(torch.equal(a[n], b[n]) for n in a))

    def test_d_workers_and_the_clock(self):
        self.command("train", "--prepared", "{work}/prepared.pkl", "--tokenizer", "{work}/tokenizer.json", "--size", "toy", "--until", "23:59", "--max-steps", 2,
                     "--threads", 1, "--workers", 1, "--batch", .1, "--eager", "--out", "{work}/clock", "--embedding", "{work}/embedding64.pt")
        self.assertEqual(self.checkpoint("clock")["state"]["step"], 2)

    def test_e_distill(self):
        for kind in ("full", "sampled"):
            said = self.training("distill", kind, "--teacher", "{work}/teacher/last.pt", "--kind", kind, "--samples", 64, "--embedding", "{work}/embedding64.pt")
            self.assertLess(losses(said)[-1], losses(said)[0] - .3, kind)

    def test_f_quantise(self):
        said = self.training("quantise", "quantised", "--checkpoint", "{work}/full/last.pt")
        found = {k: float(v) for k, v in re.findall(r"^(unquantised|plainly rounded|trained and rounded): loss (\S+), right \d+/\d\d+", said, re.M)}
        self.assertEqual(len(found), 3, said)
        self.assertNotEqual(found["plainly rounded"], found["unquantised"])
        self.assertLess(losses(said)[-1], losses(said)[0])
        self.assertEqual(set(self.checkpoint("quantised")["formats"].values()), {"q4_0", "q8_0"})

    def test_g_bond(self):
        for seed in (1, 2):
            said = self.training("bond", f"bond{seed}", "--checkpoint", "{work}/full/last.pt", "--samples", 3, "--questions", 2, "--seed", seed, steps=3)
            self.assertRegex(said, r"before: loss [\d.]+, right \d+/\d+, of them present \d+/\d+, absent \d+/\d\d*\n")
            self.assertRegex(said, r"after: loss [\d.]+, ")

    def test_h_average(self):
        start, runs = self.checkpoint("full")["ema"], [self.checkpoint(f"bond{s}")["ema"] for s in (1, 2)]
        for how in ("mean", "slerp"):
            self.command("average", "{work}/bond1/last.pt", "{work}/bond2/last.pt", "--start", "{work}/full/last.pt", "--how", how, "--towards", .5, "--out", "{work}/merged/last.pt")
            merged = self.checkpoint("merged")["ema"]
            self.assertEqual(set(merged), set(start))
            if how == "mean":
                n = "layers.0.mlp.up_proj.weight"
                torch.testing.assert_close(merged[n], start[n].lerp((runs[0][n] + runs[1][n]) / 2, .5))
        said = self.training("train", "onwards", "--init", "{work}/merged/last.pt", steps=2)
        self.assertIn('"step": 2', said)

    def test_i_export(self):
        blocks = {"torch.uint8", "torch.float32"}
        for out, checkpoint, arguments, stored in [
                ("exported", "full", [], {"torch.bfloat16", "torch.float32"}), ("exported8", "full", ["--format", "q8_0"], blocks),
                ("exported4", "quantised", [], blocks), ("exported4e", "full", ["--format", "q4_0+q8_0", "--embedding-format", "q4_0"], blocks)]:
            self.command("export", "--checkpoint", "{work}/" + checkpoint + "/last.pt", "--tokenizer", "{work}/tokenizer.json", "--out", "{work}/" + out, *arguments)
            folder = self.work / out
            model, formats, kinds = read_back(folder)
            self.assertEqual(kinds, stored)
            self.assertEqual(set(formats.values()), {"exported": set(), "exported8": {"q8_0"}}.get(out, {"q4_0", "q8_0"}))
            golden = json.loads((folder / "golden.json").read_text())
            torch.testing.assert_close(logits(model, golden["ids"])[-1], torch.tensor(golden["logits_last"]), atol=1e-4, rtol=1e-4)
            self.assertEqual(len(json.loads((folder / "examples.json").read_text())), 2)
        size = lambda out: (self.work / out / "model.safetensors").stat().st_size
        self.assertTrue(size("exported4e") < size("exported4") < size("exported8") < size("exported"))
        self.assertEqual(Tokenizer.from_file(str(self.work / "exported" / "tokenizer.json")).get_vocab_size(), 1024)

    def test_j_transplant(self):
        self.command("tokenizer", "--prepared", "{work}/prepared.pkl", "--vocab", 900, "--facts", 500, "--out", "{work}/other.json")
        self.command("embeddings", "--prepared", "{work}/prepared.pkl", "--tokenizer", "{work}/other.json", "--size", 64, "--out", "{work}/other/embedding.pt")
        self.command("transplant", "--model", "{work}/exported", "--tokenizer", "{work}/other.json", "--meaning", "{work}/other/meaning.pt", "--out", "{work}/init.pt")
        said = self.command("train", "--prepared", "{work}/prepared.pkl", "--tokenizer", "{work}/other.json", "--size", "toy", "--steps", 2, "--threads", 1, "--workers", 0,
                            "--batch", .1, "--eager", "--init", "{work}/init.pt", "--out", "{work}/other")
        self.assertIn('"step": 2', said)

    def test_k_evaluate(self):
        for checkpoint in ("full", "quantised"):
            said = self.command("evaluate", "--checkpoint", "{work}/" + checkpoint + "/last.pt", "--prepared", "{work}/prepared.pkl", "--tokenizer", "{work}/tokenizer.json",
                                "--docs", 1, "--lengths", "512", "--show", 1)
            self.assertEqual(len(re.findall(r": \d+/[1-9]\d* = ", said)), 14, said)
        self.assertIn("matrices q4_0+q8_0", said)


if __name__ == "__main__":
    unittest.main()
