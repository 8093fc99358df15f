"""Whisper's encoder and decoder, with the parameter names of the checkpoints in Hugging Face's format, and a CTC head for training.

Why not transformers' own class: the loss needs the cross attention of one head, and nothing else of what that costs.
Source: Whisper (arXiv 2212.04356), transformers `modeling_whisper.py`.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from features import BANDS, WINDOW


@dataclass
class Config:
    vocab_size: int
    width: int = 128
    heads: int = 4
    hidden: int = 512
    encoder_layers: int = 5
    decoder_layers: int = 2
    source_positions: int = WINDOW
    target_positions: int = 224
    bands: int = BANDS


# Of every decoder layer, the head that is taught where its token was said, and tells it.
ALIGNED_HEAD = 0


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.heads
        self.k_proj = nn.Linear(c.width, c.width, bias=False)
        self.v_proj, self.q_proj, self.out_proj = (nn.Linear(c.width, c.width) for _ in range(3))

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, source, causal=False):
        q, k, v = self.split(self.q_proj(x)), self.split(self.k_proj(source)), self.split(self.v_proj(source))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2))

    def looking(self, x, source):
        """As forward, and the attention of the aligned head [batch, targets, positions]."""
        q, k, v = self.split(self.q_proj(x)), self.split(self.k_proj(source)), self.split(self.v_proj(source))
        attention = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        return self.out_proj((attention @ v).transpose(1, 2).flatten(2)), attention[:, ALIGNED_HEAD]


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(c), nn.LayerNorm(c.width)
        self.fc1, self.fc2, self.final_layer_norm = nn.Linear(c.width, c.hidden), nn.Linear(c.hidden, c.width), nn.LayerNorm(c.width)

    def attend(self, x, causal):
        n = self.self_attn_layer_norm(x)
        return x + self.self_attn(n, n, causal)

    def think(self, x):
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class EncoderLayer(Layer):
    def forward(self, x):
        return self.think(self.attend(x, causal=False))


class DecoderLayer(Layer):
    def __init__(self, c):
        super().__init__(c)
        self.encoder_attn, self.encoder_attn_layer_norm = Attention(c), nn.LayerNorm(c.width)

    def forward(self, x, source):
        x = self.attend(x, causal=True)
        seen, looks = self.encoder_attn.looking(self.encoder_attn_layer_norm(x), source)
        return self.think(x + seen), looks


def sinusoids(positions, width):
    rates = torch.exp(-torch.log(torch.tensor(10_000.0)) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(positions)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1 = nn.Conv1d(c.bands, c.width, 3, padding=1)
        self.conv2 = nn.Conv1d(c.width, c.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding.from_pretrained(sinusoids(c.source_positions, c.width))
        self.layers = nn.ModuleList(EncoderLayer(c) for _ in range(c.encoder_layers))
        self.layer_norm = nn.LayerNorm(c.width)

    def forward(self, mel):
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel.mT)))).mT
        x = x + self.embed_positions.weight[:x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.width)
        self.embed_positions = nn.Embedding(c.target_positions, c.width)
        self.layers = nn.ModuleList(DecoderLayer(c) for _ in range(c.decoder_layers))
        self.layer_norm = nn.LayerNorm(c.width)
        for table in (self.embed_tokens, self.embed_positions):
            nn.init.normal_(table.weight, std=0.05)

    def forward(self, ids, source):
        x = self.embed_tokens(ids) + self.embed_positions.weight[:ids.shape[1]]
        looks = []
        for layer in self.layers:
            x, look = layer(x, source)
            looks.append(look)
        return self.layer_norm(x) @ self.embed_tokens.weight.T, torch.stack(looks, 1)


class Whisper(nn.Module):
    """(mel [B, 2 positions, bands], ids [B, L]) -> (logits [B, L, vocabulary], CTC logits [B, positions, vocabulary], attention of the
    aligned heads [B, decoder layers, L, positions])"""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.encoder, self.decoder = Encoder(c), Decoder(c)
        self.ctc = nn.Linear(c.width, c.vocab_size)

    def forward(self, mel, ids):
        source = self.encoder(mel)
        logits, looks = self.decoder(ids, source)
        return logits, self.ctc(source), looks
