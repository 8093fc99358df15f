/** `lodestone perplexity`, once its options are read. */
import { readFileSync, writeFileSync } from 'node:fs';
import { encodePlain } from '../encode/prompt.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { ingest } from '../ingest/ingest.js';
import { sourceName } from '../ingest/name.js';
import { resolveModel } from '../models/resolve.js';
import { checkPerplexity, gateSentence, type Check, type Gate } from '../recall/gate.js';
import { fitPowerLaw, lossPoints, tokenLosses } from '../recall/perplexity.js';
import { jsonLine, oneLine } from '../recall/reports/escape.js';
import { perplexitySvg, perplexityText, type PerplexityReport, type TextLoss } from '../recall/reports/perplexity.js';
import { selectDevice } from '../device/select.js';
import { checkKv, defaultKv } from '../runtime/kv.js';
import { loadModel, openModelFiles } from '../runtime/model.js';
import { count } from '../ui/format.js';
import { liveLine } from '../ui/live-line.js';
import type { PerplexityOptions } from './perplexity.js';

/** Errors: LodestoneError(unreadableInput), and (usage) where it is of other texts. */
function readBaseline(file: string, files: readonly TextLoss[]): PerplexityReport {
  let json: PerplexityReport | null;
  try {
    json = JSON.parse(readFileSync(file, 'utf8')) as PerplexityReport | null;
  } catch (cause) {
    throw new LodestoneError(ExitCode.unreadableInput, `--baseline ${sourceName(file)}: ${(cause as Error).message}`, { cause });
  }
  if (json?.schema !== 'lodestone.perplexity/1') throw new LodestoneError(ExitCode.unreadableInput, `--baseline ${sourceName(file)}: is not what lodestone perplexity --json prints`);
  const key = (list: readonly TextLoss[]): string => JSON.stringify(list.map(({ sha256, tokens }) => [sha256, tokens]));
  if (key(json.files) !== key(files)) throw new LodestoneError(ExitCode.usage, `--baseline ${sourceName(file)}: is of other files, or of other numbers of tokens`);
  return json;
}

export async function runPerplexity(paths: readonly string[], options: PerplexityOptions, signal: AbortSignal): Promise<void> {
  const { baseline, maxChange, maxPerplexity, tokens: most } = options;
  if (maxChange !== undefined && baseline === undefined) throw new LodestoneError(ExitCode.usage, '--max-change needs --baseline, the --json of an earlier run');
  const place = await resolveModel(options.model, undefined, 'gemma3');
  const { device, why } = await selectDevice(options.device, options.threads === undefined ? {} : { threads: options.threads });
  const line = liveLine(process.stderr, options.quiet !== true);
  const say = (message: string): void => {
    line.clear();
    if (options.quiet !== true) process.stderr.write(`lodestone: ${oneLine(message)}\n`);
  };
  try {
    if (device.name === 'reference' && options.device === 'auto') say(why);
    const opened = await openModelFiles(place.path, { id: place.id });
    const { config, tokenizer, id } = opened;
    const kv = { ...defaultKv, global: options.kv };
    checkKv(config, kv);
    const sources = await ingest(paths, { signal });
    const texts: { readonly path: string; readonly sha256: string; readonly ids: Uint32Array }[] = [];
    for (const { source, segments, warnings } of sources) {
      for (const warning of warnings) say(`${source.path}: ${warning}`);
      const all = await encodePlain(segments.map(({ text }) => text).join(''), tokenizer, signal);
      const ids = most === undefined ? all : all.subarray(0, most);
      if (ids.length > config.maxPositions) {
        throw new LodestoneError(ExitCode.contextExceeded, `${sourceName(source.path)}: takes ${count(ids.length)} tokens, but ${id} holds ${count(config.maxPositions)}; --tokens reads only the first`);
      }
      texts.push({ path: source.path, sha256: source.sha256, ids });
    }
    if (config.prompt === 'qa') say(`${id} was trained to answer and not to foretell texts: its figures tell whether it is computed as before, and nothing of how good it is`);
    const model = await loadModel(opened, device, { quantize: options.quantize, signal });
    const all: Float64Array[] = [];
    const files: TextLoss[] = [];
    for (const { path, sha256, ids } of texts) {
      const onProgress = (done: number, total: number): void => line.show(`${sourceName(path)}  reading ${Math.floor((100 * done) / total)} %`);
      const losses = await tokenLosses(model, ids, { kv, signal, onProgress });
      const loss = losses.reduce((sum, value) => sum + value, 0) / losses.length;
      if (!Number.isFinite(loss)) throw new LodestoneError(ExitCode.badModel, `${sourceName(path)}: the model's logits are not numbers; are its weights damaged?`);
      all.push(losses);
      files.push({ path, sha256, tokens: losses.length, loss, perplexity: Math.exp(loss) });
    }
    line.clear();
    const points = lossPoints(all);
    const tokens = files.reduce((sum, file) => sum + file.tokens, 0);
    const loss = files.reduce((sum, file) => sum + file.tokens * file.loss, 0) / tokens;
    const before = baseline === undefined ? null : readBaseline(baseline, files);
    const checks: Check[] = [];
    if (maxChange !== undefined && before !== null) checks.push({ ...checkPerplexity({ before: before.loss, now: loss }, maxChange), name: 'max-change' });
    if (maxPerplexity !== undefined) {
      checks.push({ name: 'max-perplexity', passed: Math.exp(loss) <= maxPerplexity, message: `perplexity is ${Math.exp(loss).toPrecision(6)}; the most is ${maxPerplexity}` });
    }
    const gate: Gate | null = checks.length === 0 ? null : { passed: checks.every(({ passed }) => passed), checks };
    const report: PerplexityReport = {
      schema: 'lodestone.perplexity/1',
      model: { id: model.id, quantization: model.quantization, kv: options.kv, context: config.maxPositions },
      device: { name: device.name, adapter: device.description },
      files,
      tokens,
      loss,
      perplexity: Math.exp(loss),
      points,
      fit: fitPowerLaw(points.map((point) => point.tokens), points.map((point) => point.loss)),
      baseline: before === null ? null : { file: baseline!, loss: before.loss },
      gate,
    };
    if (options.svg !== undefined) writeSvg(options.svg, report);
    process.stdout.write(options.json === true ? `${jsonLine(report)}\n` : perplexityText(report));
    if (gate?.passed === false) {
      if (options.json === true) process.stderr.write(`lodestone: ${oneLine(gateSentence(gate))}\n`);
      process.exitCode = ExitCode.gateFailed;
    }
  } finally {
    line.clear();
    await device.close();
  }
}

function writeSvg(file: string, report: PerplexityReport): void {
  try {
    writeFileSync(file, perplexitySvg(report));
  } catch (cause) {
    throw new LodestoneError(ExitCode.usage, `${sourceName(file)}: can't be written: ${(cause as Error).message}`, { cause });
  }
}
