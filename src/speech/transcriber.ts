/** Recordings to text: a speech model that is loaded when it is first needed, and what it has heard, kept on disk. */
import { existsSync } from 'node:fs';
import type { Device } from '../device/device.js';
import type { DecodeOptions } from '../ingest/media/media.js';
import { Journal, journalName } from '../ingest/media/journal.js';
import type { Recording } from '../ingest/media/open.js';
import { codeVersion } from '../sessions/code-version.js';
import { sha256OfFiles } from '../weights/hash.js';
import { openCheckpoint } from '../weights/safetensors.js';
import { openSpeechConfig } from './config.js';
import { filesBeside } from './files.js';
import { openSpeechModel, type SpeechModel } from './model.js';
import { transcribe, type TranscribedWindow } from './transcribe.js';

/** Where the code is another, the same sound may give other text. */
const version = codeVersion(['speech', 'encode', 'ingest/media']);

export interface TranscriberOptions {
  readonly language?: string | undefined;
  /** Folder for what has been heard; null: it is not kept. */
  readonly keep: string | null;
}

export class Transcriber {
  readonly #dir: string;
  readonly #device: Device;
  readonly #options: TranscriberOptions;
  #model: Promise<SpeechModel> | undefined;
  #hash: Promise<string> | undefined;

  /** Errors: LodestoneError(badModel) where there is no speech model. */
  static async open(dir: string, device: Device, options: TranscriberOptions): Promise<Transcriber> {
    // What is wrong with the model is said before anything is decoded.
    await openSpeechConfig(dir);
    return new Transcriber(dir, device, options);
  }

  private constructor(dir: string, device: Device, options: TranscriberOptions) {
    this.#dir = dir;
    this.#device = device;
    this.#options = options;
  }

  /**
   * Window after window, those first that an earlier run has heard.
   * @param sha256 of the recording
   * Errors: LodestoneError(badModel, outOfMemory, usage, unreadableInput); the signal's reason.
   */
  async *transcribe(recording: Recording, sha256: string, options: DecodeOptions): AsyncGenerator<TranscribedWindow> {
    const { range, signal } = options;
    const { language = null, keep } = this.#options;
    const journal = await Journal.open(keep, journalName(version, sha256, await this.sha256(signal), language, range.from, range.to));
    let heard = range.from;
    let spoken = language;
    for (const entry of journal.entries as (TranscribedWindow | { readonly done: true })[]) {
      if ('done' in entry) return;
      // Two runs at once write into each other: what is no step forward is the other's.
      if (entry.heard <= heard) continue;
      ({ heard } = entry);
      spoken ??= entry.language;
      yield entry;
    }
    const model = await (this.#model ??= openSpeechModel(this.#dir, this.#device, signal));
    const sound = recording.decoder.sound(recording.path, { ...options, range: { from: heard, to: range.to } });
    for await (const window of transcribe(model, sound, { language: spoken, from: heard, signal })) {
      await journal.append(window);
      yield window;
    }
    await journal.append({ done: true });
  }

  async close(): Promise<void> {
    const model = await this.#model?.catch(() => undefined);
    model?.close();
  }

  /** Of the model's files. */
  sha256(signal?: AbortSignal): Promise<string> {
    const beside = filesBeside(this.#dir).filter((file) => existsSync(file));
    this.#hash ??= openCheckpoint(this.#dir).then(({ files }) => sha256OfFiles([...beside, ...files], signal));
    return this.#hash;
  }
}
