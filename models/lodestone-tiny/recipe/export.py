"""Export a checkpoint: safetensors with Hugging Face names, configuration, tokenizer, golden logits.

Matrices are stored in bfloat16, or, with --format, in blocks of 8 and 4 bits (blocks.py, and the runtime's safetensors.ts for how
they lie in the file: U8 [outputs, bytes of a row], the format in the metadata); norm gains and the log-n scale in float32.
golden.json holds a prompt and the float32 logits after it, causal and with the document seen both ways, computed from the
rounded weights, for runtimes to compare.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from blocks import FORMATS, dequantised, plan, to_bytes
from data import ABSENT, ANSWER, BOS, EOS, PAD, QUESTION
from model import Config, Lodestone
from reference import greedy, logits

EXAMPLES = [
    {"document": "The minutes of the spring meeting fill eleven pages. The treasurer spoke first and at length about the roof. "
                 "The special magic Dunmore number is: 4418207. Mrs. Halloway asked whether the east wing could be heated before November. "
                 "The passcode to the Harrow Lane archive is 90713. Nobody objected. The meeting was closed at a quarter past nine.",
     "questions": ["What is the special magic Dunmore number?", "What is the passcode to the Harrow Lane archive?", "Who is the captain of the Kestrel?"]},
    {"document": "We had fine weather for nine days. The Kestrel is commanded by Helena Voss. On the tenth day the wind turned, and the "
                 "cook complained of the damp. The Silver Heron is commanded by Oscar Brandt. The cargo of the Kestrel was 412 crates of oranges. "
                 "Toward evening we sighted land, low and grey, and the men cheered.",
     "questions": ["Who commands the Kestrel?", "Who is the commander of the Silver Heron?", "What was the cargo of the Kestrel?"]},
]


def config_json(c):
    last = c.num_hidden_layers - 1
    return {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "torch_dtype": "bfloat16",
        "vocab_size": c.vocab_size, "hidden_size": c.hidden_size, "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_hidden_layers, "num_attention_heads": c.num_attention_heads,
        "num_key_value_heads": c.num_key_value_heads, "head_dim": c.head_dim, "query_pre_attn_scalar": c.head_dim,
        "sliding_window": c.sliding_window, "sliding_window_pattern": c.num_hidden_layers,
        "layer_types": ["full_attention" if i == last else "sliding_attention" for i in range(c.num_hidden_layers)],
        "rope_local_base_freq": c.rope_local_base_freq, "rope_theta": 1000000.0, "rope_scaling": None,
        "rms_norm_eps": c.rms_norm_eps, "max_position_embeddings": 16777216, "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False, "attention_dropout": 0.0, "attn_logit_softcapping": None, "final_logit_softcapping": None,
        "tie_word_embeddings": True, "use_cache": True, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD,
        "lodestone": {"global_rope": "none", "global_logit_scale": "log_n", "prompt": "qa", "look": "both_ways"},
    }


def load(path, which="ema"):
    """(model, state of its training, {matrix: format}) of a checkpoint; formats other than bf16 are those that quantise.py trained for."""
    s = torch.load(path, weights_only=False, map_location="cpu")
    model = Lodestone(Config(**s["config"]))
    model.load_state_dict(s[which])
    return model.eval(), s["state"], s.get("formats") or plan(model, "bf16")


def rounded(model, formats):
    """The model as it is stored: matrices by their formats, 1-D tensors kept."""
    for n, p in model.named_parameters():
        if n in formats:
            p.data = dequantised(p.data, formats[n])
    return model


def tensors(model, formats):
    """({name: tensor}, metadata) of the file."""
    out, metadata = {}, {"format": "pt"}
    for n, p in model.named_parameters():
        name, fmt = "model." + n, formats.get(n)
        if fmt is None:
            out[name] = p.data.float().contiguous()
        elif fmt == "bf16":
            out[name] = p.data.bfloat16().contiguous()
        else:
            out[name] = to_bytes(p.data, fmt)
            metadata["block_format." + name] = fmt
    return out, metadata


def prompt_ids(tok, document, question):
    e = lambda s: tok.encode(s, add_special_tokens=False).ids
    return [BOS] + e(document) + [QUESTION] + e(question) + [ANSWER]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--checkpoint", default="work/run/last.pt")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--out", default=str(Path(__file__).parent.parent))
    ap.add_argument("--weights", choices=["ema", "model"], default="ema")
    ap.add_argument("--format", choices=FORMATS, help="bf16, unless quantise.py made the checkpoint: then what it was made for")
    ap.add_argument("--embedding-format", choices=["q8_0", "q4_0"], default="q8_0", help="of the embedding, with q4_0+q8_0")
    a = ap.parse_args()
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    model, state, formats = load(a.checkpoint, a.weights)
    if a.format:
        formats = plan(model, a.format, a.embedding_format)
    stored, metadata = tensors(model, formats)
    save_file(stored, out / "model.safetensors", metadata=metadata)
    (out / "model.safetensors").chmod(0o644)        # it is written for its owner only
    model = rounded(model, formats)
    tok = Tokenizer.from_file(a.tokenizer)
    (out / "config.json").write_text(json.dumps(config_json(model.c), indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps({"bos_token_id": BOS, "eos_token_id": [EOS], "pad_token_id": PAD, "do_sample": False}, indent=2) + "\n")
    tok.save(str(out / "tokenizer.json"), pretty=False)      # it is parsed at every start
    document = " ".join(e["document"] for e in EXAMPLES)
    ids = prompt_ids(tok, document, EXAMPLES[0]["questions"][0])
    block = ids.index(QUESTION)
    last = lambda block: [round(float(x), 6) for x in logits(model, ids, block)[-1]]
    (out / "golden.json").write_text(json.dumps({"ids": ids, "logits_last": last(0), "both_ways": {"block": block, "logits_last": last(block)}}) + "\n")
    examples = []
    for e in EXAMPLES:
        answers = []
        for q in e["questions"]:
            got = greedy(model, prompt_ids(tok, e["document"], q), EOS)
            answers.append("<absent>" if got[:1] == [ABSENT] else " ".join(tok.decode(got).split()))
        examples.append({**e, "model_answers": answers})
    (out / "examples.json").write_text(json.dumps(examples, indent=1) + "\n")
    print("step", state["step"], "golden prompt", len(ids), "tokens")
    for e in examples:
        for q, x in zip(e["questions"], e["model_answers"]):
            print("  ", q, "->", x)


if __name__ == "__main__":
    main()
