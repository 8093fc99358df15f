"""First weights from an earlier model that had another tokenizer.

What the layers learned, to match words with words and to copy, does not depend on which vectors stand for which tokens. So the
layers are taken as they are; a token that both vocabularies have keeps its vector, and a new one gets the sum of its old pieces',
at a usual length. A share of every vector is then exchanged for what the token means (embeddings.py), turned at random. Without
one training step the old model's accuracy stays what it was, up to a share of a quarter (0.5 of the length)."""
import argparse

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from data import SPECIAL


def transplant(old, old_tok, new_tok, meaning, share):
    """Embedding [new vocabulary, d] from the old one [old vocabulary, d]; `meaning` rows of unit length; `share` of their length."""
    vocabulary = old_tok.get_vocab()
    rows = []
    for piece, i in sorted(new_tok.get_vocab().items(), key=lambda x: x[1]):
        if piece in vocabulary:
            rows.append(old[vocabulary[piece]])
        else:
            parts = old[old_tok.encode(new_tok.decode([i], skip_special_tokens=False), add_special_tokens=False).ids]
            whole = parts.sum(0)
            rows.append(whole / whole.norm() * parts.norm(dim=1).mean())
    e = torch.stack(rows)
    d = e.shape[1]
    turn, _ = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(1)))
    mixed = (1 - share ** 2) ** 0.5 * e + share * e.norm(dim=1, keepdim=True) * (meaning @ turn)
    mixed[:len(SPECIAL)] = e[:len(SPECIAL)]
    return mixed


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--model", required=True, help="folder of the earlier model")
    ap.add_argument("--tokenizer", default="work/tokenizer.json")
    ap.add_argument("--meaning", default="work/meaning.pt")
    ap.add_argument("--share", type=float, default=0.5)
    ap.add_argument("--out", default="work/init.pt")
    a = ap.parse_args()
    weights = {k.removeprefix("model."): v.float() for k, v in load_file(f"{a.model}/model.safetensors").items()}
    weights["embed_tokens.weight"] = transplant(weights["embed_tokens.weight"], Tokenizer.from_file(f"{a.model}/tokenizer.json"),
                                                Tokenizer.from_file(a.tokenizer), torch.load(a.meaning), a.share)
    torch.save(weights, a.out)
