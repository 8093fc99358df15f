/** Conversations: in a pipe, and in a terminal of any size. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../src/answer/answer.js';
import { bigText, lodestone, scratch } from './run.js';
import { inTerminal } from './terminal.js';

const report = 'fixtures/long-report.pdf';
const notes = 'fixtures/notes.md';
const question = 'What is the access code for the Harrow Lane archive?';

describe('in a pipe', () => {
  it('answers a question a line, and takes commands', async () => {
    const file = path.join(scratch(), 'talk.md');
    const lines = [question, '/cite 1', '/cite 7', '/nope', 'Who is the harbour master of Dunmore?', '/context', `/save ${file}`, '/history', '/quit', 'not asked'];
    const { code, stdout, stderr } = await lodestone(['chat', report, notes], { stdin: lines.join('\n') });
    expect(code).toBe(0);
    expect(stdout).toContain(`7731942\n  [1] ${report}, page 2: "The access code for the Harrow Lane archive is 7731942."\n`);
    expect(stdout).toContain('>>>The access code for the Harrow Lane archive is 7731942.<<<');
    expect(stdout).toContain('/cite takes a number from 1 to 1');
    expect(stdout).toMatch(/\na+b+=?\na {2}fixtures\/long-report\.pdf .*\nb {2}fixtures\/notes\.md/u);
    expect(stdout).not.toContain('not asked');
    expect(stdout).not.toContain('\u001b');
    expect(stderr).toBe('lodestone: no command /nope; /help lists them\n');
    expect(readFileSync(file, 'utf8')).toContain(`## ${question}\n\n7731942\n`);
  });
  it('answers each as ask does, in JSON', async () => {
    const { stdout } = await lodestone(['chat', report, '--pages', '1-3', '--json'], { stdin: `${question}\n\nWhat is the meaning of life?\n${question}` });
    const answers = stdout.trim().split('\n').map((line) => JSON.parse(line) as Answer);
    expect(answers.map(({ answer }) => answer)).toEqual(['7731942', answers[1]!.answer, '7731942']);
    expect(answers[2]!.confidence).toBe(answers[0]!.confidence);
    const alone = JSON.parse((await lodestone(['ask', question, report, '--pages', '1-3', '--json'])).stdout) as Answer;
    expect([answers[0]!.answer, answers[0]!.confidence, answers[0]!.citations]).toEqual([alone.answer, alone.confidence, alone.citations]);
  });
  it('refuses standard input as a document, and no document', async () => {
    expect((await lodestone(['chat', '-'])).code).toBe(2);
    expect((await lodestone(['chat'])).code).toBe(2);
    expect((await lodestone(['chat', 'nowhere.pdf'])).code).toBe(7);
  });
});

describe('on a terminal', () => {
  it.each([[80, 24], [40, 15], [200, 50]] as const)('asks, shows the cited page and the map: %ix%i', { timeout: 90_000 }, async (columns, rows) => {
    const chat = inTerminal(['chat', report, notes], { columns, rows });
    await chat.until(/Enter ask/u);
    chat.type(question);
    await chat.until(/archive\?/u);
    chat.type('\r');
    expect(await chat.until(/7731942"?[^]*Enter ask/u)).toMatchSnapshot('answered');
    chat.type('\t');
    expect(await chat.until(/Esc closes/u)).toMatchSnapshot('the cited page');
    chat.type('\u001b');
    await chat.until(/Enter ask/u);
    chat.type('/context\r');
    expect(await chat.until(/of keys and values[^]*Enter ask/u)).toMatchSnapshot('the map');
    chat.type('\u0004');
    expect(await chat.exited).toBe(0);
    expect(await chat.screen()).not.toMatch(/Enter ask|^> $/mu);
    // oxlint-disable-next-line no-control-regex -- clearing the screen or its history, and resetting the terminal
    expect(chat.raw()).not.toMatch(/\u001b\[[23]J|\u001bc/u);
  });

  it('cancels what runs at Ctrl-C and leaves at the second; resizes; needs no colours', { timeout: 90_000 }, async () => {
    const file = path.join(scratch(), 'big.txt');
    await bigText(file, 3_000_000);
    const opening = inTerminal(['chat', file, '--no-session']);
    // A long path is cut in its middle.
    expect(await opening.until(/tokens\/s/u)).toMatch(/t, line [\d,]+ .*of keys and values\n\n> .*\nCtrl-C cancels/u);
    opening.type('\u0003');
    expect(await opening.exited).toBe(130);

    const small = path.join(scratch(), 'a.txt');
    writeFileSync(small, 'The harbour master of Dunmore is Olga Reiss.\n');
    const chat = inTerminal(['chat', small], { env: { NO_COLOR: '1' } });
    await chat.until(/Enter ask/u);
    chat.resize(40, 12);
    chat.type('Who is the harbour master of Dunmore?\r');
    await chat.until(/Olga Reiss[^]*Enter ask/u);
    chat.type('half a line\u0003');
    await chat.until(/Ctrl-C again leaves/u);
    chat.type('\u0003');
    expect(await chat.exited).toBe(130);
    // oxlint-disable-next-line no-control-regex
    expect(chat.raw()).not.toMatch(/\u001b\[(?:3[0-7]|9[0-7]|38)[;m]/u);

    const killed = inTerminal(['chat', small]);
    await killed.until(/Enter ask/u);
    killed.kill('SIGTERM');
    expect(await killed.exited).toBe(143);
    // The cursor is back.
    expect(killed.raw().lastIndexOf('\u001b[?25h')).toBeGreaterThan(killed.raw().lastIndexOf('\u001b[?25l'));
  });
});
