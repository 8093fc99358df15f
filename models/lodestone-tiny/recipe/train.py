"""Training: one process computes, one makes batches. Run again with the same --out to resume.

The learning rate follows the clock, not the step count: warm-up, constant, then linear decay over
the last 60 % of the time until --until. A machine that is slowed down or stopped for a while
(SIGSTOP) still ends with a fully annealed model.
"""
import argparse
import json
import multiprocessing as mp
import os
import pickle
import random
import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F

from data import ANSWER_LEN, Generator, Options
from model import Config, Lodestone, batch_geometry

# shapes: (documents, tokens, questions per document, window), share. The window is small at first: the
# answer must lie outside what the local layers reach, or the global layer is never needed. A stage ends
# when its accuracy passes `gate`, or after `minutes`: small windows have a ceiling, since they cut off
# long facts, and waiting below it teaches nothing.
STAGES = [
    dict(shapes=[((32, 128, 8, 12), 1.0)], gate=0.80, minutes=20, options=dict(absent=0, real_qa=0, wrap=0)),
    dict(shapes=[((32, 128, 8, 16), .25), ((16, 512, 16, 32), .75)], gate=0.85, minutes=12, options=dict(absent=0.03, real_qa=0.05, cloze=0.2)),
    dict(shapes=[((32, 128, 8, 32), .1), ((16, 512, 16, 64), .9)], gate=0.90, minutes=25, options=dict(absent=0.08, real_qa=0.05, cloze=0.4)),
    dict(shapes=[((32, 128, 8, 64), .1), ((16, 512, 16, 64), .5), ((8, 1024, 16, 64), .4)], gate=None, minutes=None, options=dict(absent=0.08, real_qa=0.05, cloze=0.4)),
]


def producer(queue, stage, prepared_path, tokenizer_path, seed):
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    gen = Generator(pickle.load(open(prepared_path, "rb")), Tokenizer.from_file(tokenizer_path))
    r = random.Random(seed)
    while True:
        s = STAGES[stage.value]
        shape = r.choices([x[0] for x in s["shapes"]], [x[1] for x in s["shapes"]])[0]
        B, T, N, w = shape
        queue.put((shape, gen.batch(r, B, T, N, Options(**s["options"]))))


# -- optimiser ---------------------------------------------------------------------------------

def orthogonalise(g, steps=5):
    """Newton-Schulz iteration of Muon on a stack of matrices [n, rows, cols]."""
    x = g.bfloat16()
    transposed = x.shape[-2] > x.shape[-1]
    if transposed:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.mT if transposed else x).float()


class Muon:
    """Momentum whose matrix updates are orthogonalised; matrices of one shape go in one stack."""

    def __init__(self, params, lr=0.02, momentum=0.95, decay=0.1):
        self.lr, self.momentum, self.decay = lr, momentum, decay
        self.groups = defaultdict(list)
        for p in params:
            self.groups[tuple(p.shape)].append(p)
        self.buffers = {s: torch.zeros(len(l), *s) for s, l in self.groups.items()}

    @torch.no_grad()
    def step(self, scale):
        for shape, params in self.groups.items():
            g = torch.stack([p.grad for p in params])
            m = self.buffers[shape]
            m.lerp_(g, 1 - self.momentum)
            update = orthogonalise(g.lerp(m, self.momentum))
            lr = self.lr * scale
            size = max(1, shape[0] / shape[1]) ** 0.5
            for p, u in zip(params, update):
                p.mul_(1 - lr * self.decay).add_(u, alpha=-lr * size)


def lr_scale(step, share, decay_share=0.6, floor=0.03):
    warm = min(1.0, (step + 1) / 100)
    left = (1 - share) / decay_share
    return warm * (1.0 if left >= 1 else floor + (1 - floor) * max(0.0, left))


# -- training --------------------------------------------------------------------------------------

def loss_and_hits(model, doc, qa, geometry, target):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(doc, qa, *geometry, ANSWER_LEN)
    logits = logits.float()
    loss = F.cross_entropy(logits.flatten(0, 2), target.flatten(), ignore_index=-100)
    hit = ((logits.argmax(-1) == target) | (target == -100)).all(-1)
    return loss, hit


def parse_until(s):
    """A clock time HH:MM of today."""
    t = time.localtime()
    h, m = map(int, s.split(":"))
    return time.mktime((t.tm_year, t.tm_mon, t.tm_mday, h, m, 0, 0, 0, -1))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--prepared", default="work/prepared.pkl")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--out", default="work/run")
    ap.add_argument("--until", required=True, help="clock time HH:MM at which the schedule ends")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--muon-lr", type=float, default=0.02)
    ap.add_argument("--adam-lr", type=float, default=2e-3)
    ap.add_argument("--stage", type=int, default=None, help="start (or go on) in this stage")
    ap.add_argument("--max-steps", type=int, default=10 ** 9)
    a = ap.parse_args()
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    c = Config()
    model = Lodestone(c)
    hidden = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    rest = [p for p in model.parameters() if p.dim() == 1]
    muon = Muon(hidden, a.muon_lr)
    adam = torch.optim.AdamW([
        dict(params=[model.embed_tokens.weight], weight_decay=0.01),
        dict(params=rest, weight_decay=0.0)], lr=a.adam_lr, betas=(0.9, 0.95), eps=1e-10)
    ema = {n: p.detach().clone() for n, p in model.named_parameters()}
    state = dict(step=0, stage=0, started=time.time(), doc_tokens=0, qa_tokens=0, pairs=0, busy=0.0)
    ckpt = out / "last.pt"
    if ckpt.exists():
        s = torch.load(ckpt, weights_only=False)
        model.load_state_dict(s["model"]); ema = s["ema"]; adam.load_state_dict(s["adam"])
        muon.buffers = s["muon"]; state.update(s["state"])
        print("resumed at step", state["step"], flush=True)
    if a.stage is not None:
        state["stage"] = a.stage
    until = parse_until(a.until)

    ctx = mp.get_context("fork")
    queue, stage = ctx.Queue(8), ctx.Value("i", state["stage"])
    worker = ctx.Process(target=producer, args=(queue, stage, a.prepared, a.tokenizer, a.seed * 7919 + state["step"]), daemon=True)
    worker.start()
    compute = torch.compile(loss_and_hits, dynamic=False)

    def save():
        tmp = out / "last.tmp"
        torch.save(dict(model=model.state_dict(), ema=ema, adam=adam.state_dict(), muon=muon.buffers, state=state, config=c.to_dict()), tmp)
        os.replace(tmp, ckpt)

    gate, seen_in_stage, entered = 0.0, 0, time.time()
    recent = defaultdict(lambda: [0, 0])
    by_tag = defaultdict(lambda: [0, 0])
    log_t, log_loss, log_n, saved, tag_t = time.time(), 0.0, 0, time.time(), time.time()
    while time.time() < until and state["step"] < a.max_steps:
        shape, batch = queue.get()
        t0 = time.time()
        B, T, N, w = shape
        doc, qa, pos, target = (torch.from_numpy(x) for x in batch[:4])
        geometry = batch_geometry(c, T, qa, pos, ANSWER_LEN, w)
        loss, hit = compute(model, doc, qa, geometry, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest + [model.embed_tokens.weight], 1.0)
        share = (time.time() - state["started"]) / (until - state["started"])
        k = lr_scale(state["step"], share)
        for g in adam.param_groups:
            g["lr"] = a.adam_lr * k
        adam.step(); muon.step(k)
        for p in model.parameters():
            p.grad = None
        state["step"] += 1
        d = min(0.995, state["step"] / (state["step"] + 20))
        with torch.no_grad():
            for n, p in model.named_parameters():
                ema[n].lerp_(p, 1 - d)
        real = target[:, :, 0] != -100
        ok = hit[real].float().mean().item()
        gate = gate * 0.97 + 0.03 * ok if seen_in_stage else ok * 0.5
        seen_in_stage += 1
        recent[(T, w)][0] += ok; recent[(T, w)][1] += 1
        for row, hits in zip(batch[4], hit.tolist()):
            for tag, h in zip(row, hits):
                if tag:
                    by_tag[tag][0] += h; by_tag[tag][1] += 1
        state["doc_tokens"] += B * T; state["qa_tokens"] += int((qa != 0).sum()); state["pairs"] += int(real.sum())
        state["busy"] += time.time() - t0
        log_loss += loss.item(); log_n += 1
        if state["step"] % 20 == 0:
            dt = time.time() - log_t
            print(time.strftime("%H:%M:%S"), f"step {state['step']} stage {state['stage']} loss {log_loss / log_n:.3f} gate {gate:.3f}",
                  " ".join(f"{T}/{w}:{h / n:.3f}" for (T, w), (h, n) in sorted(recent.items())),
                  f"lr {k:.3f} {dt / log_n:.2f}s/step {state['doc_tokens'] / 1e6:.2f}M doc {state['pairs'] / 1e3:.0f}K pairs",
                  "s_h", [round(x, 3) for x in model.layers[-1].self_attn.log_n_scale.tolist()], flush=True)
            recent.clear(); log_t, log_loss, log_n = time.time(), 0.0, 0
        if time.time() - tag_t > 240:
            print("  by family:", " ".join(f"{t}={h / n:.2f}" for t, (h, n) in sorted(by_tag.items(), key=lambda x: x[1][0] / x[1][1])), flush=True)
            by_tag.clear(); tag_t = time.time()
        need = STAGES[state["stage"]]["gate"]
        if need and seen_in_stage > 40 and (gate > need or time.time() - entered > 60 * STAGES[state["stage"]]["minutes"]):
            state["stage"] += 1; stage.value = state["stage"]; gate, seen_in_stage, entered = 0.0, 0, time.time()
            print("-> stage", state["stage"], flush=True)
            save()
        if time.time() - saved > 180:
            save(); saved = time.time()
    save()
    print("done", json.dumps(state), flush=True)
    worker.terminate()


if __name__ == "__main__":
    main()
