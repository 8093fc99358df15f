/** `--endpoint`: a server answers instead of a model on this machine. */
import type { Command } from 'commander';
import type { EndpointOptions } from '../endpoint/client.js';
import { between } from './numbers.js';

export interface EndpointFlags {
  readonly endpoint?: string;
  readonly endpointModel?: string;
  readonly endpointTimeout: number;
}

export function addEndpointOptions(command: Command): Command {
  return command
    .option('--endpoint <url>', 'ask an OpenAI-compatible server, such as http://localhost:8000/v1, instead of a model here; its key: LODESTONE_API_KEY')
    .option('--endpoint-model <name>', "the server's name of the model (default: its only one)")
    .option('--endpoint-timeout <seconds>', 'give up when the server sends nothing for so long', between(0.1, 86_400), 600);
}

/** Of the environment: our own name first. */
function endpointKey(): string | null {
  return process.env['LODESTONE_API_KEY'] || process.env['OPENAI_API_KEY'] || null;
}

/** null: none is wanted. */
export function endpointOptions({ endpoint, endpointModel, endpointTimeout }: EndpointFlags, signal: AbortSignal): EndpointOptions | null {
  if (endpoint === undefined) return null;
  return { url: endpoint, model: endpointModel, key: endpointKey(), idleMs: endpointTimeout * 1e3, signal };
}
