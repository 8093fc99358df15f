"""GGUF's block formats q8_0 and q4_0, as the runtime's blocks.ts writes them, to the bit: 32 neighbours of a matrix row share a
scale d, an f16. Everything is float32, and values are scaled by the reciprocal of d before d is rounded.

  q8_0  34 bytes  d, 32 signed bytes q; value q d          d = max |x| / 127, q = round(x / d), halves away from zero
  q4_0  18 bytes  d, 16 bytes; value (q - 8) d             d = the x of largest magnitude / -8, q = trunc(x / d + 8.5) in 0..15;
                  byte j holds element j low and element j + 16 high
"""
import numpy as np
import torch

BLOCK = 32
BYTES = {"q8_0": 34, "q4_0": 18}


def integers(x, fmt):
    """Of a tensor [..., n], n a multiple of 32: integers q [..., n / 32, 32] around zero as float32, scales d [..., n / 32, 1] as f16."""
    x = x.float().unflatten(-1, (-1, BLOCK))
    size = x.abs()
    # the first of those of largest magnitude; argmax doesn't promise which of several it finds
    places = torch.arange(BLOCK, device=x.device).expand(x.shape)
    first = torch.where(size == size.amax(-1, keepdim=True), places, BLOCK - 1).amin(-1, keepdim=True)
    largest = x.gather(-1, first)
    d = largest.abs() / 127 if fmt == "q8_0" else largest / -8
    scaled = x * torch.where(d == 0, d, 1 / d)
    if fmt == "q8_0":
        whole = scaled.abs().floor()
        q = scaled.sign() * (whole + (scaled.abs() - whole >= .5))
    else:
        q = (scaled + 8.5).trunc().clamp(0, 15) - 8
    return q, d.half()


def dequantised(x, fmt):
    """The values that a tensor [..., n] has once stored: float32, or, where fmt is bf16, rounded to that."""
    if fmt == "bf16":
        return x.bfloat16().float()
    q, d = integers(x, fmt)
    return (q * d.float()).flatten(-2)


def fake(x, fmt):
    """`dequantised`, with the gradient of x itself (the straight-through estimator)."""
    return dequantised(x.detach(), fmt) + (x - x.detach())      # + 0: the values are exact


def to_bytes(x, fmt):
    """A matrix [rows, n] as blocks: bytes [rows, n / 32 * 34 or 18]."""
    q, d = integers(x, fmt)
    scale = torch.from_numpy(d.contiguous().cpu().numpy().view(np.uint8))       # little-endian, as the file
    q = q.cpu()
    if fmt == "q8_0":
        body = q.to(torch.int8).view(torch.uint8)
    else:
        low, high = (q + 8).to(torch.uint8).chunk(2, -1)
        body = low | high << 4
    return torch.cat([scale, body], -1).flatten(-2)


def from_bytes(data, fmt):
    """Float32 values [rows, n] of bytes as `to_bytes` writes them."""
    data = data.unflatten(-1, (-1, BYTES[fmt]))
    d = torch.from_numpy(data[..., :2].contiguous().numpy().view(np.float16)).float()
    body = data[..., 2:].contiguous()
    q = body.view(torch.int8).float() if fmt == "q8_0" else torch.cat([body & 15, body >> 4], -1).float() - 8
    return (q * d).flatten(-2)


def plan(model, fmt, embedding="q8_0"):
    """Which matrix is stored how, {parameter: format}; one-dimensional parameters stay float32 and are not named. `q4_0+q8_0` keeps
    q and k of the global layer in q8_0, whose products find the needle, and the embedding in the format `embedding`."""
    last = f"layers.{model.c.num_hidden_layers - 1}.self_attn."
    precise = {last + "q_proj.weight", last + "k_proj.weight"}
    out = {}
    for n, p in model.named_parameters():
        if p.dim() != 2:
            continue
        out[n] = fmt if fmt in ("bf16", "q8_0") else embedding if n == "embed_tokens.weight" else "q8_0" if n in precise else "q4_0"
        assert out[n] == "bf16" or p.shape[1] % BLOCK == 0, f"{n}: rows of {p.shape[1]} are no whole blocks"
    return out


FORMATS = ["bf16", "q8_0", "q4_0+q8_0"]
