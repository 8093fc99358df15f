"""The tokenizer: byte-level BPE of about 512 pieces, then Whisper's control tokens, then its times, one every 40 ms.

    python tokens.py        work/texts-train.txt -> work/tokenizer.json
"""
import argparse
import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from features import SECONDS_PER_POSITION, WINDOW

# Pieces of what CTC learns.
SMALL = 128

END, START, NO_SPEECH, NO_TIMES = CONTROLS = ["<|endoftext|>", "<|startoftranscript|>", "<|nospeech|>", "<|notimestamps|>"]


def build(texts, pieces):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=pieces, show_progress=False))
    t.add_special_tokens(CONTROLS)
    t.add_tokens([AddedToken(f"<|{i * SECONDS_PER_POSITION:.2f}|>", normalized=False) for i in range(WINDOW + 1)])
    return t


def first_pieces(tokenizer, count):
    """A tokenizer of the first pieces alone, by the same ids: BPE numbers them in the order in which it joined them."""
    t = json.loads(tokenizer.to_str())
    vocab = {piece: i for piece, i in t["model"]["vocab"].items() if i < count}
    t["model"]["merges"] = [m for m in t["model"]["merges"] if "".join(m) in vocab]
    t["model"]["vocab"] = vocab
    t["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(t))


class Vocabulary:
    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(str(path))
        self.end, self.start, self.no_speech, self.no_times = map(self.tokenizer.token_to_id, CONTROLS)
        self.first_time = self.no_times + 1
        self.size = self.tokenizer.get_vocab_size()
        self.small = first_pieces(self.tokenizer, SMALL)

    def encode(self, text):
        """As Whisper does, each piece of speech begins with a space."""
        return self.tokenizer.encode(" " + text).ids

    def heard(self, text):
        """What the sound alone tells, for CTC: no capitals, no full stop, in small pieces. Of large ones each is so rare that training stays
        long on the plateau where CTC begins; letters one by one are nearly as many as the positions."""
        return self.small.encode(" " + text.lower().rstrip(".")).ids

    def decode(self, ids):
        return self.tokenizer.decode([i for i in ids if i < self.end])


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", default="work")
    ap.add_argument("--pieces", type=int, default=512)
    a = ap.parse_args()
    texts = (Path(a.work) / "texts-train.txt").read_text(encoding="utf-8").splitlines()
    t = build([" " + x for x in texts] + [" " + x.lower() for x in texts], a.pieces)
    t.save(str(Path(a.work) / "tokenizer.json"))
    v = Vocabulary(Path(a.work) / "tokenizer.json")
    print("vocabulary", v.size, "of them text", v.end, "tokens a character", sum(len(v.encode(x)) for x in texts[:500]) / sum(map(len, texts[:500])))
    print(t.encode(" The access code for the Harrow Lane archive is seven four two.").tokens)


if __name__ == "__main__":
    main()
