"""The blocked training pass must equal the plain reference. Run: python -m unittest test_model"""
import unittest

import numpy as np
import torch

from data import ROW, TARGETS, pack
from model import Config, Lodestone, absolute_rope
from reference import logits


class ForwardTest(unittest.TestCase):
    def test_blocked_equals_reference(self):
        torch.manual_seed(0)
        m = Lodestone(Config(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, head_dim=16)).eval()
        for T in (64, 128, 256):
            for window in (9, 64, 128):
                with self.subTest(T=T, window=window):
                    self.check(m, T, window)

    def test_passages_both_ways(self):
        """Of one block and of two, which see each other."""
        torch.manual_seed(0)
        m = Lodestone(Config(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, head_dim=16)).eval()
        for T in (64, 128):
            for window in (9, 64, 128):
                with self.subTest(T=T, window=window):
                    causal, both = self.check(m, T, window), self.check(m, T, window, both_ways=True)
                    self.assertGreater((causal - both).abs().max(), .01)

    def check(self, m, T, window, both_ways=False):
        r = np.random.default_rng(0)
        B, R = 2, 3
        doc = torch.from_numpy(r.integers(16, 64, (B, T)))
        rows = dict(qa=np.zeros((B, R, ROW), np.int64), pos=np.full((B, R, ROW), T), pair=np.full((B, R, ROW), -1),
                    at=np.zeros((B, R, TARGETS), np.int64), target=np.full((B, R, TARGETS), -100))
        lengths = ((5, 2), (30, 9), (1, 1), (17, 3), (40, 8))
        pairs = [[(r.integers(16, 64, n).tolist(), r.integers(16, 64, a).tolist(), str(n)) for n, a in lengths] for _ in range(B)]
        for b in range(B):
            self.assertEqual(len(pack(pairs[b], T, R, {k: v[b] for k, v in rows.items()})), 5)
        rows = {k: torch.from_numpy(v) for k, v in rows.items()}
        m.c.sliding_window = window
        with torch.no_grad():
            got = m(doc, rows["qa"], rows["pos"], rows["pair"], rows["at"], window, absolute_rope(m.c, T + ROW), both_ways)
        for b in range(B):
            for n, (q, a, _) in enumerate(pairs[b]):
                i = [i for i in range(R) if (rows["pair"][b, i] == n).any()][0]
                mine = (rows["pair"][b, i].gather(0, rows["at"][b, i]) == n) & (rows["target"][b, i] != -100)
                ids = doc[b].tolist() + [4] + q + [5] + a
                torch.testing.assert_close(got[b, i][mine], logits(m, ids, T if both_ways else 0)[-len(a) - 1:], atol=2e-4, rtol=1e-3)
                self.assertEqual(rows["target"][b, i][mine].tolist(), a + [1])
        return got


if __name__ == "__main__":
    unittest.main()
