/** What a user does wrong, or has done to him: the right exit code, one clear line, no stack trace, no hang. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deflateSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { bigText, lodestone, modelWith, scratch, type Outcome } from './run.js';

const report = path.join(packageRoot, 'fixtures', 'long-report.pdf');
let dir: string;
beforeAll(() => {
  dir = scratch();
});

function inDir(name: string, content: string | Uint8Array): string {
  const file = path.join(dir, name);
  writeFileSync(file, content);
  return file;
}

function expectRefusal(outcome: Outcome, code: number, message: RegExp): void {
  expect(outcome.stderr.trim()).toMatch(message);
  expect(outcome.stderr.trim().split('\n')).toHaveLength(1);
  expect(outcome.stderr).not.toMatch(/\n\s+at |node:internal|Error:/u);
  expect(outcome.stdout).toBe('');
  expect(outcome.code).toBe(code);
}

/** A PDF whose only page draws what `content` says; content is deflated when `inflatesTo` asks for a bomb. */
function pdfWith(stream: Uint8Array, filter: string): Uint8Array {
  const head = '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n' +
    '3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n' +
    '5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n' +
    `4 0 obj<</Length ${stream.length}${filter}>>stream\n`;
  const tail = '\nendstream endobj\ntrailer<</Root 1 0 R/Size 6>>\n%%EOF\n';
  return Buffer.concat([Buffer.from(head, 'latin1'), stream, Buffer.from(tail, 'latin1')]);
}

describe('usage', () => {
  it('no question', async () => {
    const outcome = await lodestone(['ask']);
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toMatch(/missing required argument 'question'/u);
  });
  it('empty question', async () => expectRefusal(await lodestone(['ask', '  ', report]), 2, /question is empty/u));
  it('a verb answers in the form of the program: what is wrong, and where help is', async () => {
    for (const args of [['ask'], ['ask', 'q', report, '--nonsense'], ['ask', 'q', '--top-p', '7'], ['nonsense']]) {
      const { code, stdout, stderr } = await lodestone(args);
      expect(stderr).toMatch(/^lodestone: [^\n]+\n\(lodestone --help shows how to use it\)\n$/u);
      expect(stdout).toBe('');
      expect(code).toBe(2);
    }
  });
  it('unknown option', async () => expect((await lodestone(['ask', 'q', report, '--nonsense'])).code).toBe(2));
  it('unknown verb', async () => expect((await lodestone(['nonsense'])).code).toBe(2));
  it('a number that is none', async () => expect((await lodestone(['ask', 'q', report, '--top-p', '7'])).code).toBe(2));
  it('pages that are none', async () => expect((await lodestone(['ask', 'q', report, '--pages', '9-3'])).code).toBe(2));
  it('help and version', async () => {
    expect((await lodestone(['--help'])).code).toBe(0);
    expect((await lodestone(['ask', '--help'])).stdout).toMatch(/Usage: lodestone ask/u);
    expect((await lodestone(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/u);
  });
});

describe('input', () => {
  it('missing file', async () => expectRefusal(await lodestone(['ask', 'Who?', path.join(dir, 'nowhere.pdf')]), 7, /nowhere\.pdf/u));
  it('a name that is empty, or steers the terminal', async () => {
    expectRefusal(await lodestone(['ask', 'Who?', '']), 7, /^lodestone: "" does not exist/u);
    expectRefusal(await lodestone(['ask', 'Who?', report, '-m', '']), 6, /^lodestone: "": no such model/u);
    const { stderr, code } = await lodestone(['ask', 'Who?', report, '-m', '\u001b[2Jnowhere\u202e']);
    expect(stderr).toMatch(/^lodestone: \[2Jnowhere: no such model directory, and no Gemma 3 of that name[^\n]*\n$/u);
    expect(code).toBe(6);
  });
  it('empty file', async () => expectRefusal(await lodestone(['ask', 'Who?', inDir('empty.txt', '')]), 7, /empty\.txt.*empty/u));
  it('empty standard input', async () => expectRefusal(await lodestone(['ask', 'Who?']), 7, /standard input.*empty/iu));
  it('a directory', async () => expectRefusal(await lodestone(['ask', 'Who?', dir]), 7, /director|folder/u));
  it('binary junk', async () => {
    const junk = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7919 + 13) % 256);
    expectRefusal(await lodestone(['ask', 'Who?', inDir('junk.txt', junk)]), 7, /junk\.txt/u);
  });
  it('encrypted PDF', async () => {
    expectRefusal(await lodestone(['ask', 'Who?', path.join(packageRoot, 'fixtures', 'encrypted.pdf')]), 7, /encrypted\.pdf.*password/u);
  });
  it('truncated PDF', async () => {
    const whole = readFileSync(report);
    const outcome = await lodestone(['ask', 'Who?', inDir('cut.pdf', whole.subarray(0, Math.floor(whole.length * 0.6)))]);
    expectRefusal(outcome, 7, /cut\.pdf/u);
  });
  it('PDF without text', async () => {
    const file = path.join(packageRoot, 'fixtures', 'media', 'haystack_non-text-searchable.pdf');
    expectRefusal(await lodestone(['ask', 'Who?', file]), 7, /no text/u);
  });
  it('PDF bomb', async () => {
    const operators = Buffer.from('BT /F 9 Tf 9 9 Td (boom) Tj ET\n'.repeat(5_000_000), 'latin1');
    const bomb = inDir('bomb.pdf', pdfWith(deflateSync(operators, { level: 9 }), '/Filter/FlateDecode'));
    expectRefusal(await lodestone(['ask', 'Who?', bomb, '--pdf-timeout', '5']), 7, /bomb\.pdf/u);
  });
});

describe('model', () => {
  it('no such folder', async () => expectRefusal(await lodestone(['ask', 'Who?', report, '-m', path.join(dir, 'no-model')]), 6, /no-model: no such model directory/u));
  it('an empty folder', async () => expectRefusal(await lodestone(['ask', 'Who?', report, '-m', scratch()]), 6, /config\.json/u));
  it('weights cut short', async () => {
    const broken = modelWith({});
    const weights = path.join(scratch(), 'model.safetensors');
    writeFileSync(weights, readFileSync(path.join(embeddedModelDir, 'model.safetensors')).subarray(0, 200_000));
    copyFileSync(path.join(broken, 'config.json'), path.join(path.dirname(weights), 'config.json'));
    copyFileSync(path.join(embeddedModelDir, 'tokenizer.json'), path.join(path.dirname(weights), 'tokenizer.json'));
    expectRefusal(await lodestone(['ask', 'Who?', report, '-m', path.dirname(weights)]), 6, /model\.safetensors/u);
  });
  it('another architecture', async () => {
    expectRefusal(await lodestone(['ask', 'Who?', report, '-m', modelWith({ model_type: 'llama' })]), 6, /llama/u);
  });
  it('shapes that lie', async () => {
    expectRefusal(await lodestone(['ask', 'Who?', report, '-m', modelWith({ intermediate_size: 640 })]), 6, /config\.json makes it/u);
  });
  it('a tokenizer with more ids than the config', async () => {
    expectRefusal(await lodestone(['ask', 'Who?', report, '-m', modelWith({ vocab_size: 600 })]), 6, /ids up to 8191.*there are 600/u);
  });
  it('an input longer than the context', async () => {
    const outcome = await lodestone(['ask', 'Who?', report, '-m', modelWith({ max_position_embeddings: 2048 })]);
    expectRefusal(outcome, 4, /tokens.*long-report\.pdf: \d+ tokens.*--pages/u);
  });
});

describe('interruption', () => {
  /** Sends the signal once, at the first event that says `when`. */
  const interrupted = async (name: string, signal: NodeJS.Signals, when: string): Promise<Outcome> => {
    const file = path.join(dir, name);
    await bigText(file, 3_000_000);
    let sent = false;
    return lodestone(['ask', 'Who?', file, '--jsonl'], {
      during: (child) => {
        child.stdout!.on('data', (text: string) => {
          if (!sent && text.includes(when)) sent = child.kill(signal);
        });
      },
    });
  };
  it('Ctrl-C while reading', async () => {
    const outcome = await interrupted('int.txt', 'SIGINT', '"prefill"');
    expect(outcome.stderr).toBe('lodestone: interrupted\n');
    expect(outcome.code).toBe(130);
  });
  it('Ctrl-C before anything is read by the model', async () => {
    const outcome = await interrupted('early.txt', 'SIGINT', '"ingest"');
    expect(outcome.stderr).toBe('lodestone: interrupted\n');
    expect(outcome.stdout).not.toContain('"prefill"');
    expect(outcome.code).toBe(130);
  });
  it('termination', async () => {
    const outcome = await interrupted('term.txt', 'SIGTERM', '"prefill"');
    expect(outcome.stderr).toBe('lodestone: terminated\n');
    expect(outcome.code).toBe(143);
  });
  it.skipIf(!existsSync('/dev/full'))('a full disk behind the output', () => {
    for (const form of ['--plain', '--json', '--jsonl', '--dry-run']) {
      const command = `"${process.execPath}" "${path.join(packageRoot, 'bin', 'lodestone.js')}" ask "Who?" "${report}" --pages 2 --quiet ${form} > /dev/full`;
      const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8', timeout: 60_000 });
      expect(stderr).toMatch(/^lodestone: can't write the answer: ENOSPC[^\n]*\n$/u);
      expect(status).toBe(1);
    }
  });
  it('a reader that goes away', () => {
    mkdirSync(dir, { recursive: true });
    const command = `"${process.execPath}" "${path.join(packageRoot, 'bin', 'lodestone.js')}" ask "Who?" "${report}" --jsonl | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8', timeout: 60_000 });
    expect(stdout.trim().split('\n').at(-1)).toBe('141');
    expect(stderr).toBe('');
  });
});
