/** Small pieces of text for people. */

/** Thousands apart: 12,345. */
export function count(value: number): string {
  // Not toLocaleString, which takes a tenth of a second the first time.
  return Math.round(value).toString().replace(/\B(?=(?:\d{3})+$)/gu, ',');
}

/** Bytes in binary units: 1.5 MiB. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 2 ** (10 * power);
  return `${power === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${units[power]}`;
}

/** 5.0 s, 12.3 min, 1.5 h. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Text from files and models must not steer the terminal: control, escape and bidirectional characters go. */
export function clean(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '');
}
