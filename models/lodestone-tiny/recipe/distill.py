"""Distillation as Gemma 3 does it: a student learns a teacher's probabilities, beside the answers themselves.

The teacher is any checkpoint with the student's tokenizer: a larger size, or a longer run. On every predicted token of an answer

  loss = hard * cross-entropy of the right token + (1 - hard) * KL(teacher || student)

`--kind full` takes the divergence over the whole vocabulary. `--kind sampled` takes it on 256 ids a token (Gemma 3, section 2.2):
drawn in proportion to the teacher's probability, without replacement; the teacher's probabilities are renormalised on them and
zero elsewhere, the student's are not: it still has to take its mass away from the other ids. With a vocabulary of no more ids than
that both are the same. Sampling makes targets small enough to store; with 8,192 pieces and the teacher at hand it saves nothing.
"""
import torch

import loop
from loop import cross_entropy, logits_of
from model import absolute_rope
from data import ROW


def mean(x, target):
    """Mean over the predicted tokens of x [...], where target [...] isn't -100."""
    real = target != -100
    return (x * real).sum() / real.sum()


def full(student, teacher, target):
    """KL(teacher || student) of logits [..., vocab] over the whole vocabulary."""
    p, q = teacher.log_softmax(-1), student.log_softmax(-1)
    return mean((p.exp() * (p - q)).sum(-1), target)


def draw(teacher, samples, generator=None):
    """Ids [..., samples] by teacher probability, without replacement: those of largest logit plus Gumbel noise."""
    noise = torch.empty_like(teacher).exponential_(generator=generator).clamp(min=1e-30)
    return (teacher - noise.log()).topk(min(samples, teacher.shape[-1]), -1).indices


def sampled(student, teacher, target, ids):
    """The same where the teacher's probabilities are renormalised on `ids` [..., n] and zero elsewhere."""
    p = teacher.gather(-1, ids).log_softmax(-1)
    q = student.log_softmax(-1).gather(-1, ids)
    return mean((p.exp() * (p - q)).sum(-1), target)


def distilled(teacher, kind="full", samples=256, hard=0.5):
    """The loss for loop.run."""
    rope_of_teacher = tuple(t.to(teacher.embed_tokens.weight.device) for t in absolute_rope(teacher.c, 1024 + ROW))

    def loss(model, rope, window, target, **batch):
        with torch.no_grad():
            t = logits_of(teacher, rope_of_teacher, window, **batch)
        s = logits_of(model, rope, window, **batch)
        soft = full(s, t, target) if kind == "full" else sampled(s, t, target, draw(t, samples))
        return hard * cross_entropy(s, target) + (1 - hard) * soft, s.argmax(-1) == target

    return loss


def main():
    ap = loop.arguments(__doc__, "work/distilled")
    ap.add_argument("--teacher", required=True, help="checkpoint")
    ap.add_argument("--kind", choices=["full", "sampled"], default="full")
    ap.add_argument("--samples", type=int, default=256)
    ap.add_argument("--hard", type=float, default=0.5, help="weight of the right answer; the rest is the teacher's")
    ap.add_argument("--embedding", default="work/embedding.pt", help="first values of the student's embedding")
    ap.add_argument("--init", help="first weights of the student instead; only the last stage is gone through")
    a = ap.parse_args()
    loop.prepare(a)
    stages = loop.curriculum(a)
    teacher = loop.load(a.teacher, a.device).requires_grad_(False)
    loop.run(a, loop.fresh(a), distilled(teacher, a.kind, a.samples, a.hard), stages, stage=len(stages) - 1 if a.init else 0)


if __name__ == "__main__":
    main()
