"""The blocked training pass must equal the plain reference. Run: python -m unittest test_model"""
import unittest

import torch

from model import Config, Lodestone, batch_geometry
from reference import logits


class ForwardTest(unittest.TestCase):
    def test_blocked_equals_reference(self):
        torch.manual_seed(0)
        c = Config(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, head_dim=16)
        m = Lodestone(c).eval()
        T, S, A = 192, 20, 6
        doc = torch.randint(16, 64, (2, T))
        qa = torch.zeros(2, 2, S, dtype=torch.long)
        pos = torch.full((2, 2, S), T)
        for b in range(2):
            for n in range(2):
                pad = 3 * n + b      # left padding, and `n` columns on the right
                qa[b, n, pad:S - n] = torch.randint(16, 64, (S - n - pad,))
                pos[b, n, pad:] = T + torch.arange(S - pad)
        with torch.no_grad():
            got = m(doc, qa, *batch_geometry(c, T, qa, pos, A, c.sliding_window), A)
        for b in range(2):
            for n in range(2):
                ids = doc[b].tolist() + [t for t in qa[b, n].tolist() if t]
                want = logits(m, ids)[len(ids) - (A - n):]
                torch.testing.assert_close(got[b, n, :A - n], want, atol=2e-4, rtol=1e-3)


if __name__ == "__main__":
    unittest.main()
