"""The block formats against the runtime's own vectors (fixtures/gemma3-tiny/blocks.json). Run: python -m unittest test_blocks"""
import json
import unittest

import torch

from blocks import dequantised, fake, from_bytes, integers, plan, to_bytes
from lexicon import HERE
from model import Config, Lodestone

FIXTURE = HERE.parents[2] / "fixtures" / "gemma3-tiny" / "blocks.json"


class BlocksTest(unittest.TestCase):
    def setUp(self):
        self.golden = json.loads(FIXTURE.read_text())

    def test_golden_bytes(self):
        x = torch.tensor(self.golden["quantize_input"])[None]
        for fmt in ("q8_0", "q4_0"):
            self.assertEqual(bytes(to_bytes(x, fmt)[0].tolist()).hex(), self.golden["quantize_" + fmt.upper()])

    def test_golden_values(self):
        for fmt in ("q8_0", "q4_0"):
            g = self.golden[fmt.upper()]
            data = torch.tensor(list(bytes.fromhex(g["raw_hex"])), dtype=torch.uint8)[None]
            self.assertTrue(torch.equal(from_bytes(data, fmt)[0], torch.tensor(g["f32"])))

    def test_bytes_hold_the_fake_values(self):
        torch.manual_seed(0)
        x = torch.cat([torch.randn(40, 128) * 10 ** torch.randn(40, 1), torch.zeros(1, 128), torch.randint(-3, 4, (30, 128)).float()])
        for fmt in ("q8_0", "q4_0"):
            data = to_bytes(x, fmt)
            self.assertEqual(data.shape, (71, 4 * (34 if fmt == "q8_0" else 18)))
            self.assertTrue(torch.equal(from_bytes(data, fmt), dequantised(x, fmt)))

    def test_ties(self):
        """Halves go away from zero in q8_0 and up in q4_0; of two largest the first gives the sign."""
        x = torch.zeros(1, 32)
        x[0, :5] = torch.tensor([127., .5, -.5, 1.5, -2.5])
        self.assertEqual(integers(x, "q8_0")[0][0, 0, :5].tolist(), [127, 1, -1, 2, -3])
        x[0, :5] = torch.tensor([8., -8., .5, -.5, 7.5])        # d = -1: x / d = -8, 8, -.5, .5, -7.5
        q, d = integers(x, "q4_0")
        self.assertEqual((q[0, 0, :5].tolist(), d.item()), ([-8, 7, 0, 1, -7], -1))

    def test_error(self):
        torch.manual_seed(1)
        x = torch.randn(64, 256)
        for fmt, steps in (("q8_0", .57), ("q4_0", 1.01)):      # d's own rounding counts too; q4_0 has -8 but only 7
            _, d = integers(x, fmt)
            off = (dequantised(x, fmt) - x).unflatten(-1, (-1, 32)).abs() / d.float().abs()
            self.assertLess(off.max(), steps)

    def test_straight_through(self):
        x = torch.randn(4, 64, requires_grad=True)
        w = torch.randn(4, 64)
        for fmt in ("q8_0", "q4_0", "bf16"):
            x.grad = None
            y = fake(x, fmt)
            self.assertTrue(torch.equal(y.detach(), dequantised(x.detach(), fmt)))
            (y * w).sum().backward()
            self.assertTrue(torch.equal(x.grad, w))

    def test_plan(self):
        m = Lodestone(Config(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, head_dim=16, num_attention_heads=2, num_key_value_heads=1))
        p = plan(m, "q4_0+q8_0")
        self.assertEqual({n for n, f in p.items() if f == "q8_0"}, {"embed_tokens.weight", "layers.1.self_attn.q_proj.weight", "layers.1.self_attn.k_proj.weight"})
        self.assertEqual(len(p), 1 + 2 * 7)
        self.assertEqual(plan(m, "q4_0+q8_0", "q4_0")["embed_tokens.weight"], "q4_0")
        self.assertEqual(set(plan(m, "q8_0").values()), {"q8_0"})


if __name__ == "__main__":
    unittest.main()
