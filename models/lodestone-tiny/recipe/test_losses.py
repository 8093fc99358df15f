"""Losses and averages against what they must be. Run: python -m unittest test_losses"""
import math
import unittest

import numpy as np
import torch

from average import mean, slerp, spherical
from bond import LENGTH, asks, best_of_n, prompts, sample, sample_weights
from blocks import plan
from data import ABSENT, EOS, ROW, TARGETS, pack
from distill import draw, full, sampled
from export import rounded
from loop import frozen, logits_of, optimisers
from model import Config, Lodestone, absolute_rope
from quantise import Fake
from reference import logits

TINY = Config(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=64)


def tiny_batch(B=2, T=64, R=2, seed=0):
    r = np.random.default_rng(seed)
    rows = dict(qa=np.zeros((B, R, ROW), np.int64), pos=np.full((B, R, ROW), T), pair=np.full((B, R, ROW), -1),
                at=np.zeros((B, R, TARGETS), np.int64), target=np.full((B, R, TARGETS), -100))
    pairs = [[(r.integers(16, 64, n).tolist(), [ABSENT] if n == 7 else r.integers(16, 64, a).tolist(), "") for n, a in ((5, 2), (30, 9), (7, 1))] for _ in range(B)]
    for b in range(B):
        pack(pairs[b], T, R, {k: v[b] for k, v in rows.items()})
    return dict(doc=torch.from_numpy(r.integers(16, 64, (B, T))), **{k: torch.from_numpy(v) for k, v in rows.items()}), pairs


class DistillTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.teacher, self.target = torch.randn(3, 5, 40) * 3, torch.randint(0, 40, (3, 5))
        self.target[0, 2:] = -100

    def both(self, samples):
        out = []
        for kind in (full, lambda s, t, g: sampled(s, t, g, draw(t, samples))):
            s = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(1), requires_grad=True)
            loss = kind(s, self.teacher, self.target)
            loss.backward()
            out.append((loss.detach(), s.grad))
        return out

    def test_equal_where_the_vocabulary_is_no_larger(self):
        for samples in (40, 256):
            (a, ga), (b, gb) = self.both(samples)
            torch.testing.assert_close(a, b)
            torch.testing.assert_close(ga, gb)
            self.assertGreater(ga.abs().max(), 0)
            self.assertEqual(ga[0, 2:].abs().max(), 0)        # nothing of what is not predicted
        (a, _), (b, _) = self.both(10)
        self.assertNotAlmostEqual(a.item(), b.item(), places=3)

    def test_draw(self):
        ids = draw(self.teacher, 10)
        self.assertTrue((ids.sort(-1).values.diff(dim=-1) > 0).all())       # without replacement
        p = torch.tensor([.5, .3, .15, .05])
        first = draw(p.log().expand(20_000, 4), 2, torch.Generator().manual_seed(0))
        torch.testing.assert_close(torch.bincount(first[:, 0], minlength=4) / 20_000, p, atol=.02, rtol=0)

    def test_minimum_is_the_teacher_renormalised(self):
        ids = draw(self.teacher, 10)
        best = torch.full_like(self.teacher, -30.0).scatter(-1, ids, self.teacher.gather(-1, ids).log_softmax(-1)).requires_grad_()
        loss = sampled(best, self.teacher, self.target, ids)
        loss.backward()
        self.assertLess(abs(loss.item()), 1e-5)
        self.assertLess(best.grad.abs().max(), 1e-5)
        for _ in range(20):
            self.assertGreater(sampled(best.detach() + .1 * torch.randn(3, 5, 40), self.teacher, self.target, ids).item(), loss.item())


class QuantiseTest(unittest.TestCase):
    def test_fake_model_is_the_stored_one(self):
        torch.manual_seed(0)
        m = Lodestone(TINY)
        batch, _ = tiny_batch()
        target = batch.pop("target")
        rope = absolute_rope(TINY, 64 + ROW)
        for fmt in ("q8_0", "q4_0+q8_0"):
            formats = plan(m, fmt)
            got = logits_of(Fake(m, formats), rope, 64, **batch)
            want = logits_of(rounded(frozen(m), formats), rope, 64, **batch)
            torch.testing.assert_close(got, want)
            self.assertGreater((got - logits_of(m, rope, 64, **batch)).abs().max(), 1e-3)
            m.zero_grad()
            full(got, want + torch.randn_like(want), target).backward()
            self.assertTrue(all(p.grad is not None and p.grad.abs().max() > 0 for n, p in m.named_parameters()))


class BondTest(unittest.TestCase):
    def test_weights(self):
        asked = torch.ones(1)
        forward = sample_weights(torch.tensor([[0., 1, 1, 0]]), asked, 0)
        self.assertEqual(forward.tolist(), [[0, .5, .5, 0]])
        self.assertEqual(sample_weights(torch.tensor([[1., 1, 1], [-1, -1, -1]]), asked, .5).abs().max(), 0)       # nothing to choose from
        backward = sample_weights(torch.tensor([[-1., 0, 0, 1]]), asked, 1)[0]
        self.assertAlmostEqual(backward.sum().item(), 0, places=6)
        self.assertTrue(backward[0] < backward[1] == backward[2] < backward[3])
        self.assertAlmostEqual((backward[3] - backward[0]).item(), math.log(4) / 4, places=6)

    def test_samples(self):
        torch.manual_seed(0)
        m = Lodestone(TINY)
        rope = absolute_rope(TINY, 64 + ROW)
        batch, pairs = tiny_batch()
        doc, target = batch["doc"], batch.pop("target")
        questions = asks(batch["qa"], batch["pair"], batch["at"], target)
        self.assertEqual(questions, [[(q, a + [EOS]) for q, a, _ in of] for of in pairs])
        rows = prompts(doc, questions, 4, 3)        # one question more than there are
        cold = sample(m, rope, 64, 1e-4, **rows)      # cold: greedy
        self.assertEqual(cold["target"].shape, (2, 12, LENGTH))
        self.assertTrue((cold["target"][:, 9:] == -100).all() and (cold["pair"][:, 9:] == -1).all())
        for r in (0, 3, 8):
            q, got = questions[0][r // 3][0], [t for t in cold["target"][0, r].tolist() if t >= 0]
            prompt, want = doc[0].tolist() + [4] + q + [5], []
            while len(want) < len(got):
                want.append(int(logits(m, prompt + want)[-1].argmax()))
            self.assertEqual(got, want)
        # what the sampled rows hold is what their targets say
        hot = sample(m, rope, 64, 1.0, **rows)
        real = hot["target"] != -100
        self.assertTrue((hot["target"][..., 1:] == -100)[hot["target"][..., :-1] == EOS].all())
        follows = hot["qa"].gather(2, (hot["at"] + 1).clamp(max=ROW - 1))
        inside = real & (hot["target"] != EOS) & torch.cat([real[..., 1:], torch.zeros_like(real[..., :1])], -1)
        self.assertTrue((follows == hot["target"])[inside].all())

    def test_rewards_and_loss(self):
        torch.manual_seed(0)
        m = Lodestone(TINY)
        rope = absolute_rope(TINY, 64 + ROW)
        batch, _ = tiny_batch()
        target = batch.pop("target")
        rows = prompts(batch["doc"], asks(batch["qa"], batch["pair"], batch["at"], target), 3, 2)
        torch.manual_seed(5)
        first = sample(m, rope, 64, 1.0, **rows)
        rows["truth"][0, 0] = first["target"][0, 0]       # as if it had answered rightly
        torch.manual_seed(5)
        again = sample(m, rope, 64, 1.0, **rows)
        self.assertTrue(torch.equal(again["target"], first["target"]))
        self.assertEqual(again["reward"][0].tolist(), [1, 0, 0, 0, -1, -1])       # right, wrong, and wrong where nothing is to be found
        loss = best_of_n(frozen(m), 2, .5, .1)
        value, right = loss(m, rope, 64, **again)
        self.assertEqual(right.any(-1).sum(), 1)
        # a step against the gradient makes the right sample likelier than the wrong one
        inputs = {k: again[k] for k in ("doc", "qa", "pos", "pair", "at")}
        taken = lambda: logits_of(m, rope, 64, **inputs).log_softmax(-1).gather(-1, again["target"].clamp(min=0)[..., None])[..., 0]
        ratio = lambda: torch.where(again["target"] != -100, taken(), 0).sum(-1)[0, :2].detach()
        a = ratio()
        value.backward()
        with torch.no_grad():
            for p in m.parameters():
                p -= .01 * p.grad
        b = ratio()
        self.assertGreater(b[0] - b[1], a[0] - a[1])


class AverageTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.start, self.a, self.b = ({"w": torch.randn(8, 6), "n": torch.randn(5)} for _ in range(3))

    def test_identical(self):
        for merged in (mean([self.a] * 3), spherical(self.start, [self.a] * 3)):
            for n, w in merged.items():
                torch.testing.assert_close(w, self.a[n])

    def test_mean(self):
        torch.testing.assert_close(mean([self.a, self.b])["w"], (self.a["w"] + self.b["w"]) / 2)

    def test_ends_of_the_arc(self):
        a, b = self.a["w"], self.b["w"]
        torch.testing.assert_close(slerp(a, b, 0), a)
        torch.testing.assert_close(slerp(a, b, 1), b)
        for x in (torch.zeros_like(a), 2 * a, -a):
            torch.testing.assert_close(slerp(a, x, 1), x)
            torch.testing.assert_close(slerp(a, x, 0), a)

    def test_length_is_kept(self):
        a, b = (torch.nn.functional.normalize(x["w"].flatten(), dim=0) for x in (self.a, self.b))
        for t in (.25, .5):
            self.assertAlmostEqual(slerp(a, b, t).norm().item(), 1, places=5)
        self.assertLess(((a + b) / 2).norm().item(), .9)

    def test_order_does_not_matter_for_two(self):
        x, y = spherical(self.start, [self.a, self.b]), spherical(self.start, [self.b, self.a])
        torch.testing.assert_close(x["w"], y["w"])


class LoopTest(unittest.TestCase):
    def test_optimisers_learn(self):
        torch.manual_seed(0)
        m = Lodestone(TINY)
        batch, _ = tiny_batch()
        target = batch.pop("target")
        rope = absolute_rope(TINY, 64 + ROW)
        muon, adam = optimisers(m, .02, .01)
        losses = []
        for _ in range(12):
            x = logits_of(m, rope, 64, **batch)
            l = torch.nn.functional.cross_entropy(x.flatten(0, 2), target.flatten(), ignore_index=-100)
            l.backward()
            adam.step(); muon.step(1.0)
            m.zero_grad()
            losses.append(l.item())
        self.assertLess(losses[-1], .7 * losses[0])


if __name__ == "__main__":
    unittest.main()
