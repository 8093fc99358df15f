"""Exports a checkpoint as a Gemma 3 that sees: SigLIP's tensors, the projector, and the rows of the text model's embedding.

    python export.py --checkpoint work/run/last.pt [--text ../../lodestone-tiny] [--out ..]
    python export.py --refold                          after the text model's embedding has changed: the same readings with new rows

The tower is trained with an output layer C [classes, width] of its own. The text model's rows E [classes, d] of the same pieces are
more dimensions than classes, so that P = pinv(E) C is a projection with which the soft tokens give the same logits through the embedding:
E (P x) = C x. The tower's matrices are stored in bfloat16, vectors and the projection in float32; golden.json holds pictures of the fixtures
and what is read in them.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from alphabet import CHARACTERS, PIECES
from overlays import CELL, GRID
from tower import Config, Tower

PROJECTION = "multi_modal_projector.mm_input_projection_weight"
ROWS = "language_model.model.embed_tokens.weight"


def rows_of(text):
    """The text model's embedding of the classes' pieces [classes, d], as stored (bfloat16)."""
    vocabulary = json.loads((text / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return load_file(text / "model.safetensors")["model.embed_tokens.weight"][[vocabulary[p] for p in PIECES]].contiguous()


def fold(classes, rows):
    """P^T [width, d], as Gemma 3 stores a projection, with rows @ P = classes."""
    return (torch.linalg.pinv(rows.double()) @ classes.double()).T.float().contiguous()


def tensors(model, rows):
    half = lambda w: w.detach().to(torch.bfloat16).contiguous()
    vector = lambda v: v.detach().float().contiguous()
    tower = "vision_tower.vision_model."
    out = {
        f"{tower}embeddings.patch_embedding.weight": half(model.patch.weight.view(-1, 3, CELL, CELL)),
        f"{tower}embeddings.patch_embedding.bias": vector(model.patch.bias),
        f"{tower}embeddings.position_embedding.weight": vector(model.positions),
        f"{tower}post_layernorm.weight": vector(model.post_layernorm.weight),
        f"{tower}post_layernorm.bias": vector(model.post_layernorm.bias),
        "multi_modal_projector.mm_soft_emb_norm.weight": vector(model.soft_norm),
        PROJECTION: fold(model.rows.weight.detach(), rows),
        ROWS: rows,
    }
    for name, p in model.layers.state_dict().items():
        out[f"{tower}encoder.layers.{name}"] = half(p) if p.dim() == 2 else vector(p)
    return out


def config(c, text):
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "torch_dtype": "bfloat16",
        "vision_config": {
            "model_type": "siglip_vision_model", **c.to_dict(), "hidden_act": "gelu_pytorch_tanh", "num_channels": 3,
            "image_size": CELL * GRID, "patch_size": CELL, "vision_use_head": False, "attention_dropout": 0.0,
        },
        "mm_tokens_per_image": GRID * GRID,
        "text_config": json.loads((text / "config.json").read_text(encoding="utf-8")),
        "lodestone": {"characters": "".join(CHARACTERS)},
    }


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = ap.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint")
    what.add_argument("--refold", action="store_true")
    ap.add_argument("--text", default=Path(__file__).parents[2] / "lodestone-tiny", type=Path)
    ap.add_argument("--out", default=Path(__file__).parents[1], type=Path)
    a = ap.parse_args()
    rows = rows_of(a.text)
    a.out.mkdir(parents=True, exist_ok=True)
    file = a.out / "model.safetensors"
    if a.refold:
        stored = load_file(file)
        stored[PROJECTION] = fold(stored[ROWS].double() @ stored[PROJECTION].double().T, rows)
        stored[ROWS] = rows
        c = Config(**{k: v for k, v in json.loads((a.out / "config.json").read_text())["vision_config"].items() if k in Config.__dataclass_fields__})
    else:
        s = torch.load(a.checkpoint)
        c = Config(**s["config"])
        model = Tower(c)
        model.load_state_dict(s["ema"])
        stored = tensors(model, rows)
    save_file(stored, file, metadata={"format": "pt"})
    (a.out / "config.json").write_text(json.dumps(config(c, a.text), indent=2) + "\n", encoding="utf-8")
    print(f"{file}: {sum(t.numel() for t in stored.values()) / 1e6:.2f} million numbers, {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
