/** What watches the films of the suite video. */
import { selectDevice } from '../device/select.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { cinema, type Watch } from '../recall/film.js';
import { PictureReader } from '../see/picture-reader.js';
import type { NeedleOptions } from './needle.js';

export interface OpenWatching {
  readonly watch: Watch;
  /** Of the model that reads pictures. */
  readonly sha256: string;
  close(): Promise<void>;
}

/** Errors: LodestoneError(usage) where no such model is named; those of opening it. */
export async function openWatching({ see, device: choice, threads }: NeedleOptions, signal: AbortSignal): Promise<OpenWatching> {
  if (see === undefined) throw new LodestoneError(ExitCode.usage, '--suite video needs a model that reads pictures: name its folder with --see');
  const { device } = await selectDevice(choice, threads === undefined ? {} : { threads });
  try {
    const reader = await PictureReader.open(see, device);
    return {
      watch: cinema(reader),
      sha256: await reader.hash(signal),
      async close() {
        await reader.close();
        await device.close();
      },
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}
