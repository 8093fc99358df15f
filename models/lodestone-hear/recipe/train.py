"""Trains the recogniser: cross-entropy of what the decoder writes, CTC on the encoder, and attention that is shown where each token was said.

CTC (Graves et al. 2006) teaches the encoder to hear in minutes; its head is not exported. The last loss does the same for the decoder's
cross attention, which otherwise takes thousands of steps to find the sound (as guided attention, Tachibana et al. 2017); in the last quarter it fades.
Short windows come first. The schedule follows the clock (--until) or the steps (--steps). Run again to go on where it stopped; clips that are
made meanwhile are heard from the next test on.

    python train.py --until 14:20
"""
import argparse
import json
import os
import random
import time
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F

from evaluate import ctc_error_rate, error_rate, fixed_batch
from features import SECONDS_PER_POSITION
from model import Config, Whisper
from muon import Muon
from tokens import Vocabulary
from windows import IGNORED, Clips, Options, Windows

SIZES = {"hear": {}, "toy": dict(width=32, heads=2, hidden=64, encoder_layers=1, decoder_layers=1)}
# seconds and tokens of a window, windows of a batch, and the share of the schedule at which the stage ends
STAGES = [
    dict(until=.4, shape=(4, 40, 24), options=dict(noise=.4, reverb=.1, warp=.3, microphone=.2, mask=.2, silent=.02)),
    dict(until=1., shape=(10, 96, 10), options=dict(noise=.3, reverb=.05, warp=.3, microphone=.2, mask=.15)),
]
# positions by which the even spread of a piece's tokens may err
SPREAD = 8.0


def annealed(step, share, decay_share=.65, floor=.02):
    """Factor of the learning rate: warm-up, constant, then linear decay."""
    left = (1 - share) / decay_share
    return min(1.0, (step + 1) / 100) * (1.0 if left >= 1 else floor + (1 - floor) * max(0.0, left))


def attention_loss(looks, centres):
    """-log of the attention around where a token was said; looks [B, layers, L, positions], centres [B, L], -1: nowhere."""
    at = torch.arange(looks.shape[-1], device=looks.device)
    near = torch.exp(-((at - centres[..., None]) / SPREAD).square() / 2)[:, None]
    miss = -((looks * near).sum(-1) + 1e-4).log()
    known = (centres >= 0)[:, None].float()
    return (miss * known).sum() / (known.sum() * looks.shape[1]).clamp(min=1)


def losses(model, end, mel, ids, targets, centres):
    logits, heard, looks = model(mel, ids)
    written = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    return written, heard.log_softmax(-1).transpose(0, 1), attention_loss(looks, centres)


def ctc_loss(log_probabilities, heard, positions, heard_lengths, blank):
    """Mean over the pieces; the end of text, which nobody says, is the blank."""
    loss = F.ctc_loss(log_probabilities, heard, positions, heard_lengths, blank=blank, reduction="sum", zero_infinity=True)
    return loss / heard_lengths.sum().clamp(min=1)


def optimisers(model, muon_lr, adam_lr):
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "layers" in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    return Muon(matrices, muon_lr), torch.optim.AdamW(rest, adam_lr, betas=(.9, .98), weight_decay=.01)


def clock(text):
    t, (h, m) = time.localtime(), map(int, text.split(":"))
    return time.mktime((t.tm_year, t.tm_mon, t.tm_mday, h, m, 0, 0, 0, -1))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", default="work")
    ap.add_argument("--out", default="work/run")
    end = ap.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", help="clock time HH:MM at which the schedule ends")
    end.add_argument("--steps", type=int)
    ap.add_argument("--size", default="hear", choices=SIZES)
    ap.add_argument("--batch", type=float, default=1, help="multiplies the windows of a batch")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--muon-lr", type=float, default=.02)
    ap.add_argument("--adam-lr", type=float, default=2e-3)
    ap.add_argument("--eager", action="store_true", help="no torch.compile")
    ap.add_argument("--test-every", type=float, default=400, help="seconds")
    a = ap.parse_args()
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)

    def say(*parts):
        print(*parts, flush=True)
        with open(out / "run.log", "a", encoding="utf-8") as log:
            print(*parts, file=log)

    v = Vocabulary(Path(a.work) / "tokenizer.json")
    model = Whisper(Config(v.size, **SIZES[a.size]))
    muon, adam = optimisers(model, a.muon_lr, a.adam_lr)
    state = dict(step=0, started=time.time(), seconds=0.0)
    checkpoint = out / "last.pt"
    if checkpoint.exists():
        s = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(s["model"])
        muon.load_state_dict(s["muon"])
        adam.load_state_dict(s["adam"])
        state.update(s["state"])
        say("resumed at step", state["step"])
    (out / "config.json").write_text(json.dumps(dict(arguments=vars(a), model=asdict(model.c), stages=STAGES), indent=1) + "\n")
    clips = Clips(a.work, "train")
    windows = Windows(v, clips, Clips(a.work, "digits"))
    test = fixed_batch(v, a.work, 16)
    until = clock(a.until) if a.until else None
    compute = losses if a.eager else torch.compile(losses, dynamic=False)
    say("parameters", sum(p.numel() for p in model.parameters() if p.requires_grad), "clips", len(clips.rows), f"{sum(clips.lengths) / 16_000 / 3600:.2f} h")
    r = random.Random(f"{a.seed} {state['step']}")
    base = [(g, lr) for o, lr in ((muon, a.muon_lr), (adam, a.adam_lr)) for g in o.param_groups]

    def share():
        """Of the schedule, how much is over."""
        return (time.time() - state["started"]) / (until - state["started"]) if until else state["step"] / a.steps

    def save():
        torch.save(dict(model=model.state_dict(), muon=muon.state_dict(), adam=adam.state_dict(), state=state, config=asdict(model.c)), out / "last.tmp")
        os.replace(out / "last.tmp", checkpoint)

    sums, counted, told, tested = [0.0] * 3, 0, time.time(), time.time()
    while (done := share()) < 1:
        stage = next(s for s in STAGES if done < s["until"])
        seconds, tokens, count = stage["shape"]
        batch = windows.batch(r, max(1, round(count * a.batch)), seconds, tokens, Options(**stage["options"]))
        written, log_probabilities, looks = compute(model, v.end, batch["mel"], batch["ids"], batch["targets"], batch["centres"])
        heard = ctc_loss(log_probabilities, batch["heard"], batch["positions"], batch["heard_lengths"], v.end)
        loss = written + .5 * heard + max(.02, .3 * min(1, 4 * (1 - done))) * looks
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 5.0)
        for group, lr in base:
            group["lr"] = lr * annealed(state["step"], done)
        muon.step()
        adam.step()
        muon.zero_grad()
        adam.zero_grad()
        state["step"] += 1
        state["seconds"] += batch["mel"].shape[0] * batch["mel"].shape[1] * SECONDS_PER_POSITION / 2
        sums = [s + x.item() for s, x in zip(sums, (written, heard, looks))]
        counted += 1
        if time.time() - told > 30 or (a.steps and counted == 10):
            w, h, l = (s / counted for s in sums)
            say(f"{time.strftime('%H:%M:%S')} step {state['step']} {done:.3f} written {w:.3f} heard {h:.3f} looks {l:.3f} hours {state['seconds'] / 3600:.2f} s/step {(time.time() - told) / counted:.2f}")
            save()
            sums, counted, told = [0.0] * 3, 0, time.time()
        if time.time() - tested > a.test_every:
            say(f"held out: word errors by CTC {ctc_error_rate(model, v, *test):.3f}, by the decoder {error_rate(model, v, *test):.3f}")
            windows.clips = Clips(a.work, "train")
            tested = told = time.time()
            sums, counted = [0.0] * 3, 0
    save()
    say(f"end: step {state['step']}, held out: word errors by CTC {ctc_error_rate(model, v, *test):.3f}, by the decoder {error_rate(model, v, *test):.3f}")


if __name__ == "__main__":
    main()
