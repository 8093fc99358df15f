/** The random image model, with a tokenizer and room for a prompt. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixtureDir } from '../runtime/fixture.js';
import { imageDir } from '../runtime/image-fixture.js';

/** @param dir in which it is put */
export function writeImageModel(dir: string): void {
  const config = JSON.parse(readFileSync(join(imageDir, 'config.json'), 'utf8')) as { text_config: Record<string, unknown> };
  config.text_config['max_position_embeddings'] = 2048;
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  copyFileSync(join(imageDir, 'model.safetensors'), join(dir, 'model.safetensors'));
  copyFileSync(join(fixtureDir, 'tokenizer.json'), join(dir, 'tokenizer.json'));
}
