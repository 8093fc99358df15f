"""Best-of-n distillation with a reward that can be checked (BOND: Sessa et al. 2024, "BOND: Aligning LLMs with Best-of-N
Distillation"), which Gemma 3's post-training builds on.

Every question is answered n times at a temperature. Reward: 1 for the right answer, token for token, and for <absent> where the
document doesn't say; 0 for a wrong answer or a wrong <absent>; -1 for an answer where there is none. The model then moves
towards the distribution of the best of its own n samples, in BOND's Jeffreys divergence, as far as samples can tell it:

  forward   -log p(best sample)                                 the mean over those that share the best reward
  backward  -(log F(y) - mean) log p(y), over all n samples y   F(y): share of the question's samples whose reward is no higher
  loss = (1 - beta) forward + beta backward + anchor * KL(model || start)

What is left out of BOND: F comes from the same n samples, not from separate ones of an anchor; the anchor is the starting point and
stands still (runs are averaged afterwards, see average.py); questions whose samples all earn the same give no gradient, since
for them the best of n is the model itself. Samples of a temperature other than 1 are counted as the model's own.
"""
import torch

import loop
from data import ABSENT, ANSWER, ANSWER_LEN, EOS, QUESTION, ROW
from distill import mean
from loop import logits_of
from model import absolute_rope

LENGTH = ANSWER_LEN + 1     # of a sample, its end included


def asks(qa, pair, at, target):
    """Of each document's packed rows: [(question ids, answer ids with <eos>)]."""
    out = []
    for b in range(len(qa)):
        out.append([])
        for n in range(int(pair[b].max()) + 1):
            i = int((pair[b] == n).any(1).nonzero()[0, 0])
            q = qa[b, i][pair[b, i] == n].tolist()
            a = target[b, i][(pair[b, i].gather(0, at[b, i]) == n) & (target[b, i] != -100)].tolist()
            out[-1].append((q[1:q.index(ANSWER)], a))
    return out


def prompts(doc, questions, per_document, n):
    """Rows that hold a question each, n of one question beside each other: the arrays of a batch with empty answers.
    `start` is the column of <answer>, `truth` [B, per_document * n, LENGTH] the right answers; rows without a question are -1 and -100."""
    B, T, R = len(doc), doc.shape[1], per_document * n
    qa, pair = torch.zeros(B, R, ROW, dtype=torch.long), torch.full((B, R, ROW), -1)
    pos = (T + torch.arange(ROW)).expand(B, R, ROW)
    start, truth = torch.full((B, R), -1), torch.full((B, R, LENGTH), -100)
    for b, of in enumerate(questions):
        for r in range(n * min(per_document, len(of))):
            q, a = of[r // n]
            ids = [QUESTION] + q + [ANSWER]
            qa[b, r, :len(ids)] = torch.tensor(ids)
            pair[b, r, :len(ids)] = r
            start[b, r] = len(ids) - 1
            truth[b, r, :len(a)] = torch.tensor(a)
    return dict(doc=doc, **{k: v.to(doc.device) for k, v in dict(qa=qa, pos=pos, pair=pair, start=start, truth=truth).items()})


@torch.no_grad()
def sample(model, rope, window, temperature, doc, qa, pos, pair, start, truth):
    """The same rows with sampled answers: a batch of loop.run, with `reward` [B, R]; `right` says which are right."""
    qa, pair = qa.clone(), pair.clone()
    rows = pair[..., :1]
    target = torch.full_like(truth, -100)
    over = start < 0
    for t in range(LENGTH):
        column = (start + t).clamp(0, ROW - 1)[..., None]
        logits = logits_of(model, rope, window, doc, qa, pos, pair, column)[:, :, 0]
        token = torch.multinomial((logits / temperature).softmax(-1).flatten(0, 1), 1).view(over.shape)
        target[..., t] = torch.where(over, -100, token)
        over = over | (token == EOS) | (start + t + 1 >= ROW)       # full rows end without <eos>: never right
        if over.all():
            break
        column = (start + t + 1).clamp(0, ROW - 1)[..., None]
        qa.scatter_(2, column, torch.where(over[..., None], qa.gather(2, column), token[..., None]))
        pair.scatter_(2, column, torch.where(over[..., None], pair.gather(2, column), rows))
    at = (start[..., None] + torch.arange(LENGTH, device=doc.device)).clamp(0, ROW - 1)
    at = torch.where(target == -100, start[..., None].clamp(min=0), at)
    right = (target == truth).all(-1) & (start >= 0)
    reward = torch.where(right, 1.0, torch.where(truth[..., 0] == ABSENT, -1.0, 0.0))
    return dict(doc=doc, qa=qa, pos=pos, pair=pair, at=at, target=target, reward=reward, right=right)


def sample_weights(reward, asked, beta):
    """Of rewards [..., n], n samples of a question: the factor of -log p of each sample in the loss."""
    best = (reward == reward.amax(-1, keepdim=True)).float()
    unequal = (reward.amax(-1, keepdim=True) > reward.amin(-1, keepdim=True)).float()
    forward = best / best.sum(-1, keepdim=True) * unequal
    rank = (reward[..., None, :] <= reward[..., None]).float().mean(-1).log()
    backward = (rank - rank.mean(-1, keepdim=True)) / reward.shape[-1]
    return ((1 - beta) * forward + beta * backward) * asked


def best_of_n(anchor, n, beta, strength):
    """The loss for loop.run."""
    def loss(model, rope, window, target, reward, right, **batch):
        logits = logits_of(model, rope, window, **batch).log_softmax(-1)
        with torch.no_grad():
            before = logits_of(anchor, rope, window, **batch).log_softmax(-1)
        taken = logits.gather(-1, target.clamp(min=0)[..., None])[..., 0]
        log_p = torch.where(target != -100, taken, 0.0).sum(-1)                     # [B, R]
        asked = (target[..., 0] != -100).float().unflatten(-1, (-1, n))
        factor = sample_weights(reward.unflatten(-1, (-1, n)), asked, beta)
        bond = -(factor * log_p.unflatten(-1, (-1, n))).sum() / asked[..., 0].sum()
        kl = mean((logits.exp() * (logits - before)).sum(-1), target)
        return bond + strength * kl, right[..., None].expand_as(target)

    return loss


def main():
    ap = loop.arguments(__doc__, "work/bond", muon_lr=1e-3, adam_lr=1e-4)
    ap.add_argument("--checkpoint", default="work/run/last.pt", help="where to start, and the anchor")
    ap.add_argument("--samples", type=int, default=8, help="n: answers per question")
    ap.add_argument("--questions", type=int, default=4, help="per document")
    ap.add_argument("--temperature", type=float, default=1.0)
    ap.add_argument("--beta", type=float, default=0.5, help="share of the backward divergence")
    ap.add_argument("--anchor", type=float, default=0.1, help="weight of the divergence from the start")
    ap.set_defaults(eager=True)     # not worth compiling for some hundred steps
    a = ap.parse_args()
    loop.prepare(a)
    model = loop.load(a.checkpoint, a.device)
    anchor, fixed = loop.frozen(model), loop.held_out(a)
    loop.note(a, loop.report("before", anchor, fixed))
    rope = tuple(t.to(a.device) for t in absolute_rope(model.c, 1024 + ROW))

    def change(batch, tags):
        questions = asks(batch["qa"].cpu(), batch["pair"].cpu(), batch["at"].cpu(), batch["target"].cpu())
        rows = prompts(batch["doc"], questions, a.questions, a.samples)
        tags = [[t for t in of[:a.questions] for _ in range(a.samples)] for of in tags]
        return sample(model, rope, model.c.sliding_window, a.temperature, **rows), tags

    stages = [{**loop.curriculum(a)[-1], "until": 1.0, "gate": None, "looks": []}]
    ema = loop.run(a, model, best_of_n(anchor, a.samples, a.beta, a.anchor), stages, schedule=loop.constant, decay=0.0, change=change)
    model.load_state_dict(ema)
    loop.note(a, loop.report("after", model, fixed))


if __name__ == "__main__":
    main()
