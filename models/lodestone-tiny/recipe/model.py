"""The network: a Gemma 3 text model in miniature, with one global layer, and that one last.

Layers 0..L-2 are local (sliding window, rotary positions). The last layer is global and has no
positions (NoPE); its attention logits are multiplied by s_h * ln(n), n = number of visible keys,
so that the attention to one key among n stays sharp when n grows far past the training length.

Because nothing follows the global layer, the document's tokens need no more of it than K and V:
`forward` computes the rest of that layer for the predicted positions only. One document serves many
questions; the questions see the document and themselves, not one another.

A training batch (see data.Generator.batch; shapes fixed, so that torch.compile compiles once per shape):
  doc      [B, T]       document tokens, the first one <bos>; T a multiple of BLOCK
  qa       [B, R, 64]   rows of packed pairs <question> ... <answer> answer
  pos      [B, R, 64]   absolute positions: the document's length + offset in the pair
  pair     [B, R, 64]   which pair a token belongs to; -1 is padding
  at       [B, R, M]    columns whose outputs predict the answer's tokens

When everything is read, a token knows what stands before it: in "200 laptops" the number does not know yet what it counts. A passage
that is read again alone is short, and there it may: `both_ways`, as an image's tokens in Gemma 3. Questions see it causally, so one
passage serves many of them here too.
"""
import math
from dataclasses import dataclass, asdict

import torch
import torch.nn as nn
import torch.nn.functional as F

BLOCK = 64  # queries per block in local attention, and tokens in a row of pairs
REACH = 2   # blocks before its own that a block sees; the window must not exceed REACH * BLOCK


@dataclass
class Config:
    vocab_size: int = 8192
    hidden_size: int = 192
    intermediate_size: int = 576
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    sliding_window: int = 128
    rope_local_base_freq: float = 10000.0
    rms_norm_eps: float = 1e-6
    n_train: int = 512          # the length at which the log-n factor starts at 1
    global_gain_init: float = 0.6   # w of q_norm and k_norm in the global layer: gain (1+w)^2
    post_gain_init: float = -0.5    # w of the post norms: residual branches start small

    def to_dict(self):
        return asdict(self)


def rms_norm(x, weight, eps):
    """Gemma's RMSNorm: computed in float32, scaled by 1 + w."""
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (1.0 + weight)


def rope_table(positions, head_dim, base):
    """cos and sin [..., head_dim/2] of absolute positions; angles in float64, then float32."""
    inv = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angle = positions.to(torch.float64)[..., None] * inv
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """Split-half rotary embedding; x [..., heads, head_dim], cos/sin [..., 1, head_dim/2]."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class RMSNorm(nn.Module):
    def __init__(self, size, eps, init=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), float(init)))
        self.eps = eps

    def forward(self, x):
        return rms_norm(x, self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, c, is_global):
        super().__init__()
        d, hd = c.hidden_size, c.head_dim
        self.q_proj = nn.Linear(d, c.num_attention_heads * hd, bias=False)
        self.k_proj = nn.Linear(d, c.num_key_value_heads * hd, bias=False)
        self.v_proj = nn.Linear(d, c.num_key_value_heads * hd, bias=False)
        self.o_proj = nn.Linear(c.num_attention_heads * hd, d, bias=False)
        gain = c.global_gain_init if is_global else 0.0
        self.q_norm = RMSNorm(hd, c.rms_norm_eps, gain)
        self.k_norm = RMSNorm(hd, c.rms_norm_eps, gain)
        if is_global:
            self.log_n_scale = nn.Parameter(torch.full((c.num_attention_heads,), 1 / math.log(c.n_train)))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c, is_global):
        super().__init__()
        self.self_attn = Attention(c, is_global)
        self.mlp = MLP(c)
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps, c.post_gain_init)
        self.pre_feedforward_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.post_feedforward_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps, c.post_gain_init)


class Lodestone(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        last = c.num_hidden_layers - 1
        self.layers = nn.ModuleList(Layer(c, i == last) for i in range(c.num_hidden_layers))
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        nn.init.normal_(self.embed_tokens.weight, std=c.hidden_size ** -0.5)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=m.in_features ** -0.5)

    # -- pieces -------------------------------------------------------------------------------

    def embed(self, ids):
        return F.embedding(ids, self.embed_tokens.weight) * self.c.hidden_size ** 0.5

    def logits(self, x):
        return F.linear(self.norm(x), self.embed_tokens.weight).float()

    def qkv(self, layer, x, cos=None, sin=None):
        """q [..., H, hd], k, v [..., KV, hd] of a layer; q and k normed, and rotated if local."""
        c, a = self.c, layer.self_attn
        h = layer.input_layernorm(x)
        w = torch.cat([a.q_proj.weight, a.k_proj.weight, a.v_proj.weight])
        H, KV, hd = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        q, k, v = F.linear(h, w).split([H * hd, KV * hd, KV * hd], -1)
        q = a.q_norm(q.unflatten(-1, (H, hd)))
        k = a.k_norm(k.unflatten(-1, (KV, hd)))
        v = v.unflatten(-1, (KV, hd))
        if cos is not None:
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        return q, k, v

    def finish(self, layer, x, attended):
        """Output projection, post norm, residual, MLP: the rest of the sandwich."""
        x = x + layer.post_attention_layernorm(layer.self_attn.o_proj(attended))
        return x + layer.post_feedforward_layernorm(layer.mlp(layer.pre_feedforward_layernorm(x)))

    def attend(self, q, k, v, bias):
        """q [G, n, H, hd], k, v [G, m, KV, hd], bias [G, 1, n, m] -> [G, n, H*hd].
        Query heads that share a K/V head are laid out as extra rows, so K and V are not repeated."""
        G, n, H, hd = q.shape
        KV = k.shape[2]
        R = H // KV
        rows = q.view(G, n, KV, R, hd).permute(0, 2, 3, 1, 4).reshape(G, KV, R * n, hd)
        s = torch.matmul(rows.to(v.dtype), k.to(v.dtype).permute(0, 2, 3, 1)).float() * hd ** -0.5
        p = torch.softmax(s.view(G, KV, R, n, -1) + bias.unsqueeze(1), -1).to(v.dtype)
        o = torch.matmul(p.view(G, KV, R * n, -1), v.permute(0, 2, 1, 3))
        return o.view(G, KV, R, n, hd).permute(0, 3, 1, 2, 4).reshape(G, n, H * hd)

    # -- a training batch -----------------------------------------------------------------------

    def forward(self, doc, qa, pos, pair, at, window, absolute_rope, both_ways=False):
        """Logits [B, R, M, vocab] after the columns `at`. `both_ways`: the document is a passage that is looked at again; its tokens
        see each other as far as the window reaches back and a block ahead, so that a passage of two blocks sees itself whole."""
        c = self.c
        B, T = doc.shape
        R, M = at.shape[1:]
        nb = T // BLOCK
        H, KV, hd = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        # Blocks of 64 queries: of each document its nb own, then its R rows of pairs. A block sees itself and the
        # REACH blocks before, and if both ways the one after; before every row of pairs stand the document's last ones.
        ids = torch.cat([doc.view(B, nb, BLOCK), qa], 1)                                # [B, nb+R, 64]
        positions = torch.cat([torch.arange(T, device=doc.device).view(1, nb, BLOCK).expand(B, -1, -1), pos], 1)
        bias = local_bias(positions, torch.cat([positions.new_full((B, nb, BLOCK), -2), pair], 1), nb, window, both_ways)
        cos, sin = (t[positions].view(-1, 1, hd // 2) for t in absolute_rope)
        others = [b.clamp(min=0) for b in other_blocks(nb, R, both_ways, doc.device)]
        x = self.embed(ids.view(-1))
        for layer in self.layers[:-1]:
            q, k, v = self.qkv(layer, x, cos, sin)
            k, v = (t.to(v.dtype).view(B, nb + R, BLOCK, KV, hd) for t in (k, v))
            ks, vs = (torch.cat([t[:, b] for b in others] + [t], 2).flatten(0, 1) for t in (k, v))
            x = self.finish(layer, x, self.attend(q.view(-1, BLOCK, H, hd), ks, vs, bias).view(-1, H * hd))
        layer = self.layers[-1]
        q, k, v = self.qkv(layer, x)
        k, v = (t.to(v.dtype).view(B, nb + R, BLOCK, KV, hd) for t in (k, v))
        own = lambda t: torch.gather(t, 2, at)
        pick = lambda t, w: torch.gather(t.view(B, nb + R, BLOCK, w)[:, nb:], 2, at[..., None].expand(-1, -1, -1, w))
        log_n = torch.log(own(pos).float() + 1)
        q = pick(q, H * hd).view(B, R, M, H, hd) * (layer.self_attn.log_n_scale.view(1, 1, 1, H, 1) * log_n[..., None, None] * hd ** -0.5)
        q = q.view(B, R, M, KV, H // KV, hd).permute(0, 3, 1, 4, 2, 5).reshape(B, KV, R, -1, hd).to(v.dtype)   # B KV R (H/KV M) hd
        kd, vd = (t[:, :nb].reshape(B, T, KV, hd) for t in (k, v))
        ko, vo = (t[:, nb:].permute(0, 3, 1, 2, 4) for t in (k, v))                     # B KV R 64 hd
        sd = torch.matmul(q.reshape(B, KV, -1, hd), kd.permute(0, 2, 3, 1)).float().view(B, KV, R, -1, T)
        so = torch.matmul(q, ko.mT).float()
        seen = (pair[:, :, None] == own(pair)[..., None]) & (pos[:, :, None] <= own(pos)[..., None])      # B R M 64
        so = so + torch.where(seen, 0.0, NEG)[:, None, :, None].expand(-1, -1, -1, H // KV, -1, -1).flatten(3, 4)
        p = torch.softmax(torch.cat([sd, so], -1), -1).to(v.dtype)
        o = torch.matmul(p[..., :T].reshape(B, KV, -1, T), vd.permute(0, 2, 1, 3)).view(B, KV, R, -1, hd) + torch.matmul(p[..., T:], vo)
        o = o.view(B, KV, R, H // KV, M, hd).permute(0, 2, 4, 1, 3, 5).reshape(B, R, M, H * hd)
        return self.logits(self.finish(layer, pick(x, c.hidden_size), o))


NEG = -1e4  # instead of -inf: a padded row then attends to nothing in particular, without NaN
NOWHERE = 1 << 40   # position of a block that is not there


def other_blocks(nb, rows, both_ways, device):
    """Of each of a document's nb + rows blocks, the index of the REACH-th, ..., first block before it, and if both ways of the one
    after; negative where none is. What comes after a row of pairs is no block of the document."""
    own = torch.arange(nb + rows)
    last = own.clamp(max=nb)
    after = [torch.where(own + 1 < nb, own + 1, -1)] if both_ways else []
    return [b.to(device) for b in [last - back for back in range(REACH, 0, -1)] + after]


def local_bias(positions, pair, nb, window, both_ways=False):
    """What a query of each block sees of the other blocks and of its own: 0 or NEG, [B * blocks, 1, 64, (blocks seen) * 64]. `pair` is
    -2 for the document, which every pair sees; `window` may be smaller than the final one (curriculum)."""
    B, blocks, _ = positions.shape
    keys, key_pairs = [], []
    for b in other_blocks(nb, blocks - nb, both_ways, positions.device):
        there = (b >= 0)[None, :, None]
        keys.append(torch.where(there, positions[:, b.clamp(min=0)], NOWHERE))
        key_pairs.append(pair[:, b.clamp(min=0)])
    key, key_pair = (torch.cat(t, 2)[:, :, None] for t in (keys + [positions], key_pairs + [pair]))
    gap = positions[..., None] - key
    ok = (gap >= 0) & ((key_pair == -2) | (key_pair == pair[..., None]))
    if both_ways:
        ok = ok | ((key_pair == -2) & (pair[..., None] == -2) & (key < NOWHERE))
    return torch.where(ok & (gap < window), 0.0, NEG).view(B * blocks, 1, BLOCK, -1)


def absolute_rope(c, length):
    """Rotary tables of positions 0 .. length - 1: (cos, sin), each [length, head_dim / 2]."""
    return rope_table(torch.arange(length), c.head_dim, c.rope_local_base_freq)
