/** `lodestone needle`: options; needle-run.ts does what they say. */
import { Command, Option } from 'commander';
import type { KvFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { deviceChoices, type DeviceChoice } from '../device/select.js';
import { embeddedModelDir } from '../paths.js';
import { lengthList } from '../recall/lengths.js';
import { needleSuites, presets, type NeedleSuite } from '../recall/presets.js';
import { rulerTaskNames } from '../recall/ruler.js';
import { defaultKv } from '../runtime/kv.js';
import type { openModel } from '../runtime/model.js';
import { namedSpeech } from '../speech/named.js';
import { addEndpointOptions, type EndpointFlags } from './endpoint-options.js';
import { between, integer } from './numbers.js';
import { seeOption } from './see-option.js';

export interface NeedleOptions extends EndpointFlags {
  readonly suite?: readonly NeedleSuite[];
  readonly preset: keyof typeof presets;
  readonly lengths?: readonly number[];
  readonly depths?: number;
  readonly trials?: number;
  readonly tasks?: readonly string[];
  readonly needles: number;
  readonly seed: number;
  readonly model: string;
  readonly haystack?: readonly string[];
  readonly speech?: string;
  readonly see?: string;
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  readonly kv: KvFormat;
  readonly looks: number;
  readonly threshold: number;
  readonly minRecall?: number;
  readonly minCell?: number;
  readonly effectiveLength?: readonly number[];
  readonly maxSeconds?: number;
  readonly maxDrop?: number;
  readonly perplexity?: boolean;
  readonly maxPerplexityChange?: number;
  readonly baseline?: string;
  readonly log?: string;
  readonly report?: readonly string[];
  readonly junit?: string;
  readonly tap?: string;
  readonly html?: string;
  readonly svg?: string;
  readonly png?: string;
  readonly json?: boolean;
  readonly jsonl?: boolean;
  readonly misses?: boolean;
  readonly plain?: boolean;
  readonly quiet?: boolean;
}

/** @param open tests open models that are damaged */
export function needleCommand(signal: AbortSignal, open?: typeof openModel): Command {
  const share = between(0, 1);
  const command = new Command('needle')
    .description('measure how much the model finds in long documents, here and now; exit with 3 where that is too little')
    .addOption(new Option('--suite <name...>', 'what to ask (default: gemini, or canary with --haystack)').choices(needleSuites))
    .addOption(new Option('--preset <name>', 'suites, lengths and trials that are not given').choices(Object.keys(presets)).default('quick'))
    .option('--lengths <list>', 'tokens of the prompt and its answer: 1K,4K,32K; of the suite video by itself, seconds of film: 60,600 (default: by preset)', lengthList)
    .option('--depths <n>', 'places of the needle, from the start to the end (default: by preset, 11)', integer(1))
    .option('--trials <n>', 'questions for each length and depth, or task (default: by preset)', integer(1))
    .addOption(new Option('--tasks <name...>', 'of the suite ruler, those that are asked (default: all)').choices(rulerTaskNames))
    .option('--needles <n>', 'hidden at once in the suites multi and multi-at-once', integer(2), 10)
    .option('--seed <n>', 'of keys, values and places', integer(0), 0)
    .option('-m, --model <path>', 'folder of a Gemma 3 checkpoint (safetensors), or a GGUF file', process.env['LODESTONE_MODEL'] || embeddedModelDir)
    .option('--haystack <file...>', 'documents of your own: read whole, with needles between their sentences; with --lengths, in parts')
    .addOption(new Option('--speech <model>', 'hears the recordings of the suite audio: a Whisper, named as in ask (default: the one that was pulled)').default(namedSpeech()))
    .addOption(seeOption())
    .addOption(new Option('--device <name>', 'where to compute').choices(deviceChoices).default('auto'))
    .option('--threads <n>', 'threads of the cpu device', integer(1))
    .addOption(new Option('--quantize <format>', 'store the weight matrices smaller').choices(['none', 'q8_0', 'q4_0']).default('none'))
    .addOption(new Option('--kv <format>', 'store the keys and values of global layers so').choices(kvFormats).default(defaultKv.global))
    .option('--looks <n>', 'passages of each length that are read again, as in ask; 0 measures the one reading', integer(0), 0)
    .option('--threshold <share>', 'recall that counts for the effective length', share, 0.85)
    .option('--min-recall <share>', 'gate: of every suite', share)
    .option('--min-cell <share>', 'gate: at every length and depth', share)
    .option('--effective-length <n>', 'gate: the longest length with recall of --threshold at it and all shorter ones', lengthList)
    .option('--max-seconds <n>', 'gate: for all trials', between(0, 1e9))
    .option('--max-drop <share>', 'gate: recall lost against --baseline', share)
    .option('--perplexity', 'measure the perplexity of the first 4,096 tokens of the haystack too: it shows errors of computing that needles do not')
    .option('--max-perplexity-change <share>', 'gate: of that perplexity against --baseline, either way', share)
    .option('--baseline <file>', 'the --json of an earlier run of the same questions')
    .option('--log <file>', 'write a line for every trial; the same command goes on from there')
    .option('--report <file...>', 'write reports, by extension: .json .xml (JUnit) .tap .html .svg .png .txt')
    .option('--junit <file>', 'write JUnit XML')
    .option('--tap <file>', 'write TAP 14')
    .option('--html <file>', 'write one page with all trials')
    .option('--svg <file>', 'write the heat maps')
    .option('--png <file>', 'write the heat maps as an image')
    .option('--json', 'print one JSON object (schema lodestone.needle/1)')
    .option('--jsonl', 'print trials as JSON lines while it runs; the last one is the summary')
    .option('--misses', 'print every miss on stderr')
    .option('--plain', 'plain text, also on a terminal')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .allowExcessArguments(false);
  return addEndpointOptions(command).action(async (options: NeedleOptions) => {
      // Loaded here, so that --help and usage errors are quick.
      const { runNeedle } = await import('./needle-run.js');
      await runNeedle(options, signal, open);
    });
}
