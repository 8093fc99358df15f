"""The same network written the plain way: one sequence, full masks, float32, no batching tricks.

It checks the blocked forward pass (test_model.py) and writes the golden logits (export.py)."""
import torch
import torch.nn.functional as F

from model import rope_table, rotate


@torch.no_grad()
def logits(model, ids, block=0):
    """Logits [len(ids), vocab] of a token sequence, every position through every layer. The first `block` tokens see each other both
    ways."""
    c = model.c
    n = len(ids)
    x = model.embed(torch.tensor(ids))
    pos = torch.arange(n)
    cos, sin = (t.unsqueeze(1) for t in rope_table(pos, c.head_dim, c.rope_local_base_freq))
    causal = pos[None, :] <= pos[:, None]
    causal = causal | (torch.maximum(pos[:, None], pos[None, :]) < block)
    window = causal & (pos[:, None] - pos[None, :] < c.sliding_window)
    repeat = c.num_attention_heads // c.num_key_value_heads
    for i, layer in enumerate(model.layers):
        is_global = i == c.num_hidden_layers - 1
        q, k, v = model.qkv(layer, x, *(() if is_global else (cos, sin)))
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        s = torch.einsum("qhd,khd->hqk", q, k) * c.head_dim ** -0.5
        if is_global:
            s = s * layer.self_attn.log_n_scale.view(-1, 1, 1) * torch.log(pos + 1.0).view(1, -1, 1)
        s = s.masked_fill(~(causal if is_global else window), float("-inf"))
        o = torch.einsum("hqk,khd->qhd", torch.softmax(s, -1), v).flatten(1)
        x = model.finish(layer, x, o)
    return F.linear(model.norm(x), model.embed_tokens.weight)


def greedy(model, prompt, eos=1, limit=24):
    """Greedy continuation of a prompt by full recomputation; for smoke tests only."""
    out = []
    for _ in range(limit):
        t = int(logits(model, prompt + out)[-1].argmax())
        if t == eos:
            break
        out.append(t)
    return out
