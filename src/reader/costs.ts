/** What readings are expected to take, before they are made. */
import type { Level } from './reading-state.js';

/** Tokens for a level of a leaf (or leaf and neighbours) of so many characters, or for one passage, behind a lead of so many. */
export type CostOf = (level: Level | 'passage', characters: number, lead: number) => number;

/** Of English, with the embedded model's tokenizer. */
const CHARACTERS_PER_TOKEN = 4;

export function textTokens(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/** `<bos>` or `<question>`, and `<answer>`. */
const AROUND = 3;

/** Of an extractive model, which reads passages one by one, each with the question (`passagesOf`). */
export function extractiveCost(question: string): CostOf {
  const asked = textTokens(question.length) + AROUND;
  const passage = (characters: number, lead: number): number => textTokens(characters) + textTokens(lead) + asked;
  return (level, characters, lead) => {
    if (level === 'passage') return passage(characters, lead);
    const lengths = level === 'skim' ? [400] : [260, 260, 400, 400];
    return lengths.reduce((sum, length) => sum + passage(Math.min(length, characters), lead), 0);
  };
}

/** The question's own words to a chat model, and its answer. */
const CHAT_FORM = 120;

/** Of a chat model, which reads leaf after leaf in one context, and the question anew behind each. */
export function chatCost(question: string): CostOf {
  const asked = textTokens(question.length) + CHAT_FORM;
  return (level, characters) => textTokens(level === 'skim' ? Math.min(400, characters) : characters) + asked;
}
