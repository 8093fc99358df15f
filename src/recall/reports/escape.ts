/**
 * Text of models, documents and file names in the forms of the reports: whatever it holds, it stays text there. Each
 * function is for one place, and none of them is safe in another's.
 */

/** What XML 1.0 can't hold, and what steers a terminal or turns the order of a line: control characters but tab and line ends, lone surrogates, non-characters, bidirectional marks. */
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Cs}/gu;

/** Longer texts are cut: a report is read by people, and a model may repeat itself without end. */
const LONGEST = 2000;

export function printable(text: string, most = LONGEST): string {
  const clean = text.replace(UNPRINTABLE, '');
  if (clean.length <= most) return clean;
  // Not in the middle of a surrogate pair.
  return `${clean.slice(0, most).replace(UNPRINTABLE, '')}...`;
}

/**
 * For lines of a terminal or a log. `##[` begins a command of GitHub's and Azure's runners anywhere in a line, `::` one at
 * its start; a line of ours starts with words of its own.
 */
export function oneLine(text: string, most = LONGEST): string {
  return printable(text, most).replace(/[\s\u0085\u2028\u2029]+/gu, ' ').trim().replaceAll('##[', '# #[').replace(/^::/u, ': :');
}

/** For text and attributes of XML and HTML; line ends and tabs survive in attributes, too. */
export function xml(text: string): string {
  return printable(text).replace(/[&<>"'\t\r\n]/gu, (c) => `&#${c.codePointAt(0)!};`);
}

/** For a cell of a table in GitHub's Markdown. */
export function markdown(text: string): string {
  return oneLine(text, 300).replace(/[^\p{L}\p{N} ]/gu, (c) => `&#${c.codePointAt(0)!};`);
}

/** For the message of a GitHub workflow command. */
export function commandData(text: string): string {
  return oneLine(text).replaceAll('%', '%25');
}

/** For a property of a GitHub workflow command, such as its title. */
export function commandProperty(text: string): string {
  return commandData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

/** For a TAP description: `#` begins a directive, `\` escapes. */
export function tapDescription(text: string): string {
  return oneLine(text).replace(/[\\#]/gu, (c) => `\\${c}`);
}

/** One line of JSON, also where it stands in a runner's log (see `oneLine`). It parses to the same. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replaceAll('##[', '#\\u0023[');
}

/** A scalar of YAML: JSON's strings are YAML's. */
export function yaml(text: string): string {
  return jsonLine(printable(text));
}
