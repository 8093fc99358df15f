/**
 * Sound to the log-mel spectrogram that a Whisper checkpoint was trained on: frames of 25 ms every 10 ms unless it says
 * otherwise, the power in 80 or 128 bands that are even on the mel scale, its logarithm cut 80 dB below the loudest.
 * Source: Whisper (arXiv 2212.04356, section 2.2), transformers `feature_extraction_whisper.py` and `audio_utils.py` 5.18
 * (mel scale and normalisation of Slaney's Auditory Toolbox).
 */
import { Fft } from './fft.js';

/** Samples per second of everything that hears. */
export const sampleRate = 16_000;

/** In samples. */
export interface FrameShape {
  /** From the beginning of a frame to that of the next. */
  readonly hop: number;
  /** Of a frame; even, and made of small factors. */
  readonly length: number;
}

/** Of all of OpenAI's checkpoints. */
export const whisperFrames: FrameShape = { hop: 160, length: 400 };

/** Hz to mel: linear up to 1 kHz, 27 mels an e-fold of 6.4 above it. */
function mel(hertz: number): number {
  return hertz < 1000 ? (3 * hertz) / 200 : 15 + (27 / Math.log(6.4)) * Math.log(hertz / 1000);
}

function hertz(mels: number): number {
  return mels < 15 ? (200 * mels) / 3 : 1000 * Math.exp((Math.log(6.4) / 27) * (mels - 15));
}

/** Triangular filters [bands][frame / 2 + 1], each of unit area in Hz. */
export function melFilters(bands: number, frame: number): Float64Array[] {
  const bins = frame / 2 + 1;
  const top = mel(sampleRate / 2);
  const edges = Array.from({ length: bands + 2 }, (_, i) => hertz((top * i) / (bands + 1)));
  return Array.from({ length: bands }, (_, band) => {
    const [low, centre, high] = [edges[band]!, edges[band + 1]!, edges[band + 2]!];
    return Float64Array.from({ length: bins }, (__, bin) => {
      const at = (bin * sampleRate) / frame;
      return Math.max(0, Math.min((at - low) / (centre - low), (high - at) / (high - centre))) * (2 / (high - low));
    });
  });
}

/** A filter without the zeros around it. */
interface Band {
  readonly first: number;
  readonly weights: Float64Array;
}

export class LogMel {
  readonly #bands: readonly Band[];
  readonly #fft: Fft;
  /** Hann, periodic. */
  readonly #window: Float64Array;

  constructor(
    readonly bands: number,
    readonly frames: FrameShape = whisperFrames,
  ) {
    const { length } = frames;
    this.#fft = new Fft(length);
    this.#window = Float64Array.from({ length }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length));
    this.#bands = melFilters(bands, length).map((filter) => {
      const first = Math.max(0, filter.findIndex((weight) => weight > 0));
      return { first, weights: filter.slice(first, filter.findLastIndex((weight) => weight > 0) + 1) };
    });
  }

  /**
   * @param samples 16 kHz mono, -1..1; followed by silence where they do not fill `frames`
   * @returns f32 [frames, bands], time first, in about -1..1
   */
  features(samples: Float32Array, frames: number): Float32Array {
    const { hop, length: frame } = this.frames;
    const bins = frame / 2 + 1;
    const length = frames * hop;
    const out = new Float32Array(frames * this.bands);
    const at = (i: number): number => {
      // Frames are centred on their time; before the beginning and behind the end the sound is mirrored.
      const j = i < 0 ? -i : i >= length ? 2 * (length - 1) - i : i;
      return samples[j] ?? 0;
    };
    let loudest = -10;
    const buffers = Array.from({ length: 4 }, () => new Float64Array(frame));
    const [real, imaginary, sumReal, sumImaginary] = buffers as [Float64Array, Float64Array, Float64Array, Float64Array];
    const power = new Float64Array(bins);
    for (let f = 0; f < frames; f += 2) {
      // Two real frames are transformed as one complex one: their parts are its even and odd symmetry.
      for (let i = 0; i < frame; i++) {
        const from = f * hop + i - frame / 2;
        real[i] = at(from) * this.#window[i]!;
        imaginary[i] = f + 1 < frames ? at(from + hop) * this.#window[i]! : 0;
      }
      this.#fft.transform(real, imaginary, sumReal, sumImaginary);
      for (let odd = 0; odd < 2 && f + odd < frames; odd++) {
        const sign = odd === 0 ? 1 : -1;
        for (let k = 0; k < bins; k++) {
          const mirror = (frame - k) % frame;
          const a = sumReal[k]! + sign * sumReal[mirror]!;
          const b = sumImaginary[k]! - sign * sumImaginary[mirror]!;
          power[k] = (a * a + b * b) / 4;
        }
        for (const [band, { first, weights }] of this.#bands.entries()) {
          let energy = 0;
          for (let k = 0; k < weights.length; k++) energy += power[first + k]! * weights[k]!;
          const level = Math.log10(Math.max(1e-10, energy));
          if (level > loudest) loudest = level;
          out[(f + odd) * this.bands + band] = level;
        }
      }
    }
    for (let i = 0; i < out.length; i++) out[i] = (Math.max(out[i]!, loudest - 8) + 4) / 4;
    return out;
  }
}
