/** `lodestone perplexity`: options; perplexity-run.ts does what they say. */
import { Command, Option } from 'commander';
import type { KvFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { embeddedModelDir } from '../paths.js';
import { defaultKv } from '../runtime/kv.js';
import { modelHelp } from './reading-options.js';
import { between, integer } from './numbers.js';

export interface PerplexityOptions {
  readonly model: string;
  readonly device: 'auto' | 'cpu' | 'reference';
  readonly threads?: number;
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  readonly kv: KvFormat;
  readonly tokens?: number;
  readonly baseline?: string;
  readonly maxChange?: number;
  readonly maxPerplexity?: number;
  readonly svg?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function perplexityCommand(signal: AbortSignal): Command {
  return new Command('perplexity')
    .description('how well the model foretells documents, by position: mean negative log-likelihood, and the power law it follows')
    .argument('<file...>', 'PDF, text or Markdown; each is read by itself, from its beginning; "-" is standard input')
    .option('-m, --model <model>', modelHelp, process.env['LODESTONE_MODEL'] || embeddedModelDir)
    .addOption(new Option('--device <name>', 'where to compute').choices(['auto', 'cpu', 'reference']).default('auto'))
    .option('--threads <n>', 'threads of the cpu device', integer(1))
    .addOption(new Option('--quantize <format>', 'store the weight matrices smaller').choices(['none', 'q8_0', 'q4_0']).default('none'))
    .addOption(new Option('--kv <format>', 'store the keys and values of global layers so').choices(kvFormats).default(defaultKv.global))
    .option('--tokens <n>', 'read only so many tokens of each file', integer(2))
    .option('--baseline <file>', 'the --json of an earlier run with the same files')
    .option('--max-change <share>', 'gate: of the perplexity against --baseline, either way; 0.001 is 0.1 %', between(0, 1e9))
    .option('--max-perplexity <n>', 'gate: of all files together', between(1, 1e300))
    .option('--svg <file>', 'write the curve and its fit')
    .option('--json', 'print one JSON object (schema lodestone.perplexity/1)')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .action(async (files: string[], options: PerplexityOptions) => {
      // Loaded here, so that --help and usage errors are quick.
      const { runPerplexity } = await import('./perplexity-run.js');
      await runPerplexity(files, options, signal);
    });
}
