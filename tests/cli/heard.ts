/** The random speech model hears nonsense; what it has heard is kept, and can be exchanged there for what is really said. */
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The files of what was heard. @param home LODESTONE_HOME of the runs */
export function heardFiles(home: string): string[] {
  const folder = path.join(home, 'cache', 'speech');
  return readdirSync(folder).map((name) => path.join(folder, name));
}

/** One sentence, a word a second from one minute on. */
export function hearInstead(home: string, said: string): void {
  const words = said.split(' ').map((word, i) => ({ text: ` ${word}`, from: 60 + i, to: 61 + i, probability: 1 }));
  const end = 60 + words.length;
  const window = { segments: [{ from: 60, to: end, text: said, words, probability: 1 }], heard: end, language: 'en', repeated: false };
  for (const file of heardFiles(home)) writeFileSync(file, `${JSON.stringify(window)}\n{"done":true}\n`);
}
