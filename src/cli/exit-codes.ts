/** What the program's exit codes mean, for --help and the manual page. */
export const exitCodes: readonly (readonly [number, string])[] = [
  [0, 'answered'],
  [1, 'internal error'],
  [2, 'usage'],
  [3, 'a recall gate failed'],
  [4, 'input exceeds the context'],
  [5, 'not enough memory'],
  [6, 'model missing or invalid'],
  [7, 'input unreadable'],
  [8, 'not in the sources (--strict, --require-citations)'],
  [9, 'citation not verified (--require-citations)'],
  [130, 'interrupted'],
  [141, 'closed pipe'],
  [143, 'terminated'],
];
