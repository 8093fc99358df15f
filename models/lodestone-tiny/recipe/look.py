"""The second look: a short passage and its question, seen both ways, then the answer.

When the whole is read, a token knows what stands before it. In "200 laptops" the number does not know yet what it counts, and no
token of the document knows what will be asked. A passage that is read again alone is short, so there it may: `<bos>` passage
`<question>` question is one block, in which every token sees every other, as within an image of Gemma 3 and as PaliGemma
(arXiv 2407.07726) reads its prompt; `<answer>` and the answer follow causally. Nothing of a passage is shared between questions.

A batch:
  ids      [B, L]   block, <answer>, answer, padding
  block    [B]      tokens of the block
  at       [B, M]   columns whose outputs predict the answer's tokens
  target   [B, M]   those tokens, the end included; -100 for none
"""
import numpy as np
import torch

from data import ANSWER, EOS, QUESTION
from model import NEG

TARGETS = 16    # tokens of an answer with its end, at most
ASKED = 4       # questions on one passage, at most


def sequences(generator, r, B, T, L, o):
    """B sequences of at most L tokens on passages of T tokens: the arrays of a batch, and one tag per sequence [B][1]."""
    out = dict(ids=np.zeros((B, L), np.int64), block=np.zeros(B, np.int64), at=np.zeros((B, TARGETS), np.int64), target=np.full((B, TARGETS), -100, np.int64))
    tags = []
    while len(tags) < B:
        example = generator.example(r, T, ASKED, o)
        for q, a, tag in example[1] if example else ():
            ids = example[0] + [QUESTION] + q + [ANSWER] + a
            if len(ids) > L or len(a) + 1 > TARGETS or len(tags) == B:
                continue
            n, first = len(tags), T + 1 + len(q)      # the column of <answer>
            out["ids"][n, :len(ids)] = ids
            out["block"][n] = first
            out["at"][n, :len(a) + 1] = np.arange(first, first + len(a) + 1)
            out["target"][n, :len(a) + 1] = a + [EOS]
            tags.append([tag])
    return out, tags


def visible(L, block, window):
    """bool [B, L, L]: whether a query (rows) of a local layer sees a key. Ahead a block is seen whole, back as far as the window."""
    pos = torch.arange(L, device=block.device)
    gap = pos[:, None] - pos[None, :]
    inside = pos[None, :] < block[:, None]
    return (gap < window) & ((gap >= 0) | (inside[:, :, None] & inside[:, None, :]))


def forward(model, ids, block, at, window, absolute_rope):
    """Logits [B, M, vocab] after the columns `at`. As in Lodestone.forward, only those go through the rest of the last layer."""
    c = model.c
    B, L = ids.shape
    H, KV, hd = c.num_attention_heads, c.num_key_value_heads, c.head_dim
    heads = lambda q, k, v: (q.view(B, -1, H, hd), k.view(B, L, KV, hd), v.view(B, L, KV, hd))
    pick = lambda t: torch.gather(t.view(B, L, -1), 1, at[..., None].expand(-1, -1, t[0].numel()))
    bias = torch.where(visible(L, block, window), 0.0, NEG)[:, None]
    cos, sin = (t[:L].repeat(B, 1).view(B * L, 1, hd // 2) for t in absolute_rope)
    x = model.embed(ids.view(-1))
    for layer in model.layers[:-1]:
        q, k, v = heads(*model.qkv(layer, x, cos, sin))
        x = model.finish(layer, x, model.attend(q, k, v, bias).view(-1, H * hd))
    layer = model.layers[-1]
    q, k, v = model.qkv(layer, x)
    q, k, v = heads(pick(q), k, v)
    q = q * (layer.self_attn.log_n_scale.view(1, 1, H, 1) * torch.log(at + 1.0)[..., None, None])
    before = torch.where(torch.arange(L, device=at.device) <= at[..., None], 0.0, NEG)[:, None]
    return model.logits(model.finish(layer, pick(x), model.attend(q, k, v, before)))
