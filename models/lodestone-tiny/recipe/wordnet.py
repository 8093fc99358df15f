"""Synonyms and base forms from WordNet 3.0's files (Princeton; a permissive licence), for questions that do not say a fact
in the fact's own words. Only single lower-case words; the first senses of a lemma only, since rarer ones mislead."""
import re
from collections import defaultdict
from pathlib import Path

POS = ["noun", "verb", "adj", "adv"]
SENSES = {"noun": 1, "verb": 2, "adj": 1, "adv": 1}   # how many of a lemma's senses may lend their synonyms
WORD = re.compile(r"[a-z]{3,}")


def load(folder):
    """WordNet's dict folder -> (synonyms {pos: {lemma: [lemma]}}, derived {lemma: [lemma]}, irregular {form: lemma}).
    A lemma is under the parts of speech in which it is usual: those with a third of its tagged senses or more."""
    folder = Path(folder)
    synonyms, irregular, tagged = {p: {} for p in POS}, {}, defaultdict(dict)
    words_at, links = {}, []        # (pos letter, offset) -> words; (source word, pos letter, offset, index of the target)
    for pos in POS:
        for line in (folder / f"data.{pos}").read_text(encoding="latin-1").splitlines():
            if line.startswith(" "):
                continue
            f = line.split(" | ")[0].split()
            n = int(f[3], 16)
            words = [re.sub(r"\(.*\)", "", f[4 + 2 * i]) for i in range(n)]
            words_at[pos[0], f[0]] = words
            p = 4 + 2 * n
            for symbol, offset, letter, ends in zip(*[iter(f[p + 1:p + 1 + 4 * int(f[p])])] * 4):
                if symbol == "+":
                    links.append((words[int(ends[:2], 16) - 1], letter, offset, int(ends[2:], 16) - 1))
        for line in (folder / f"index.{pos}").read_text(encoding="latin-1").splitlines():
            f = line.split()
            if line.startswith(" ") or not WORD.fullmatch(f[0]):
                continue
            lemma, n = f[0], int(f[2])
            tagged[lemma][pos] = int(f[-n - 1])
            same = {w for offset in f[-n:][:SENSES[pos]] for w in words_at[pos[0], offset]}
            synonyms[pos][lemma] = sorted(w for w in same if WORD.fullmatch(w) and w != lemma)
        for line in (folder / f"{pos}.exc").read_text(encoding="latin-1").splitlines():
            form, lemma = line.split()[:2]
            if WORD.fullmatch(form) and WORD.fullmatch(lemma):
                irregular[form] = lemma
    for lemma, counts in tagged.items():
        for pos, n in counts.items():
            if n < max(counts.values()) / 3:
                del synonyms[pos][lemma]
    derived = defaultdict(set)
    for source, letter, offset, i in links:
        words = words_at.get(("a" if letter == "s" else letter, offset), [])
        target = words[i] if i < len(words) else ""
        if WORD.fullmatch(source) and WORD.fullmatch(target) and source != target:
            derived[source].add(target)
    return synonyms, {k: sorted(v) for k, v in derived.items()}, irregular


class Thesaurus:
    """Other words for a word. `known` limits them to words that the corpora use."""

    def __init__(self, synonyms, derived, irregular, known=None):
        keep = (lambda words: [w for w in words if w in known]) if known else (lambda words: words)
        self.lemmas = set(derived) | set(irregular.values()) | {w for p in synonyms.values() for w in p}
        self.synonyms = {p: {k: v for k, v in ((k, keep(v)) for k, v in of.items()) if v} for p, of in synonyms.items()}
        self.derived = {k: v for k, v in ((k, keep(v)) for k, v in derived.items()) if v}
        self.irregular = irregular

    def base(self, word):
        """(lemma, ending) of an inflected word: regular endings and WordNet's list of exceptions."""
        if word in self.irregular:
            return self.irregular[word], ""
        for ending, tries in (("ies", ["y"]), ("ied", ["y"]), ("es", ["", "e"]), ("s", [""]), ("ed", ["", "e"]), ("ing", ["", "e"])):
            if word.endswith(ending) and len(word) > len(ending) + 2:
                stem = word[: -len(ending)]
                doubled = [stem[:-1]] if len(stem) > 3 and stem[-1] == stem[-2] else []
                for lemma in doubled + [stem + t for t in tries]:
                    if lemma in self.lemmas:
                        return lemma, {"ies": "s", "ied": "ed", "es": "s"}.get(ending, ending)
        return word, ""

    @staticmethod
    def inflect(lemma, ending):
        if not ending:
            return lemma
        if ending == "s":
            return lemma[:-1] + "ies" if re.search(r"[^aeiou]y$", lemma) else lemma + ("es" if re.search(r"(s|x|z|ch|sh)$", lemma) else "s")
        if lemma.endswith("e"):
            return lemma[:-1] + ending
        if ending == "ed" and re.search(r"[^aeiou]y$", lemma):
            return lemma[:-1] + "ied"
        return lemma + ending

    def vary(self, word, r):
        """The base form, a synonym or a derived word of a lower-case word; the word itself where there is none."""
        if not WORD.fullmatch(word):
            return word
        lemma, ending = self.base(word)
        k = r.random()
        if k < .25:
            return lemma
        if k < .4 and lemma in self.derived:
            return r.choice(self.derived[lemma])
        kinds = ["verb"] if ending in ("ed", "ing") or word in self.irregular else POS
        choices = [w for p in kinds for w in self.synonyms[p].get(lemma, ())]
        if choices:
            return self.inflect(r.choice(choices), ending if r.random() < .7 else "")
        return lemma if k < .6 else word
