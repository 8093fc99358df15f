"""Once: corpora -> one prepared file, with books and articles as sentences, mined names and words, question-answer rows, and
WordNet's synonyms. Whatever the evaluation uses is left out here: its cities, its books, and every text that shares
twelve words in a row with a paragraph of --exclude (SQuAD's development set)."""
import argparse
import json
import pickle
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

import wordnet
from lexicon import STOP, city_pattern, load_cities

HELD_OUT_BOOKS = ["dracula", "walden_", "three-men-in-a-boat", "roughing-it", "the-voyage-of-the-beagle"]
QA_FILES = ["squadshifts_new_wiki", "qamr", "fairytaleqa", "qasrl_gs", "qadiscourse", "qed_nq", "tatqa", "covidqa", "timeqa"]
ARTICLES = ("TimeQA", "COVID-QA")     # sources of whole documents in docs.jsonl that are plain expository prose
SHINGLE = 12


def sentences(paragraph):
    return [s for s in re.split(r"(?<=[.!?;][\"”’')])\s+|(?<=[.!?;])\s+(?=[\"“‘'(A-Z])", paragraph) if s and s.strip()]


def shingles(text):
    words = re.findall(r"\w+", text.lower())
    return {hash(" ".join(words[i:i + SHINGLE])) for i in range(max(0, len(words) - SHINGLE + 1))}


def paragraphs(text, unwanted):
    """List of paragraphs, each a list of sentences; those that `unwanted` names are dropped."""
    out = []
    for p in re.split(r"\n\s*\n|\n", text):
        p = " ".join(p.split())
        if 20 <= len(p) <= 4000 and not unwanted(p):
            out.append(sentences(p))
    return out


def squad_paragraphs(path):
    """Contexts of a SQuAD file."""
    return [p["context"] for a in json.loads(Path(path).read_text(encoding="utf-8"))["data"] for p in a["paragraphs"]]


def read_rows(path, unwanted):
    """Rows of one question-answer file by context: [(context, [(question, start, end)])]."""
    groups = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        r = json.loads(line)
        if r["type"] != "span" or r["split"] != "train" or not r["answers"]:
            continue
        if len(r["context"]) > 2400 or len(r["question"]) > 160 or unwanted(r["context"]) or unwanted(r["question"]):
            continue
        i = r["context"].find(r["answers"][0])
        if i < 0 or len(r["answers"][0]) > 80:
            continue
        groups[r["context"]].append((r["question"], i, i + len(r["answers"][0])))
    return list(groups.items())


def prepare(corpora, cities, exclude, wordnet_folder, out):
    corpora = Path(corpora)
    cities = load_cities(cities)
    forbidden = city_pattern(cities)
    city_words = {w.lower() for c in cities for w in c.split()}
    evaluation = set().union(*(shingles(p) for p in squad_paragraphs(exclude))) if exclude else set()
    unwanted = lambda text: bool(forbidden.search(text)) or not evaluation.isdisjoint(shingles(text))
    books, held = {}, {}
    names, words, phrases = Counter(), Counter(), []
    rng = random.Random(0)
    for path in sorted(corpora.glob("*.txt")):
        text = path.read_text(encoding="utf-8", errors="ignore")
        if any(path.name.startswith(h) for h in HELD_OUT_BOOKS):
            held[path.stem] = paragraphs(text, lambda p: bool(forbidden.search(p)))
            continue
        book = books[path.stem] = paragraphs(text, unwanted)
        for p in book:
            for s in p:
                for m in re.finditer(r"(?<=[a-z,] )([A-Z][a-z]{2,13})\b", s):
                    names[m.group(1)] += 1
                w = re.findall(r"\b[a-z]{3,14}\b", s)
                words.update(w)
                if rng.random() < 0.03 and len(w) > 8:
                    n = rng.randint(2, 5)
                    i = rng.randrange(0, max(1, len(s) - 60))
                    m = re.search(r"(?<= )[a-z]{3,}( [a-z]{2,}){%d}(?=[ ,.;])" % (n - 1), s[i:])
                    if m:
                        phrases.append(m.group(0))
    articles = {}
    docs = corpora / "docs.jsonl"
    for line in docs.read_text(encoding="utf-8").splitlines() if docs.exists() else ():
        d = json.loads(line)
        if d["source"].startswith(ARTICLES):
            articles[d["doc_id"]] = paragraphs(d["text"], unwanted)
    known = {w for w, c in words.items() if c >= 40}
    names = [n for n, c in names.items() if c >= 2 and n.lower() not in city_words and words[n.lower()] < c]
    usual = [w for w, c in words.items() if 15 <= c <= 3000 and len(w) > 3 and w not in STOP and w not in city_words]
    qa = {f: read_rows(corpora / f"{f}.jsonl", unwanted) for f in QA_FILES if (corpora / f"{f}.jsonl").exists()}
    thesaurus = wordnet.load(wordnet_folder) if wordnet_folder else ({p: {} for p in wordnet.POS}, {}, {})
    pickle.dump({"books": books, "held": held, "articles": articles, "names": sorted(names), "words": sorted(usual),
                 "phrases": sorted(set(phrases)), "qa": qa, "cities": cities, "thesaurus": thesaurus, "known": known}, open(out, "wb"))
    print("books", len(books), "held out", len(held), "articles", len(articles), "names", len(names), "words", len(usual),
          "phrases", len(phrases), "qa", {k: (len(v), sum(len(q) for _, q in v)) for k, v in qa.items()})


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--corpora", required=True, help="folder of books *.txt, docs.jsonl and question-answer rows *.jsonl")
    ap.add_argument("--cities", required=True, help="cities.json of the recall evaluation")
    ap.add_argument("--exclude", help="SQuAD file whose paragraphs must not occur")
    ap.add_argument("--wordnet", default="/usr/share/wordnet", help="WordNet's dict folder")
    ap.add_argument("--out", default="work/prepared.pkl")
    a = ap.parse_args()
    Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    prepare(a.corpora, a.cities, a.exclude, a.wordnet, a.out)
