"""Training: one process computes, others make batches. Run again with the same --out to resume.

The learning rate and the stages follow the clock, not the step count: warm-up, constant, then linear decay over the last 60 %
of the time. A machine that is slowed down or stopped for a while still ends with a fully annealed model.
"""
import argparse
import json
import multiprocessing as mp
import os
import pickle
import random
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from data import ROW, Generator, Options
from model import Config, Lodestone, absolute_rope

# (documents, tokens, rows of 64 tokens for the pairs, window), share. The window is small at first: the answer must lie outside what
# the local layers reach, or the global layer is never needed. `until` is the share of the time at which a stage ends at the latest;
# it ends sooner when its accuracy passes `gate`. With --init only the last stage is gone through.
STAGES = [
    dict(until=.12, gate=.70, shapes=[((48, 128, 2, 12), 1.0)], options=dict(absent=0, real=.1, wrap=0, cloze=.3, natural=.1, vary=.1)),
    dict(until=.25, gate=.75, shapes=[((48, 128, 2, 16), .25), ((24, 256, 4, 32), .75)], options=dict(absent=.05, real=.3, cloze=.4, natural=.15, vary=.25)),
    dict(until=1.0, gate=None, shapes=[((96, 64, 1, 128), .4), ((24, 256, 4, 128), .35), ((12, 512, 6, 128), .25)], options=dict(absent=.15, real=.25, cloze=.5, natural=.45)),
]


SIZES = {   # XS ships; toy is for tests of the recipe
    "toy": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=32),
    "XS": dict(),
    "S": dict(hidden_size=256, intermediate_size=768),
    "M": dict(hidden_size=384, intermediate_size=1152, num_hidden_layers=12),
}


def producer(queue, stage, prepared_path, tokenizer_path, seed):
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    gen = Generator(pickle.load(open(prepared_path, "rb")), Tokenizer.from_file(tokenizer_path))
    r = random.Random(seed)
    while True:
        s = STAGES[stage.value]
        shape = r.choices([x[0] for x in s["shapes"]], [x[1] for x in s["shapes"]])[0]
        B, T, R, _ = shape
        queue.put((shape, *gen.batch(r, B, T, R, Options(**s["options"]))))


# -- optimiser ---------------------------------------------------------------------------------

def orthogonalise(g, steps=5):
    """Newton-Schulz iteration of Muon on a stack of matrices [n, rows, cols]."""
    x = g.bfloat16() if g.is_cuda else g
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
        self.buffers = {s: torch.zeros(len(l), *s, device=l[0].device) for s, l in self.groups.items()}

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

def answer_loss(model, rope, window, doc, qa, pos, pair, at, target):
    """Mean cross-entropy of the answers' tokens, and where the best token is the right one [B, R, M]."""
    with torch.autocast(doc.device.type, torch.bfloat16, enabled=doc.is_cuda):
        logits = model(doc, qa, pos, pair, at, window, rope).float()
    loss = F.cross_entropy(logits.flatten(0, 2), target.flatten(), ignore_index=-100)
    return loss, logits.argmax(-1) == target


def pair_hits(right, batch):
    """Of each document, for each pair by number, whether its whole answer is right: lists of bools."""
    owner = np.take_along_axis(batch["pair"], batch["at"], 2)
    real = batch["target"] != -100
    out = []
    for b in range(len(owner)):
        wrong = np.zeros(owner[b].max() + 1, bool)
        wrong[owner[b][real[b] & ~right[b]]] = True
        out.append((~wrong).tolist())
    return out


def lr_scale(step, share, decay_share=0.6, floor=0.03):
    warm = min(1.0, (step + 1) / 100)
    left = (1 - share) / decay_share
    return warm * (1.0 if left >= 1 else floor + (1 - floor) * max(0.0, left))


def parse_until(s):
    """A clock time HH:MM of today."""
    t = time.localtime()
    h, m = map(int, s.split(":"))
    return time.mktime((t.tm_year, t.tm_mon, t.tm_mday, h, m, 0, 0, 0, -1))


def optimisers(model, muon_lr, adam_lr):
    hidden = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    rest = [p for p in model.parameters() if p.dim() == 1]
    adam = torch.optim.AdamW([
        dict(params=[model.embed_tokens.weight], weight_decay=0.01, share=0.5),     # counted, not random: see embeddings.py
        dict(params=rest, weight_decay=0.0, share=1.0)], lr=adam_lr, betas=(0.9, 0.95), eps=1e-10)
    return Muon(hidden, muon_lr), adam


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--prepared", default="work/prepared.pkl")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--embedding", default="work/embedding.pt", help="first values of the embedding, from embeddings.py")
    ap.add_argument("--init", help="first weights instead, from transplant.py")
    ap.add_argument("--out", default="work/run")
    ap.add_argument("--until", required=True, help="clock time HH:MM at which the schedule ends")
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--workers", type=int, default=1, help="processes that make batches")
    ap.add_argument("--batch", type=float, default=1, help="multiplies the documents per step (an accelerator wants more)")
    ap.add_argument("--size", default="XS", choices=SIZES)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--muon-lr", type=float, default=0.02)
    ap.add_argument("--adam-lr", type=float, default=2e-3)
    ap.add_argument("--max-steps", type=int, default=10 ** 9)
    a = ap.parse_args()
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    for s in STAGES:
        s["shapes"] = [((max(1, round(B * a.batch)), T, R, w), p) for (B, T, R, w), p in s["shapes"]]
    c = Config(**SIZES[a.size])
    model = Lodestone(c)
    if a.init:
        start = torch.load(a.init, weights_only=False)
        model.load_state_dict(start.get("model", start))
    else:
        model.embed_tokens.weight.data.copy_(torch.load(a.embedding))
    model.to(a.device)
    muon, adam = optimisers(model, a.muon_lr, a.adam_lr)
    ema = {n: p.detach().clone() for n, p in model.named_parameters()}
    state = dict(step=0, stage=len(STAGES) - 1 if a.init else 0, started=time.time(), doc_tokens=0, qa_tokens=0, pairs=0, busy=0.0)
    ckpt = out / "last.pt"
    if ckpt.exists():
        s = torch.load(ckpt, weights_only=False)
        model.load_state_dict(s["model"]); ema = s["ema"]; adam.load_state_dict(s["adam"])
        muon.buffers = s["muon"]; state.update(s["state"])
        print("resumed at step", state["step"], flush=True)
    until = parse_until(a.until)
    (out / "config.json").write_text(json.dumps(dict(arguments=vars(a), model=asdict(c), stages=STAGES), indent=1) + "\n")

    ctx = mp.get_context("fork")
    queue, stage = ctx.Queue(8 * a.workers), ctx.Value("i", state["stage"])
    for w in range(a.workers):
        ctx.Process(target=producer, args=(queue, stage, a.prepared, a.tokenizer, f"{a.seed} {w} {state['step']}"), daemon=True).start()
    compute = torch.compile(answer_loss, dynamic=False)
    rope = tuple(t.to(a.device) for t in absolute_rope(c, 1024 + ROW))

    def save():
        tmp = out / "last.tmp"
        torch.save(dict(model=model.state_dict(), ema=ema, adam=adam.state_dict(), muon=muon.buffers, state=state, config=c.to_dict()), tmp)
        os.replace(tmp, ckpt)

    gate, seen_in_stage = 0.0, 0
    recent, by_tag = defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0])
    log_t, log_loss, log_n, saved, tag_t = time.time(), 0.0, 0, time.time(), time.time()
    while time.time() < until and state["step"] < a.max_steps:
        shape, batch, tags = queue.get()
        t0 = time.time()
        _, T, _, w = shape
        on = {k: torch.from_numpy(v).to(a.device) for k, v in batch.items()}
        loss, right = compute(model, rope, torch.tensor(w, device=a.device), **on)      # a tensor: one compilation for all windows
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in adam.param_groups for p in g["params"]], 1.0)
        share = (time.time() - state["started"]) / (until - state["started"])
        k = lr_scale(state["step"], share)
        for g in adam.param_groups:
            g["lr"] = a.adam_lr * k * g["share"]
        adam.step(); muon.step(k)
        for p in model.parameters():
            p.grad = None
        state["step"] += 1
        d = min(0.995, state["step"] / (state["step"] + 20))
        with torch.no_grad():
            for n, p in model.named_parameters():
                ema[n].lerp_(p, 1 - d)
        hits = pair_hits(right.cpu().numpy(), batch)
        flat = [h for row in hits for h in row]
        ok = sum(flat) / len(flat)
        gate = gate * 0.97 + 0.03 * ok if seen_in_stage else ok * 0.5
        seen_in_stage += 1
        recent[(T, w)][0] += ok; recent[(T, w)][1] += 1
        for row, of in zip(tags, hits):
            for tag, h in zip(row, of):
                by_tag[tag][0] += h; by_tag[tag][1] += 1
        state["doc_tokens"] += batch["doc"].size; state["qa_tokens"] += int((batch["pair"] >= 0).sum()); state["pairs"] += len(flat)
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
        s = STAGES[state["stage"]]
        if share > s["until"] or (s["gate"] and seen_in_stage > 40 and gate > s["gate"]):
            if state["stage"] + 1 < len(STAGES):
                state["stage"] += 1; stage.value = state["stage"]; gate, seen_in_stage = 0.0, 0
                print("-> stage", state["stage"], flush=True)
                save()
        if time.time() - saved > 180:
            save(); saved = time.time()
    save()
    print("done", json.dumps(state), flush=True)


if __name__ == "__main__":
    main()
