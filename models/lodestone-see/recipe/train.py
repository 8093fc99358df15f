"""Trains the tower: parts of frames first, then whole frames. Run again with the same --out to resume.

Every cell's class is known, since the pictures are drawn here, so the loss is plain cross entropy per cell and nothing has to be
aligned (CTC, which has to find that out, stays at nothing for hundreds of steps). Parts of frames that are mostly text teach letters at
a tenth of a whole frame's price; their positions are drawn anywhere in the frame.
"""
import argparse
import json
import multiprocessing as mp
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parents[2] / "lodestone-tiny" / "recipe"))
from loop import Muon

from alphabet import BLANK, CLASSES
from overlays import GRID, HELD_FONTS, TRAIN_FONTS, Overlays, batch, fonts
from reading import read
from texts import Texts, held_words, words_of
from tower import Config, Tower, cells

FIXTURES = Path(__file__).parents[3] / "fixtures"
# (rows, columns) of a part of a frame, pictures per step, share of the steps; before and after `--whole` of the schedule.
PARTS = [((4, 20), 32, .3), ((4, 14), 44, .35), ((5, 18), 28, .1), ((6, 12), 34, .1), ((8, 16), 20, .15)]
WHOLE = [((GRID, GRID), 5, .55), ((4, 20), 32, .2), ((6, 16), 26, .15), ((10, 24), 10, .1)]
# Batches that wait to be shown once more in other colours: drawing takes a third of a step.
AGAIN = 40
SIZES = {"toy": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4), "see": dict()}


def arguments():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", default="work/run")
    end = ap.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", help="clock time HH:MM at which the schedule ends")
    end.add_argument("--steps", type=int)
    ap.add_argument("--whole", type=float, default=.6, help="share of the schedule after which whole frames are shown")
    ap.add_argument("--size", default="see", choices=SIZES)
    ap.add_argument("--prose", default=FIXTURES / "haystack", help="folder of texts whose words are drawn")
    ap.add_argument("--pictures", help="folder of photographs or film frames, train/ and held/, to lie behind text")
    ap.add_argument("--held-words", default=FIXTURES / "video" / "words.json")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--workers", type=int, default=1, help="processes that draw; 0: none, and a run can be had again to the bit")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--muon-lr", type=float, default=.02)
    ap.add_argument("--adam-lr", type=float, default=2e-3)
    ap.add_argument("--init", help="start from the averaged weights of this checkpoint")
    return ap.parse_args()


def drawing(a, held=False):
    """Overlays of the training's fonts, words and pictures, or of those held out."""
    without = held_words(a.held_words)
    words = sorted(without) if held else words_of(a.prose, without)
    pictures = sorted((Path(a.pictures) / ("held" if held else "train")).glob("*.jpg")) if a.pictures else []
    return Overlays(Texts(words), fonts(HELD_FONTS if held else TRAIN_FONTS), pictures)


def recoloured(r, patches):
    """The channels of patches exchanged, light and dark too, half of the time."""
    n, cells, _ = patches.shape
    channels = patches.reshape(n, cells, 3, -1)[:, :, r.sample(range(3), 3)]
    return (channels * r.choice((-1, 1))).reshape(patches.shape)


def draws(a, stage, seed):
    overlays, r = drawing(a), random.Random(seed)
    waiting = []
    while True:
        if len(waiting) == AGAIN:
            rows, cols, x, y = waiting.pop(r.randrange(AGAIN))
            x = recoloured(r, x)
        else:
            shapes = WHOLE if stage.value else PARTS
            (rows, cols), count, _ = r.choices(shapes, [p for *_, p in shapes])[0]
            x, y = batch(overlays, r, count, rows, cols)
            waiting.append((rows, cols, x, y))
        yield rows, cols, r.randint(0, GRID - rows), r.randint(0, GRID - cols), x, y


def produce(queue, *args):
    torch.set_num_threads(1)
    for item in draws(*args):
        queue.put(item)


@torch.no_grad()
def measure(model, sets):
    """Of {name: [(rows, cols, patches, classes)]}: share of pictures whose text is read to the letter, and of characters in right cells."""
    result = {}
    for name, batches in sets.items():
        exact, right, characters, pictures = 0, 0, 0, 0
        for rows, cols, x, y in batches:
            p = model(torch.from_numpy(x), cells(rows, cols)).softmax(-1).numpy()
            right += int(((p.argmax(-1) == y) & (y != BLANK)).sum())
            characters += int((y != BLANK).sum())
            for one, truth in zip(p, y):
                exact += read(one.reshape(rows, cols, -1)) == read(np.eye(CLASSES)[truth].reshape(rows, cols, -1))
            pictures += len(y)
        result[name] = (exact / pictures, right / max(1, characters))
    return result


def evaluation_sets(a, count=32):
    sets = {}
    for name, held in (("seen", False), ("held", True)):
        overlays, r = drawing(a, held), random.Random(5)
        sets[name] = [(rows, cols, *batch(overlays, r, count, rows, cols)) for rows, cols in ((4, 20), (6, 16))]
    return sets


def annealed(step, share):
    """Factor of the rates: warm-up, constant, then linear over the last half."""
    return min(1.0, (step + 1) / 60) * min(1.0, .02 + .98 * (1 - share) / .5)


def main():
    a = arguments()
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    model = Tower(Config(**SIZES[a.size]))
    if a.init:
        model.load_state_dict(torch.load(a.init)["ema"])
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "rows" not in n]
    rest = [p for n, p in model.named_parameters() if p.dim() == 1 or "rows" in n]
    # Queries and keys begin at what they are for: they move a tenth as fast.
    looking = [p for n, p in model.named_parameters() if n.endswith(("q_proj.weight", "k_proj.weight"))]
    muon = Muon([p for p in matrices if not any(p is q for q in looking)], a.muon_lr, decay=.1)
    muon_looking = Muon(looking, a.muon_lr / 10, decay=0)
    adam = torch.optim.AdamW(rest, a.adam_lr, betas=(.9, .97), weight_decay=0)
    ema = {n: p.detach().clone() for n, p in model.state_dict().items()}
    state = dict(step=0, started=time.time(), pictures=0, characters=0, busy=0.0)
    checkpoint = out / "last.pt"
    if checkpoint.exists():
        s = torch.load(checkpoint)
        model.load_state_dict(s["model"]); adam.load_state_dict(s["adam"])
        ema, muon.buffers, muon_looking.buffers, state = s["ema"], s["muon"], s["looking"], s["state"]
    (out / "config.json").write_text(json.dumps(dict(arguments={k: str(v) for k, v in vars(a).items()}, model=model.c.to_dict()), indent=1) + "\n")

    def say(*parts):
        print(*parts, flush=True)
        with open(out / "run.log", "a", encoding="utf-8") as log:
            print(*parts, file=log)

    def save():
        torch.save(dict(model=model.state_dict(), ema=ema, adam=adam.state_dict(), muon=muon.buffers, looking=muon_looking.buffers, state=state, config=model.c.to_dict()), out / "last.tmp")
        os.replace(out / "last.tmp", checkpoint)

    until = None
    if a.until:
        t = time.localtime()
        h, m = map(int, a.until.split(":"))
        until = time.mktime((t.tm_year, t.tm_mon, t.tm_mday, h, m, 0, 0, 0, -1))
    share = lambda: (time.time() - state["started"]) / (until - state["started"]) if until else state["step"] / a.steps

    sets = evaluation_sets(a)
    context = mp.get_context("fork")
    stage = context.Value("i", int(share() >= a.whole))
    seeds = [f"{a.seed} {w} {state['step']}" for w in range(max(1, a.workers))]
    if a.workers:
        queue = context.Queue(6 * a.workers)
        workers = [context.Process(target=produce, args=(queue, a, stage, s), daemon=True) for s in seeds]
        for w in workers:
            w.start()
        draw = queue.get
    else:
        workers, draw = [], draws(a, stage, seeds[0]).__next__

    loss_sum, loss_n, logged, saved = 0.0, 0, time.time(), time.time()
    averaged = Tower(model.c)
    while share() < 1:
        stage.value = int(share() >= a.whole)
        rows, cols, top, left, x, y = draw()
        began = time.time()
        target = torch.from_numpy(y)
        logits = model(torch.from_numpy(x), cells(rows, cols, top, left))
        characters = int((target != BLANK).sum())
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum") / (characters + .02 * target.numel())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        k = annealed(state["step"], share())
        for g in adam.param_groups:
            g["lr"] = a.adam_lr * k
        adam.step(); muon.step(k); muon_looking.step(k)
        model.keep_positions()
        model.zero_grad(set_to_none=True)
        state["step"] += 1; state["pictures"] += len(x); state["characters"] += characters; state["busy"] += time.time() - began
        with torch.no_grad():
            d = min(.998, state["step"] / (state["step"] + 20))
            for n, p in model.state_dict().items():
                ema[n].lerp_(p, 1 - d)
        loss_sum += loss.item(); loss_n += 1
        if state["step"] % 25 == 0:
            line = f"{time.strftime('%H:%M:%S')} step {state['step']} loss {loss_sum / loss_n:.3f} rate {k:.3f} {(time.time() - logged) / loss_n:.2f}s/step {state['pictures'] / 1e3:.1f}K pictures {state['characters'] / 1e3:.0f}K characters"
            if state["step"] % 300 == 0:
                averaged.load_state_dict(ema)
                line += "".join(f" | {name}: exact {e:.3f} cells {c:.3f}" for name, (e, c) in measure(averaged, sets).items())
            say(line)
            loss_sum, loss_n, logged = 0.0, 0, time.time()
        if time.time() - saved > 120:
            save(); saved = time.time()
    save()
    averaged.load_state_dict(ema)
    say("done", json.dumps(state), measure(averaged, sets))
    for w in workers:
        w.terminate()


if __name__ == "__main__":
    main()
