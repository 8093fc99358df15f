"""The vision tower as it is trained: SigLIP's blocks (arXiv 2303.15343), under the names of its Hugging Face checkpoints.

Patches and positions, pre-norm attention and MLP with biases, a last norm; then Gemma 3's projector without its matrix: an RMSNorm and
a product with one row per class. The projector's matrix is worked out from these rows and the text model's embedding (export.py).

Attention starts as a convolution (ConViT, arXiv 2103.10697): sixteen channels of the residual stream hold sines and cosines of row
and column, which nothing writes over, and the queries and keys of a head begin so that a cell attends to the one at the head's offset.
A transformer that must find out by itself which cells are neighbours needs far more pictures than a CPU can draw: with a weaker start,
whose offsets were gone after 200 steps, it told no letter from another by then (README).
"""
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from alphabet import CLASSES
from overlays import CELL, GRID

# In cells. Rows of 24 cells are told apart by the longest, neighbours by the shortest.
PERIODS = (3, 6, 12, 48)
POSITION = 4 * len(PERIODS)
# Of the waves, beside a content of about 1 in each channel: a layer norm must leave enough of them for a head to find its cell.
AMPLITUDE = 8.0
SHARPNESS = 4.0

# Offsets (row, column) that the four heads of a layer begin with; None: none, a head that starts at random.
OFFSETS = (
    ((0, -1), (0, 1), (-1, 0), (1, 0)),
    ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    ((0, -2), (0, 2), (-2, 0), (2, 0)),
    ((0, -1), (0, 1), (-1, 0), (1, 0)),
    ((0, -3), (0, 3), (0, -1), (0, 1)),
    ((0, -2), (0, 2), None, None),
)


@dataclass
class Config:
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    layer_norm_eps: float = 1e-6

    def to_dict(self):
        return asdict(self)


def position_table(grid=GRID):
    """[grid^2, POSITION]: sines and cosines of column and row."""
    at = torch.arange(grid, dtype=torch.float32)
    waves = torch.cat([torch.stack([(2 * torch.pi * at / p).sin(), (2 * torch.pi * at / p).cos()], -1) for p in PERIODS], -1)
    rows = waves[:, None].expand(grid, grid, -1)
    return torch.cat([waves[None].expand(grid, grid, -1), rows], -1).reshape(grid * grid, POSITION)


def shift_matrix(offset):
    """[POSITION, POSITION] that makes of a cell's waves those of the cell at `offset` (row, column)."""
    turn = torch.zeros(POSITION, POSITION)
    for axis, d in ((0, offset[1]), (1, offset[0])):
        for i, p in enumerate(PERIODS):
            a = torch.tensor(2 * torch.pi * d / p)
            at = axis * POSITION // 2 + 2 * i
            turn[at:at + 2, at:at + 2] = torch.tensor([[a.cos(), a.sin()], [-a.sin(), a.cos()]])
    return turn


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.num_attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(c.hidden_size, c.hidden_size) for _ in range(4))

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (p(x).view(b, n, self.heads, -1).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c.hidden_size, c.intermediate_size), nn.Linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = (nn.LayerNorm(c.hidden_size, c.layer_norm_eps) for _ in range(2))
        self.self_attn, self.mlp = Attention(c), MLP(c)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Tower(nn.Module):
    def __init__(self, c, classes=CLASSES):
        super().__init__()
        self.c = c
        self.patch = nn.Linear(3 * CELL * CELL, c.hidden_size)
        self.register_buffer("positions", F.pad(AMPLITUDE * position_table(), (0, c.hidden_size - POSITION)))
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.post_layernorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.soft_norm = nn.Parameter(torch.zeros(c.hidden_size))       # gain 1 + w
        self.rows = nn.Linear(c.hidden_size, classes, bias=False)
        self.start()

    @torch.no_grad()
    def start(self):
        head = self.c.hidden_size // self.c.num_attention_heads
        nn.init.normal_(self.patch.weight, std=2 * (3 * CELL * CELL) ** -.5)
        nn.init.zeros_(self.patch.bias)
        for i, layer in enumerate(self.layers):
            for linear in layer.modules():
                if isinstance(linear, nn.Linear):
                    nn.init.normal_(linear.weight, std=linear.in_features ** -.5)
                    nn.init.zeros_(linear.bias)
            a = layer.self_attn
            a.out_proj.weight *= .5
            layer.mlp.fc2.weight *= .5
            # Content is what values and the MLP are about; the waves make it small after a norm.
            a.v_proj.weight *= 2
            a.v_proj.weight[:, :POSITION] = 0
            layer.layer_norm2.weight[:POSITION] = .1
            layer.layer_norm2.weight[POSITION:] = 2
            for h, offset in enumerate(OFFSETS[i % len(OFFSETS)][:self.c.num_attention_heads]):
                rows = slice(h * head, (h + 1) * head)
                for p in (a.q_proj, a.k_proj):
                    p.weight[rows] *= .2
                if offset is not None and head >= POSITION:
                    a.k_proj.weight[h * head:h * head + POSITION, :POSITION] = torch.eye(POSITION)
                    a.q_proj.weight[h * head:h * head + POSITION, :POSITION] = SHARPNESS * shift_matrix(offset)
        nn.init.normal_(self.rows.weight, std=.02)
        self.keep_positions()

    @torch.no_grad()
    def keep_positions(self):
        """After each step: nothing is written into the channels of the waves."""
        for linear in (self.patch, *(m for layer in self.layers for m in (layer.self_attn.out_proj, layer.mlp.fc2))):
            linear.weight[:POSITION] = 0
            linear.bias[:POSITION] = 0

    def forward(self, patches, at):
        """patches [b, n, 3 * CELL^2], at [n]: which cells of the whole frame they are -> logits [b, n, classes]"""
        x = self.patch(patches) + self.positions[at]
        for layer in self.layers:
            x = layer(x)
        x = self.post_layernorm(x)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.soft_norm)
        return self.rows(x)


def cells(rows, cols, top=0, left=0):
    """Indices in a whole frame of a part of it."""
    return ((torch.arange(rows) + top)[:, None] * GRID + left + torch.arange(cols)).reshape(-1)
