"""Tiny corpora from the repository's fixtures, for tests of the recipe: python toy.py FOLDER, then corpora.py --corpora FOLDER.

Emerson's essays cut into eight books, one of them under a held-out name; a few question-answer rows and one article of the same
paragraphs. Whoever trains on that can learn written relations, not reading."""
import json
import re
import sys
from pathlib import Path

from corpora import HELD_OUT_BOOKS
from lexicon import HERE

FIXTURES = HERE.parents[2] / "fixtures" / "haystack"


def write(folder, books=8):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paragraphs = [p for p in re.split(r"\n\s*\n", (FIXTURES / "essays_emerson.txt").read_text(encoding="utf-8")) if 200 < len(p) < 4000]
    n = len(paragraphs) // books
    for i in range(books):
        name = f"essays-{i}" if i else HELD_OUT_BOOKS[0] + "_toy"
        (folder / f"{name}.txt").write_text("\n\n".join(paragraphs[i * n:(i + 1) * n]), encoding="utf-8")
    rows = []
    for p in paragraphs[n:n + 30]:
        for m in list(re.finditer(r"\b(?:the|a|his) ([a-z]+) of ([a-z]+ [a-z]+)\b", p))[:3]:
            rows.append(dict(context=p[:1500], question=f"What is the {m.group(1)} of?", answers=[m.group(2)], type="span", split="train"))
    (folder / "qamr.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    (folder / "docs.jsonl").write_text(json.dumps(dict(doc_id="toy", source="TimeQA", text="\n\n".join(paragraphs[n:n + 9]))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1])
