"""python -m unittest: labels, reading, the tower's start, and every stage at toy size; without the corpora, in about half a minute of a core."""
import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

import export
from alphabet import BLANK, CHARACTERS, CLASSES
from overlays import CELL, GRID, HELD_FONTS, TRAIN_FONTS, Overlays, columns, fonts, patches
from reading import read
from texts import Texts, held_words, words_of
from tower import AMPLITUDE, OFFSETS, POSITION, Config, Tower, cells, position_table, shift_matrix
from train import FIXTURES

HERE = Path(__file__).parent
WORDS = FIXTURES / "video" / "words.json"


def held(*found, rows=3, cols=8):
    p = np.zeros((rows, cols, CLASSES))
    p[..., BLANK] = 1
    for row, col, c, share in found:
        p[row, col, 1 + CHARACTERS.index(c)] = share
        p[row, col, BLANK] -= share
    return p


class Labels(unittest.TestCase):
    def test_a_cell_for_each_character_in_order(self):
        self.assertEqual(columns([.5, 1.5, 4.2], 8), [0, 1, 4])
        self.assertEqual(columns([2.1, 2.3, 2.6], 8), [1, 2, 3])
        self.assertEqual(columns([7.6, 7.8], 8), [6, 7])

    def test_a_drawn_text_is_what_its_labels_say(self):
        overlays, r = Overlays(Texts(["acorn"]), fonts(TRAIN_FONTS), []), random.Random(1)
        lines = ["The secret word is", '"acorn"']
        seen = 0
        for _ in range(12):
            picture, classes = overlays.sample(r, GRID, GRID, text=lines)
            self.assertEqual(picture.shape, (GRID * CELL, GRID * CELL, 3))
            if classes.any():
                seen += read(np.eye(CLASSES)[classes]) == lines
        self.assertGreater(seen, 6)

    def test_what_is_held_out_is_not_trained_on(self):
        self.assertFalse(set(fonts(TRAIN_FONTS)) & set(fonts(HELD_FONTS)))
        self.assertFalse({w.lower() for w in words_of(FIXTURES / "haystack", held_words(WORDS))} & held_words(WORDS))

    def test_patches_are_cut_as_the_runtime_cuts_them(self):
        picture = np.random.default_rng(0).normal(size=(1, 16, 24, 3)).astype(np.float32)
        cut = patches(picture)
        self.assertEqual(cut.shape, (1, 6, 3 * CELL * CELL))
        # Row 1, column 2 of the patches; channel, row, column within.
        self.assertEqual(cut[0, 5].reshape(3, CELL, CELL)[2, 3, 4], picture[0, CELL + 3, 2 * CELL + 4, 2])


class Reading(unittest.TestCase):
    def test_borders_and_doubles(self):
        self.assertEqual(read(held((1, 0, "b", 1), (1, 1, "o", .5), (1, 2, "o", .5), (1, 3, "l", 1), (1, 4, "l", 1))), ["boll"])
        self.assertEqual(read(held((0, 1, "t", .5), (1, 1, "t", .5), (0, 2, "o", 1))), ["to"])
        self.assertEqual(read(held((1, 1, "t", .3))), [])


class Start(unittest.TestCase):
    def test_a_head_looks_at_its_offset(self):
        waves = position_table()
        at = lambda row, col: waves[row * GRID + col]
        for offset in ((0, -1), (0, 3), (-2, 0), (1, 1)):
            want = at(10 + offset[0], 12 + offset[1])
            self.assertTrue(torch.allclose(shift_matrix(offset) @ at(10, 12), want, atol=1e-5))
        torch.manual_seed(0)
        model = Tower(Config())
        x = model.patch(torch.rand(1, GRID * GRID, 3 * CELL * CELL) * 2 - 1) + model.positions
        layer = model.layers[0]
        q, k = (p(layer.layer_norm1(x))[0].view(GRID * GRID, 4, -1) for p in (layer.self_attn.q_proj, layer.self_attn.k_proj))
        inside = [(row, col) for row in range(4, 20) for col in range(4, 20)]
        for h, (down, right) in enumerate(OFFSETS[0]):
            weights = (q[:, h] @ k[:, h].T / k.shape[-1] ** .5).softmax(-1)
            self.assertGreater(np.mean([weights[row * GRID + col, (row + down) * GRID + col + right].item() for row, col in inside]), .9)

    def test_nothing_is_written_over_the_positions(self):
        model = Tower(Config())
        for p in model.parameters():
            p.data += .1
        model.keep_positions()
        x = model.patch(torch.randn(2, 20, 3 * CELL * CELL)) + model.positions[cells(4, 5)]
        y = model.layers[0](x)
        self.assertTrue(torch.equal(y[..., :POSITION], (AMPLITUDE * position_table())[cells(4, 5)].expand(2, -1, -1)))


class Stages(unittest.TestCase):
    def test_training_resumes_and_what_is_exported_reads_alike(self):
        with tempfile.TemporaryDirectory() as folder:
            run = lambda steps: subprocess.run([sys.executable, HERE / "train.py", "--size", "toy", "--workers", "0", "--steps", str(steps), "--out", f"{folder}/run"], check=True, capture_output=True)
            run(2)
            run(4)
            checkpoint = torch.load(f"{folder}/run/last.pt")
            self.assertEqual(checkpoint["state"]["step"], 4)
            subprocess.run([sys.executable, HERE / "export.py", "--checkpoint", f"{folder}/run/last.pt", "--out", f"{folder}/out"], check=True, capture_output=True)
            self.check_export(Path(folder) / "out", checkpoint)

    def check_export(self, out, checkpoint):
        from safetensors.torch import load_file
        stored, config = load_file(out / "model.safetensors"), json.loads((out / "config.json").read_text())
        model = Tower(Config(**checkpoint["config"]))
        model.load_state_dict(checkpoint["ema"])
        through = stored[export.ROWS].double() @ stored[export.PROJECTION].double().T
        self.assertTrue(torch.allclose(through.float(), model.rows.weight, atol=1e-5))
        try:
            from transformers import SiglipVisionConfig, SiglipVisionModel
        except ImportError:
            self.skipTest("transformers, the independent truth, is not installed")
        theirs = SiglipVisionModel(SiglipVisionConfig(**{k: v for k, v in config["vision_config"].items() if k != "model_type"})).eval()
        prefix = "vision_tower.vision_model."
        own = {n.removeprefix(prefix): t.float() for n, t in stored.items() if n.startswith(prefix)}
        own["embeddings.position_embedding.weight"] = own["embeddings.position_embedding.weight"]
        names = theirs.state_dict()
        theirs.load_state_dict({(n if n in names else f"vision_model.{n}"): t for n, t in own.items()}, strict=True)
        picture = torch.rand(1, 3, CELL * GRID, CELL * GRID) * 2 - 1
        with torch.no_grad():
            got = theirs(picture).last_hidden_state
            x = torch.from_numpy(patches(picture.permute(0, 2, 3, 1).numpy()))
            half = Tower(Config(**checkpoint["config"]))
            half.load_state_dict({n: (p.to(torch.bfloat16).float() if p.dim() == 2 and n not in ("positions", "rows.weight") else p) for n, p in checkpoint["ema"].items()})
            h = half.patch(x) + half.positions
            for layer in half.layers:
                h = layer(h)
            self.assertTrue(torch.allclose(got, half.post_layernorm(h), atol=1e-4))


if __name__ == "__main__":
    unittest.main()
