"""Quantisation-aware training: some hundred more steps, in which every matrix acts as the file will hold it.

The forward pass sees the values of the blocks (blocks.py), gradients go to the float32 weights behind them as if nothing had been
rounded (straight-through). Targets are the probabilities of the checkpoint before quantisation, so that it is the rounding alone
that is trained away, not what the model knows. The rate is low and constant, nothing decays. Before and after: loss and
answers on held-out books, for the weights as they are, plainly rounded, and trained.
"""
import torch
from torch.func import functional_call

import loop
from blocks import FORMATS, fake, plan
from distill import full
from export import rounded
from loop import logits_of


class Fake(torch.nn.Module):
    """A model that computes with fake-quantised matrices; its gradients reach the parameters of `model`."""

    def __init__(self, model, formats):
        super().__init__()
        self.model, self.formats = model, formats

    def forward(self, *args):
        parameters = {n: fake(p, self.formats[n]) if n in self.formats else p for n, p in self.model.named_parameters()}
        return functional_call(self.model, parameters, args)


def self_distilled(teacher, formats):
    """The loss for loop.run: KL(unquantised || quantised)."""
    def loss(model, rope, window, target, **batch):
        with torch.no_grad():
            t = logits_of(teacher, rope, window, **batch)
        s = logits_of(Fake(model, formats), rope, window, **batch)
        return full(s, t, target), s.argmax(-1) == target

    return loss


def main():
    ap = loop.arguments(__doc__, "work/quantised", muon_lr=2e-4, adam_lr=5e-5)
    ap.add_argument("--checkpoint", default="work/run/last.pt", help="what to quantise")
    ap.add_argument("--format", choices=FORMATS[1:], default="q4_0+q8_0")
    ap.add_argument("--embedding-format", choices=["q8_0", "q4_0"], default="q8_0", help="of the embedding, with q4_0+q8_0")
    ap.set_defaults(eager=True)     # to compile the rounding of every matrix takes longer than some hundred steps
    a = ap.parse_args()
    loop.prepare(a)
    model = loop.load(a.checkpoint, a.device)
    formats = plan(model, a.format, a.embedding_format)
    teacher, fixed = loop.frozen(model), loop.held_out(a)
    before = [loop.report("unquantised", teacher, fixed), loop.report("plainly rounded", rounded(loop.frozen(teacher), formats), fixed)]
    loop.note(a, *before)
    stages = [{**loop.curriculum(a)[-1], "until": 1.0, "gate": None}]
    ema = loop.run(a, model, self_distilled(teacher, formats), stages, schedule=loop.constant, decay=0.0, extra=dict(formats=formats))
    model.load_state_dict(ema)
    loop.note(a, loop.report("trained and rounded", rounded(model, formats), fixed))


if __name__ == "__main__":
    main()
