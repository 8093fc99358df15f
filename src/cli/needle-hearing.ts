/** What says and hears the documents of suites that are spoken. */
import { selectDevice } from '../device/select.js';
import { speechFolder } from '../ingest/media/journal.js';
import { cacheFolder } from '../models/places.js';
import { hearWith } from '../recall/hear.js';
import type { Hearing } from '../recall/spoken-document.js';
import { openSpeechClips, Speaker } from '../recall/speech-clips.js';
import { speechClips } from '../recall/plan.js';
import { requireSpeech } from '../speech/choose.js';
import { Transcriber } from '../speech/transcriber.js';
import type { NeedleOptions } from './needle.js';

export interface OpenHearing extends Hearing {
  /** Of the speech model. */
  readonly sha256: string;
  close(): Promise<void>;
}

/** What was heard is kept, as elsewhere. Errors: LodestoneError(badModel) where there is no speech model; those of opening it. */
export async function openHearing({ speech, device: choice, threads }: Pick<NeedleOptions, 'speech' | 'device' | 'threads'>, signal?: AbortSignal): Promise<OpenHearing> {
  const dir = await requireSpeech(speech);
  const { device } = await selectDevice(choice, threads === undefined ? {} : { threads });
  try {
    const transcriber = await Transcriber.open(dir, device, { keep: speechFolder(cacheFolder()) });
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
