"""The blocked training pass must equal the plain reference. Run: python -m unittest test_model"""
import unittest

import numpy as np
import torch

import look
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

    def check(self, m, T, window):
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
            got = m(doc, rows["qa"], rows["pos"], rows["pair"], rows["at"], window, absolute_rope(m.c, T + ROW))
        for b in range(B):
            for n, (q, a, _) in enumerate(pairs[b]):
                i = [i for i in range(R) if (rows["pair"][b, i] == n).any()][0]
                mine = (rows["pair"][b, i].gather(0, rows["at"][b, i]) == n) & (rows["target"][b, i] != -100)
                ids = doc[b].tolist() + [4] + q + [5] + a
                torch.testing.assert_close(got[b, i][mine], logits(m, ids)[-len(a) - 1:], atol=2e-4, rtol=1e-3)
                self.assertEqual(rows["target"][b, i][mine].tolist(), a + [1])

    def test_a_look_equals_reference(self):
        """Blocks longer and shorter than the window, answers that end in padding."""
        torch.manual_seed(0)
        m = Lodestone(Config(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, head_dim=16)).eval()
        r = np.random.default_rng(1)
        L, blocks, answers = 40, [30, 12, 7, 36], [3, 9, 1, 4]
        ids = np.zeros((4, L), np.int64)
        at = np.zeros((4, look.TARGETS), np.int64)
        for i, (n, a) in enumerate(zip(blocks, answers)):
            ids[i, :n + a] = r.integers(16, 64, n + a)
            at[i, :a] = np.arange(n, n + a)
        for window in (5, 16, 64):
            m.c.sliding_window = window
            with torch.no_grad():
                got = look.forward(m, torch.from_numpy(ids), torch.tensor(blocks), torch.from_numpy(at), window, absolute_rope(m.c, L))
            for i, (n, a) in enumerate(zip(blocks, answers)):
                want = logits(m, ids[i, :n + a].tolist(), n)
                torch.testing.assert_close(got[i, :a], want[n:], atol=2e-4, rtol=1e-3)
                self.assertGreater((want[n:] - logits(m, ids[i, :n + a].tolist())[n:]).abs().max(), .01)


if __name__ == "__main__":
    unittest.main()
