"""The loop that every stage of training shares: batches made beside it, Muon and AdamW, averaged weights, checkpoints, a log.

A stage brings a model and a loss; `run` does the rest. Run again with the same --out to resume. Into the folder go config.json
(arguments, model, curriculum), run.log and last.pt.

With --until the learning rate and the stages of the curriculum follow the clock, not the step count: a machine that is slowed down
or stopped for a while still ends with a fully annealed model. With --steps they follow the steps, and with --workers 0 as well a
run on one machine can be had again to the bit.
"""
import argparse
import json
import multiprocessing as mp
import os
import pickle
import random
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from data import ABSENT, ROW, Generator, Options
from model import Config, Lodestone, absolute_rope

# (documents, tokens, rows of 64 tokens for the pairs, window), share. The window is small at first: the answer must lie outside what
# the local layers reach, or the global layer is never needed. `until` is the share of the time at which a stage ends at the latest;
# it ends sooner when its accuracy passes `gate`. With --init only the last stage is gone through. `looks` are batches of passages that
# are seen both ways, as the second look reads them (model.py): the same with the whole window, and options of their own.
STAGES = [
    dict(until=.12, gate=.70, shapes=[((48, 128, 2, 12), 1.0)], options=dict(absent=0, real=.1, wrap=0, cloze=.3, natural=.1, vary=.1)),
    dict(until=.25, gate=.75, shapes=[((48, 128, 2, 16), .25), ((24, 256, 4, 32), .75)], options=dict(absent=.05, real=.3, cloze=.4, natural=.15, vary=.25)),
    dict(until=1.0, gate=None, shapes=[((32, 64, 1, 128), .07), ((8, 256, 4, 128), .175), ((4, 512, 6, 128), .105)], options=dict(absent=.12, real=.1, cloze=.4, natural=.25),
         looks=[((48, 64, 1, 128), .36), ((24, 128, 2, 128), .29)], look_options=dict(absent=.15, real=.45, cloze=.5, natural=.3)),
]

# The toys' only stage: written relations, so few that minutes teach them.
TOY_OPTIONS = dict(absent=.15, real=0, wrap=0, max_facts=4, vary=0, families=("special_magic", "phone", "born_in", "passcode"))
TOY_STAGES = [
    dict(until=1.0, gate=None, shapes=[((16, 128, 2, 12), .8)], options=TOY_OPTIONS, looks=[((16, 64, 1, 12), .2)], look_options=TOY_OPTIONS),
]

SIZES = {   # XS ships; the toys are for tests of the recipe
    "toy": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=32, sliding_window=12),
    "toy-teacher": dict(hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, sliding_window=12),
    "XS": dict(),
    "S": dict(hidden_size=256, intermediate_size=768),
    "M": dict(hidden_size=384, intermediate_size=1152, num_hidden_layers=12),
}


def curriculum(a):
    """The stages of a size, with --batch times as many documents per step."""
    stages = TOY_STAGES if a.size.startswith("toy") else STAGES
    more = lambda shapes: [((max(1, round(B * a.batch)), *rest), p) for (B, *rest), p in shapes]
    return [{**s, "shapes": more(s["shapes"]), "looks": more(s.get("looks", []))} for s in stages]


def batches(generator, stages, stage, seed):
    """Endless (shape, both ways, arrays, tags); `stage` says which of the stages to draw from."""
    r = random.Random(seed)
    while True:
        s = stages[stage.value]
        choices = [(False, *x) for x in s["shapes"]] + [(True, *x) for x in s["looks"]]
        both_ways, shape, _ = r.choices(choices, [p for _, _, p in choices])[0]
        B, T, R, _ = shape
        yield (shape, both_ways, *generator.batch(r, B, T, R, Options(**s["look_options" if both_ways else "options"])))


def generator(a, books="books"):
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    prepared = pickle.load(open(a.prepared, "rb"))
    if books == "held":
        prepared["articles"] = {}       # articles are trained on; what is held out is books
    return Generator(prepared, Tokenizer.from_file(a.tokenizer), books)


def producer(queue, a, stages, stage, seed):
    for item in batches(generator(a), stages, stage, seed):
        queue.put(item)


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


def annealed(step, share, decay_share=0.6, floor=0.03):
    """Factor of the learning rate: warm-up, constant, then linear decay over the last 60 %."""
    warm = min(1.0, (step + 1) / 100)
    left = (1 - share) / decay_share
    return warm * (1.0 if left >= 1 else floor + (1 - floor) * max(0.0, left))


def constant(step, share):
    return min(1.0, (step + 1) / 20)


def optimisers(model, muon_lr, adam_lr, decay=1.0):
    hidden = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    rest = [p for p in model.parameters() if p.dim() == 1]
    adam = torch.optim.AdamW([
        dict(params=[model.embed_tokens.weight], weight_decay=0.01 * decay, share=0.5),     # counted, not random: see embeddings.py
        dict(params=rest, weight_decay=0.0, share=1.0)], lr=adam_lr, betas=(0.9, 0.95), eps=1e-10)
    return Muon(hidden, muon_lr, decay=0.1 * decay), adam


# -- losses and measures ---------------------------------------------------------------------------

def logits_of(model, rope, window, doc, qa, pos, pair, at, both_ways=False):
    with torch.autocast(doc.device.type, torch.bfloat16, enabled=doc.is_cuda):
        return model(doc, qa, pos, pair, at, window, rope, both_ways).float()


def cross_entropy(logits, target):
    """Mean over the answers' tokens; logits [..., vocab], target [...] with -100 for none."""
    return F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=-100)


def answer_loss(model, rope, window, target, **batch):
    """Mean cross-entropy of the answers' tokens, and where the best token is the right one [B, R, M]."""
    logits = logits_of(model, rope, window, **batch)
    return cross_entropy(logits, target), logits.argmax(-1) == target


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


def held_out(a, documents=64):
    """Fixed batches in the manner of the last stage, in held-out books: [(window, both ways, arrays)]."""
    last = curriculum(argparse.Namespace(size=a.size, batch=1))[-1]
    r = random.Random(11)
    g = generator(a, "held")
    draw = lambda B, T, R, options: g.batch(r, min(B, documents), T, R, Options(**{**options, "real": 0}))[0]
    (B, T, R, w), _ = last["shapes"][len(last["shapes"]) // 2]
    whole = [(w, False, draw(B, T, R, last["options"])) for _ in range(-(-documents // B))]
    return whole + [(w, True, draw(B, T, R, last["look_options"])) for (B, T, R, w), _ in last["looks"]]


@torch.no_grad()
def measure(model, fixed):
    """Of `held_out` batches: mean loss of the answers' tokens; whole answers [(right, absent)]."""
    device = model.embed_tokens.weight.device
    rope = tuple(t.to(device) for t in absolute_rope(model.c, 1024 + ROW))
    loss, tokens, answers = 0.0, 0, []
    for w, both_ways, batch in fixed:
        on = {k: torch.from_numpy(v).to(device) for k, v in batch.items()}
        l, right = answer_loss(model, rope, w, **on, both_ways=both_ways)
        n = int((batch["target"] != -100).sum())
        loss, tokens = loss + l.item() * n, tokens + n
        owner = np.take_along_axis(batch["pair"], batch["at"], 2)
        for b, hits in enumerate(pair_hits(right.cpu().numpy(), batch)):
            absent = set(owner[b][batch["target"][b] == ABSENT].tolist())
            answers += [(h, k in absent) for k, h in enumerate(hits)]
    return loss / tokens, answers


def report(what, model, fixed):
    loss, answers = measure(model, fixed)
    right = lambda of: f"{sum(h for h, _ in of)}/{len(of)}"
    return f"{what}: loss {loss:.4f}, right {right(answers)}, of them present {right([x for x in answers if not x[1]])}, absent {right([x for x in answers if x[1]])}"


def note(a, *lines):
    """Lines to the terminal and the run's log."""
    print(*lines, sep="\n", flush=True)
    with open(Path(a.out) / "run.log", "a", encoding="utf-8") as log:
        print(*lines, sep="\n", file=log)


# -- models --------------------------------------------------------------------------------------

def weights(path, which="ema"):
    """Parameters in a file of transplant.py, or of a checkpoint the averaged ones (or the last: "model")."""
    s = torch.load(path, weights_only=False, map_location="cpu")
    return s.get(which, s)


def load(path, device="cpu"):
    """The model of a checkpoint, with its averaged weights."""
    s = torch.load(path, weights_only=False, map_location="cpu")
    model = Lodestone(Config(**s["config"]))
    model.load_state_dict(s["ema"])
    return model.to(device)


def frozen(model):
    """A copy without gradients: a teacher, an anchor."""
    copy = Lodestone(model.c).to(model.embed_tokens.weight.device)
    copy.load_state_dict(model.state_dict())
    return copy.requires_grad_(False).eval()


def fresh(a):
    """A new model of --size, which starts from --init or with the counted embedding."""
    vocab = len(json.loads(Path(a.tokenizer).read_text(encoding="utf-8"))["model"]["vocab"])
    model = Lodestone(Config(**SIZES[a.size], vocab_size=vocab))
    if a.init:
        model.load_state_dict(weights(a.init, "model"))
    else:
        model.embed_tokens.weight.data.copy_(torch.load(a.embedding))
    return model.to(a.device)


# -- the loop ------------------------------------------------------------------------------------

def arguments(description, out, muon_lr=0.02, adam_lr=2e-3):
    """The command line that every stage has."""
    ap = argparse.ArgumentParser(description=description)
    ap.add_argument("--prepared", default="work/prepared.pkl")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--out", default=out)
    end = ap.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", help="clock time HH:MM at which the schedule ends")
    end.add_argument("--steps", type=int, help="or the number of steps at which it ends")
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--workers", type=int, default=1, help="processes that make batches; 0: none, the loop makes them itself")
    ap.add_argument("--batch", type=float, default=1, help="multiplies the documents per step (an accelerator wants more)")
    ap.add_argument("--size", default="XS", choices=SIZES)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--muon-lr", type=float, default=muon_lr)
    ap.add_argument("--adam-lr", type=float, default=adam_lr)
    ap.add_argument("--max-steps", type=int, default=10 ** 9, help="stop here; the schedule is not shortened")
    ap.add_argument("--eager", action="store_true", help="no torch.compile: for runs of a few minutes")
    return ap


def prepare(a):
    """Before anything random."""
    Path(a.out).mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)


def parse_until(s):
    """A clock time HH:MM of today."""
    t = time.localtime()
    h, m = map(int, s.split(":"))
    return time.mktime((t.tm_year, t.tm_mon, t.tm_mday, h, m, 0, 0, 0, -1))


def run(a, model, loss, stages, stage=0, schedule=annealed, decay=1.0, change=None, extra=None):
    """Trains `model` in place and returns its averaged weights.

    loss(model, rope, window, both_ways=.., **batch) -> (scalar, bool [B, R, M]: where a target is met). `change(batch, tags)` -> (batch, tags) makes
    other batches of those drawn, on the device. `stage` is where to begin. `extra` is kept in the checkpoint."""
    out = Path(a.out)
    say = lambda *parts: note(a, " ".join(map(str, parts)))
    muon, adam = optimisers(model, a.muon_lr, a.adam_lr, decay)
    ema = {n: p.detach().clone() for n, p in model.named_parameters()}
    state = dict(step=0, stage=stage, started=time.time(), doc_tokens=0, qa_tokens=0, pairs=0, busy=0.0)
    ckpt = out / "last.pt"
    if ckpt.exists():
        s = torch.load(ckpt, weights_only=False, map_location=a.device)
        model.load_state_dict(s["model"]); ema = s["ema"]; adam.load_state_dict(s["adam"])
        muon.buffers = s["muon"]; state.update(s["state"])
        say("resumed at step", state["step"])
    until = parse_until(a.until) if a.until else None
    (out / "config.json").write_text(json.dumps(dict(command=Path(sys.argv[0]).name, arguments=vars(a), model=asdict(model.c), stages=stages), indent=1) + "\n")

    ctx = mp.get_context("fork")
    stage, seeds = ctx.Value("i", state["stage"]), [f"{a.seed} {w} {state['step']}" for w in range(max(1, a.workers))]
    if a.workers:
        queue = ctx.Queue(8 * a.workers)
        workers = [ctx.Process(target=producer, args=(queue, a, stages, stage, s), daemon=True) for s in seeds]
        for w in workers:
            w.start()
        draw = queue.get
    else:
        workers, draw = [], batches(generator(a), stages, stage, seeds[0]).__next__
    compute = loss if a.eager else torch.compile(loss, dynamic=False)
    rope = tuple(t.to(a.device) for t in absolute_rope(model.c, 1024 + ROW))

    def save():
        tmp = out / "last.tmp"
        torch.save(dict(model=model.state_dict(), ema=ema, adam=adam.state_dict(), muon=muon.buffers, state=state, config=model.c.to_dict(), **(extra or {})), tmp)
        os.replace(tmp, ckpt)

    def share():
        """Of the schedule, how much is over."""
        return (time.time() - state["started"]) / (until - state["started"]) if until else state["step"] / a.steps

    gate, seen_in_stage = 0.0, 0
    recent, by_tag = defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0])
    log_t, log_loss, log_n, saved, tag_t = time.time(), 0.0, 0, time.time(), time.time()
    while share() < 1 and state["step"] < a.max_steps:
        (_, T, _, w), both_ways, batch, tags = draw()
        t0 = time.time()
        on = {k: torch.from_numpy(v).to(a.device) for k, v in batch.items()}
        if change:
            on, tags = change(on, tags)
            batch = {k: on[k].cpu().numpy() for k in batch}
        value, right = compute(model, rope, torch.tensor(w, device=a.device), **on, both_ways=both_ways)     # a tensor: one compilation for all windows
        value.backward()
        torch.nn.utils.clip_grad_norm_([p for g in adam.param_groups for p in g["params"]], 1.0)
        done = share()
        k = schedule(state["step"], done)
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
        shape = f"{T}/{w}" + " both ways" * both_ways
        recent[shape][0] += ok; recent[shape][1] += 1
        for row, of in zip(tags, hits):
            for tag, h in zip(row, of):
                by_tag[tag][0] += h; by_tag[tag][1] += 1
        state["doc_tokens"] += batch["doc"].size; state["qa_tokens"] += int((batch["pair"] >= 0).sum()); state["pairs"] += len(flat)
        state["busy"] += time.time() - t0
        log_loss += value.item(); log_n += 1
        if state["step"] % 20 == 0:
            dt = time.time() - log_t
            say(time.strftime("%H:%M:%S"), f"step {state['step']} stage {state['stage']} loss {log_loss / log_n:.3f} gate {gate:.3f}",
                " ".join(f"{name}:{h / n:.3f}" for name, (h, n) in sorted(recent.items())),
                f"lr {k:.3f} {dt / log_n:.2f}s/step {state['doc_tokens'] / 1e6:.2f}M doc {state['pairs'] / 1e3:.0f}K pairs",
                "s_h", [round(x, 3) for x in model.layers[-1].self_attn.log_n_scale.tolist()])
            recent.clear(); log_t, log_loss, log_n = time.time(), 0.0, 0
        if time.time() - tag_t > 240:
            say("  by family:", " ".join(f"{t}={h / n:.2f}" for t, (h, n) in sorted(by_tag.items(), key=lambda x: x[1][0] / x[1][1])))
            by_tag.clear(); tag_t = time.time()
        s = stages[state["stage"]]
        if done > s["until"] or (s["gate"] and seen_in_stage > 40 and gate > s["gate"]):
            if state["stage"] + 1 < len(stages):
                state["stage"] += 1; stage.value = state["stage"]; gate, seen_in_stage = 0.0, 0
                say("-> stage", state["stage"])
                save()
        if time.time() - saved > 180:
            save(); saved = time.time()
    save()
    say("done", json.dumps(state))
    for w in workers:
        w.terminate()
    return ema
