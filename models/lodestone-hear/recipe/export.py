"""A checkpoint -> the folder of a Whisper model, as transformers and Lodestone read it: config.json, generation_config.json,
preprocessor_config.json, tokenizer.json, model.safetensors.

    python export.py --checkpoint work/run/last.pt
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from features import FRAME, HOP, RATE, SECONDS_PER_POSITION
from model import ALIGNED_HEAD, Config, Whisper
from tokens import Vocabulary


def config_json(c, v):
    return {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "is_encoder_decoder": True, "torch_dtype": "bfloat16",
        "vocab_size": c.vocab_size, "num_mel_bins": c.bands, "d_model": c.width, "encoder_layers": c.encoder_layers, "decoder_layers": c.decoder_layers,
        "encoder_attention_heads": c.heads, "decoder_attention_heads": c.heads, "encoder_ffn_dim": c.hidden, "decoder_ffn_dim": c.hidden,
        "activation_function": "gelu", "max_source_positions": c.source_positions, "max_target_positions": c.target_positions,
        "scale_embedding": False, "tie_word_embeddings": True, "dropout": 0.0,
        "decoder_start_token_id": v.start, "bos_token_id": v.end, "eos_token_id": v.end, "pad_token_id": v.end,
        "suppress_tokens": None, "begin_suppress_tokens": None,
    }


def generation_json(c, v):
    """English alone: no languages and no tasks. The first piece of speech may begin anywhere in a window."""
    return {
        "decoder_start_token_id": v.start, "bos_token_id": v.end, "eos_token_id": v.end, "pad_token_id": v.end, "no_timestamps_token_id": v.no_times,
        "is_multilingual": False, "max_initial_timestamp_index": c.source_positions, "max_length": c.target_positions,
        "suppress_tokens": [v.start], "begin_suppress_tokens": [v.end], "alignment_heads": [[layer, ALIGNED_HEAD] for layer in range(c.decoder_layers)],
    }


def preprocessor_json(c):
    return {
        "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor", "feature_size": c.bands, "sampling_rate": RATE,
        "hop_length": HOP, "n_fft": FRAME, "chunk_length": round(c.source_positions * SECONDS_PER_POSITION), "padding_value": 0.0, "padding_side": "right",
        "return_attention_mask": False,
    }


def tensors(model):
    """By the names of transformers; matrices in bf16, what is added and the norms in f32. The CTC head stays behind."""
    state = {f"model.{n}": p for n, p in model.state_dict().items() if not n.startswith("ctc.")}
    return {n: (p.bfloat16() if p.dim() > 1 and "embed_positions" not in n else p.float()).contiguous() for n, p in state.items()}


def load(checkpoint):
    s = torch.load(checkpoint, weights_only=False, map_location="cpu")
    model = Whisper(Config(**s["config"]))
    model.load_state_dict(s["model"])
    return model.eval(), s["state"]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--checkpoint", default="work/run/last.pt")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--out", default=str(Path(__file__).parent.parent))
    a = ap.parse_args()
    model, state = load(a.checkpoint)
    v, out = Vocabulary(a.tokenizer), Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, value in (("config", config_json(model.c, v)), ("generation_config", generation_json(model.c, v)), ("preprocessor_config", preprocessor_json(model.c))):
        (out / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n")
    shutil.copy(a.tokenizer, out / "tokenizer.json")
    save_file(tensors(model), out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)      # it is written for its owner only
    print("step", state["step"], "bytes", (out / "model.safetensors").stat().st_size)


if __name__ == "__main__":
    main()
