"""One model from several: weights averaged, as WARM (Rame et al. 2024) and WARP (Rame et al. 2024) do.

The runs must share their start (the same pretrained weights), or a mean of them means nothing. `--how mean` is WARM's: the plain
mean of all weights. `--how slerp` is WARP's: each tensor's difference from the start is interpolated on the arc between the
runs' (several are joined one after another, the k-th with weight 1/k), so that the differences keep their length, where a
mean of nearly orthogonal ones would halve it. `--towards` then goes only that share of the way from the start (WARP's last step,
which trades reward against distance from the start). What comes out is a checkpoint like any other, without an optimiser.
"""
import argparse
from pathlib import Path

import torch

from loop import weights


def mean(many):
    return {n: torch.stack([w[n].float() for w in many]).mean(0) for n in many[0]}


def slerp(a, b, t):
    """From difference a (t = 0) to b (t = 1) on the arc between them; straight where they point the same way or one is zero."""
    cosine = (a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-30)
    angle = torch.acos(cosine.clamp(-1, 1))
    if torch.sin(angle) < 1e-4 or a.norm() == 0 or b.norm() == 0:
        return (1 - t) * a + t * b
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def spherical(start, many):
    out = {}
    for n, s in start.items():
        s = s.float()
        d = many[0][n].float() - s
        for k, w in enumerate(many[1:], 2):
            d = slerp(d, w[n].float() - s, 1 / k)
        out[n] = s + d
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("checkpoints", nargs="+")
    ap.add_argument("--how", choices=["mean", "slerp"], default="mean")
    ap.add_argument("--start", help="the checkpoint, or transplant.py's file, that all runs began with")
    ap.add_argument("--towards", type=float, default=1.0, help="share of the way from the start")
    ap.add_argument("--out", default="work/average/last.pt")
    a = ap.parse_args()
    if not a.start and (a.how == "slerp" or a.towards != 1):
        ap.error("--how slerp and --towards need --start")
    many = [weights(p) for p in a.checkpoints]
    start = weights(a.start) if a.start else None
    merged = spherical(start, many) if a.how == "slerp" else mean(many)
    if a.towards != 1:
        merged = {n: start[n].float().lerp(w, a.towards) for n, w in merged.items()}
    first = torch.load(a.checkpoints[0], weights_only=False, map_location="cpu")
    Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(model=merged, ema=merged, config=first["config"], state=first["state"], merged=vars(a)), a.out)


if __name__ == "__main__":
    main()
