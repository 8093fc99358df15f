/** What says and hears the documents of suites that are spoken. */
import { selectDevice } from '../device/select.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { speechFolder } from '../ingest/media/journal.js';
import { cacheFolder } from '../models/places.js';
import { resolveModel } from '../models/resolve.js';
import { hearWith } from '../recall/hear.js';
import type { Hearing } from '../recall/spoken-document.js';
import { openSpeechClips, Speaker } from '../recall/speech-clips.js';
import { speechClips } from '../recall/plan.js';
import { Transcriber } from '../speech/transcriber.js';
import type { NeedleOptions } from './needle.js';

export interface OpenHearing extends Hearing {
  /** Of the speech model. */
  readonly sha256: string;
  close(): Promise<void>;
}

/** What was heard is kept, as elsewhere. Errors: LodestoneError(usage) where no speech model is named; those of opening it. */
export async function openHearing({ speech, device: choice, threads }: Pick<NeedleOptions, 'speech' | 'device' | 'threads'>, signal?: AbortSignal): Promise<OpenHearing> {
  if (speech === undefined) throw new LodestoneError(ExitCode.usage, '--suite audio needs a speech model: name the folder of a Whisper checkpoint with --speech, or in LODESTONE_SPEECH');
  const { path } = await resolveModel(speech);
  const { device } = await selectDevice(choice, threads === undefined ? {} : { threads });
  try {
    const transcriber = await Transcriber.open(path, device, { keep: speechFolder(cacheFolder()) });
    return {
      sha256: await transcriber.sha256(signal),
      speaker: new Speaker(openSpeechClips(speechClips)),
      hear: hearWith(transcriber),
      async close() {
        await transcriber.close();
        await device.close();
      },
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}
