"""The network: a Gemma 3 text model in miniature, with one global layer, and that one last.

Layers 0..L-2 are local (sliding window, rotary positions). The last layer is global and has no
positions (NoPE); its attention logits are multiplied by s_h * ln(n), n = number of visible keys,
so that the attention to one key among n stays sharp when n grows far past the training length.

Because nothing follows the global layer, the document's tokens need no more of it than K and V:
`forward` computes the rest of that layer for answer positions only. One document serves many
questions; the questions see the document and themselves, not one another.

A training batch (all shapes fixed, so that torch.compile compiles once per shape):
  doc      [B, T]      document tokens, the first one <bos>; T a multiple of BLOCK
  qa       [B, N, S]   <pad>* <question> ... | <answer> answer <pad>*; the last A columns are the
                       answer part, so the question is padded on the left
  qa_pos   [B, N, S]   absolute positions: the document's length + offset in the pair
"""
import math
from dataclasses import dataclass, asdict

import torch
import torch.nn as nn
import torch.nn.functional as F

BLOCK = 64  # queries per block in local attention; the window must not exceed it


@dataclass
class Config:
    vocab_size: int = 4096
    hidden_size: int = 192
    intermediate_size: int = 576
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    sliding_window: int = 64
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
        """q [G, n, H, hd], k, v [G, m, KV, hd], bias broadcastable to [G, 1, n, m] -> [G, n, H*hd].
        Query heads that share a K/V head are laid out as extra rows, so K and V are not repeated."""
        c = self.c
        G, n, H, hd = q.shape
        KV = k.shape[2]
        R = H // KV
        qr = q.view(G, n, KV, R, hd).permute(0, 2, 3, 1, 4).reshape(G, KV, R * n, hd)
        kt = k.permute(0, 2, 3, 1)
        s = torch.matmul(qr.to(DT(k)), kt.to(DT(k))).float() * hd ** -0.5
        s = s.view(G, KV, R, n, -1) + bias.unsqueeze(1) if bias.dim() == 4 else s.view(G, KV, R, n, -1) + bias
        p = torch.softmax(s, -1).to(DT(k)).view(G, KV, R * n, -1)
        o = torch.matmul(p, v.permute(0, 2, 1, 3).to(DT(k)))
        return o.view(G, KV, R, n, hd).permute(0, 3, 1, 2, 4).reshape(G, n, H * hd)

    # -- a training batch -----------------------------------------------------------------------

    def forward(self, doc, qa, doc_rope, qa_rope, doc_bias, first_bias, qa_bias, own_bias, log_n, A):
        """Answer logits [B, N, A, vocab]. The rope tables and biases come from `batch_geometry`."""
        c = self.c
        B, T = doc.shape
        _, N, S = qa.shape
        nb = T // BLOCK
        x = self.embed(torch.cat([doc.reshape(-1), qa.reshape(-1)]))
        cos = torch.cat([doc_rope[0].repeat(B, 1), qa_rope[0].reshape(B * N * S, -1)]).unsqueeze(1)
        sin = torch.cat([doc_rope[1].repeat(B, 1), qa_rope[1].reshape(B * N * S, -1)]).unsqueeze(1)
        H, KV, hd = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        bias = torch.cat([first_bias[None], doc_bias[None].expand(nb - 1, -1, -1)]).repeat(B, 1, 1)[:, None, None]
        for layer in self.layers[:-1]:
            q, k, v = self.qkv(layer, x, cos, sin)
            k, v = k.to(v.dtype), v
            # the document: each block of queries sees its own block of keys and the one before
            qd = q[: B * T].view(B * nb, BLOCK, H, hd)
            kd, vd = k[: B * T].view(B, nb, BLOCK, KV, hd), v[: B * T].view(B, nb, BLOCK, KV, hd)
            kp = torch.cat([torch.roll(kd, 1, 1), kd], 2).view(B * nb, 2 * BLOCK, KV, hd)
            vp = torch.cat([torch.roll(vd, 1, 1), vd], 2).view(B * nb, 2 * BLOCK, KV, hd)
            od = self.attend(qd, kp, vp, bias).view(B * T, H * hd)
            # the pairs: the document's last block and themselves
            qq = q[B * T:].view(B * N, S, H, hd)
            kq, vq = k[B * T:].view(B, N, S, KV, hd), v[B * T:].view(B, N, S, KV, hd)
            tail_k = kd[:, -1:].expand(B, N, BLOCK, KV, hd)
            tail_v = vd[:, -1:].expand(B, N, BLOCK, KV, hd)
            kq = torch.cat([tail_k, kq], 2).view(B * N, BLOCK + S, KV, hd)
            vq = torch.cat([tail_v, vq], 2).view(B * N, BLOCK + S, KV, hd)
            oq = self.attend(qq, kq, vq, qa_bias).view(B * N * S, H * hd)
            x = self.finish(layer, x, torch.cat([od, oq]))
        layer = self.layers[-1]
        q, k, v = self.qkv(layer, x)
        k = k.to(v.dtype)
        scale = layer.self_attn.log_n_scale.view(1, 1, 1, H, 1) * log_n[..., None, None]   # [B,N,A,H,1]
        qa_x = x[B * T:].view(B, N, S, -1)[:, :, S - A:]
        q = q[B * T:].view(B, N, S, H, hd)[:, :, S - A:] * scale
        KV, R = c.num_key_value_heads, H // c.num_key_value_heads
        kd, vd = (t[: B * T].view(B, T, KV, hd) for t in (k, v))
        ko, vo = (t[B * T:].view(B, N, S, KV, hd) for t in (k, v))
        q = q.reshape(B, N, A, KV, R, hd).permute(0, 3, 1, 4, 2, 5).to(v.dtype)   # B KV N R A hd
        sd = torch.matmul(q.reshape(B, KV, N * R * A, hd), kd.permute(0, 2, 3, 1)).float().view(B, KV, N, R, A, T)
        so = torch.matmul(q.reshape(B, KV, N, R * A, hd), ko.permute(0, 3, 1, 4, 2)).float().view(B, KV, N, R, A, S)
        s = torch.cat([sd * hd ** -0.5, so * hd ** -0.5 + own_bias[:, None, :, None]], -1)
        p = torch.softmax(s, -1).to(v.dtype)
        o = torch.matmul(p[..., :T].reshape(B, KV, N * R * A, T), vd.permute(0, 2, 1, 3)).view(B, KV, N, R, A, hd)
        o = o + torch.matmul(p[..., T:].reshape(B, KV, N, R * A, S), vo.permute(0, 3, 1, 2, 4)).view(B, KV, N, R, A, hd)
        o = o.permute(0, 2, 4, 1, 3, 5).reshape(B, N, A, H * hd)
        return self.logits(self.finish(layer, qa_x, o))


def DT(k):
    return k.dtype


NEG = -1e4  # instead of -inf: a padded row then attends to nothing in particular, without NaN


def batch_geometry(c, T, qa, qa_pos, A, window, pad_id=0):
    """Rotary tables, attention biases and ln n of one batch; depends on the data only through the
    padding of the pairs. `window` may be smaller than the final one (curriculum)."""
    assert window <= BLOCK and T % BLOCK == 0
    i = torch.arange(BLOCK)[:, None] + BLOCK
    j = torch.arange(2 * BLOCK)[None]
    ok = (j <= i) & (i - j < window)
    doc_bias = torch.where(ok, 0.0, NEG)
    first_bias = torch.where(ok & (j >= BLOCK), 0.0, NEG)
    B, N, S = qa.shape
    tail = torch.arange(T - BLOCK, T).expand(B, N, BLOCK)
    key_pos = torch.cat([tail, qa_pos], -1)
    real = torch.cat([torch.ones_like(tail, dtype=torch.bool), qa != pad_id], -1)
    gap = qa_pos[..., :, None] - key_pos[..., None, :]
    ok = (gap >= 0) & (gap < window) & real[..., None, :]
    qa_bias = torch.where(ok, 0.0, NEG).view(B * N, 1, 1, S, BLOCK + S)
    own = (gap[..., BLOCK:] >= 0) & real[..., None, BLOCK:]
    own_bias = torch.where(own, 0.0, NEG)[:, :, S - A:]
    log_n = torch.log(qa_pos[..., S - A:].float() + 1)
    doc_rope = rope_table(torch.arange(T), c.head_dim, c.rope_local_base_freq)
    qa_rope = rope_table(qa_pos, c.head_dim, c.rope_local_base_freq)
    return doc_rope, qa_rope, doc_bias, first_bias, qa_bias, own_bias, log_n
