/** Which ffmpeg: FFMPEG_BIN, else ffmpeg-static's where its install script could fetch it, else the one on PATH. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { ExitCode, LodestoneError } from '../../errors.js';

/** null: there is none. Throws LodestoneError(usage) where FFMPEG_BIN names something that is none. */
export async function findFfmpeg(env: NodeJS.ProcessEnv = process.env): Promise<string | null> {
  const chosen = env['FFMPEG_BIN'];
  if (chosen) {
    if (await isExecutable(chosen)) return chosen;
    throw new LodestoneError(ExitCode.usage, `FFMPEG_BIN is ${chosen}, which is no program that can be run; name ffmpeg, or unset it`);
  }
  const bundled = await bundledFfmpeg();
  if (bundled !== null && (await isExecutable(bundled))) return bundled;
  const name = process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg';
  for (const dir of (env['PATH'] ?? '').split(delimiter)) {
    if (dir !== '' && (await isExecutable(join(dir, name)))) return join(dir, name);
  }
  return null;
}

/** Where ffmpeg-static's binary would lie; after a blocked install script it does not. */
async function bundledFfmpeg(): Promise<string | null> {
  const module = await import('ffmpeg-static').catch(() => null);
  const path: unknown = module?.default;
  return typeof path === 'string' ? path : null;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    async () => (await stat(path)).isFile(),
    () => false,
  );
}
