/** The speech model of a question, chosen and opened when the first recording comes, and not where there is none. */
import type { Device } from '../device/device.js';
import type { Transcriber, TranscriberOptions } from '../speech/transcriber.js';

export class Hearing {
  readonly #named: string | undefined;
  readonly #device: Device;
  readonly #options: TranscriberOptions;
  #opened: Promise<Transcriber | string> | undefined;

  /** @param named as in `chooseSpeech` */
  constructor(named: string | undefined, device: Device, options: TranscriberOptions) {
    this.#named = named;
    this.#device = device;
    this.#options = options;
  }

  /**
   * The same one each time; or why nothing hears, and what to do.
   * Errors: LodestoneError(badModel, usage), for a model that is named.
   */
  open(): Promise<Transcriber | string> {
    return (this.#opened ??= this.#choose());
  }

  async #choose(): Promise<Transcriber | string> {
    const [{ chooseSpeech }, { Transcriber: speech }] = await Promise.all([import('../speech/choose.js'), import('../speech/transcriber.js')]);
    const choice = await chooseSpeech(this.#named);
    return 'problem' in choice ? choice.problem : speech.open(choice.dir, this.#device, this.#options);
  }

  async close(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined);
    if (opened !== undefined && typeof opened !== 'string') await opened.close();
  }
}
