/** `lodestone doctor`: devices, programs, models and caches; what is missing and how to get it. */
import { Command } from 'commander';
import { ExitCode } from '../errors.js';
import { clean } from '../ui/format.js';
import { table } from '../ui/models.js';
import type { Check } from './doctor-checks.js';

function formatChecks(checks: readonly Check[]): string {
  const rows = checks.flatMap(({ name, state, found, remedy }) => [
    [state === 'ok' ? 'ok' : state, name, clean(found)],
    ...(remedy === null ? [] : [['', '', `-> ${remedy}`]]),
  ]);
  return `${table(rows)}\n`;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('devices, programs, models and caches of this machine; what is missing and how to get it')
    .option('--json', 'print one JSON object (schema lodestone.doctor/1)')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const { checkAll } = await import('./doctor-checks.js');
      const checks = await checkAll();
      process.stdout.write(json === true ? `${JSON.stringify({ schema: 'lodestone.doctor/1', checks })}\n` : formatChecks(checks));
      if (checks.some(({ state }) => state === 'broken')) process.exitCode = ExitCode.internal;
    })
    .addHelpText('after', '\nExits with 1 where something is broken without which nothing works.');
}
