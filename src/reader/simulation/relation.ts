/** What a passage is to a question, by the hidden sentences that it holds. */
import type { CorpusQuestion, Relation, SimulatedCorpus } from './corpus.js';

/** A sentence counts as held from this share of its characters on. */
const HELD = 0.75;

const STRENGTH: readonly (Relation | 'none')[] = ['none', 'near', 'half', 'first', 'evidence'];

/** @param from [from, to) of the text of leaves first to last, one after another */
export function relationOf(corpus: SimulatedCorpus, question: CorpusQuestion, span: readonly [number, number], from: number, to: number): Relation | 'none' {
  let best: Relation | 'none' = 'none';
  let halves = 0;
  let offset = 0;
  for (let leaf = span[0]; leaf <= span[1]; leaf++) {
    const text = corpus.text(leaf);
    for (const planted of corpus.plantedIn(leaf)) {
      const own = question.planted.includes(planted);
      if (!own && planted.phrasing !== question.phrasing) continue;
      const start = offset + text.indexOf(planted.sentence);
      const held = Math.min(to, start + planted.sentence.length) - Math.max(from, start);
      if (held < HELD * planted.sentence.length) continue;
      const relation = own ? planted.relation : 'near';
      if (relation === 'half') halves++;
      if (STRENGTH.indexOf(relation) > STRENGTH.indexOf(best)) best = relation;
    }
    offset += text.length;
  }
  return halves === 2 ? 'evidence' : best;
}
