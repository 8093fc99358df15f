/** Real PDFs: what the manifest says is on a page is on it, and sentences read as a person reads them. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ingest } from '../../src/ingest/ingest.js';
import type { IngestedSource } from '../../src/ingest/segment.js';
import { fixture, refusal, squash } from './support.js';

interface ManifestEntry {
  readonly file: string;
  readonly pages: number;
  readonly sha256: string;
  readonly qa: readonly { readonly answer: string; readonly page: number | null }[];
}

const manifest = readFileSync(fixture('media', 'manifest.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as ManifestEntry);

const done = new Map<string, Promise<IngestedSource[]>>();

/** Reads a PDF once for all tests. */
async function read(name: string): Promise<IngestedSource> {
  const reading = done.get(name) ?? ingest([fixture('media', name)]);
  done.set(name, reading);
  return (await reading)[0]!;
}

function page(source: IngestedSource, number: number): string {
  return squash(source.segments.find((s) => s.page === number)?.text ?? '');
}

describe.each(manifest.filter(({ qa }) => qa.some(({ page }) => page !== null)))('$file', ({ file, pages, sha256, qa }) => {
  let source: IngestedSource;
  beforeAll(async () => {
    source = await read(file);
  });
  it('is read whole', () => {
    expect(source.source).toMatchObject({ kind: 'pdf', pages, sha256 });
    expect(source.warnings).toEqual([]);
    expect(source.segments.map((s) => s.page)).toEqual(Array.from({ length: pages }, (_, i) => i + 1));
    expect(source.segments.every(({ text, line }) => text.endsWith('\n') && line === undefined)).toBe(true);
  });
  // All of the manifest's answers stand literally on their pages.
  it.each(qa)('"$answer" is on page $page', ({ answer, page: number }) => {
    expect(page(source, number!)).toContain(answer);
  });
});

it('an image of a page is refused, and told from an empty file', async () => {
  const name = 'haystack_non-text-searchable.pdf';
  expect(await refusal(ingest([fixture('media', name)]), name)).toMatch(/no text layer: its pages are images or blank, and only text is read here/);
});

describe('reading order', () => {
  it('CDC, two columns', async () => {
    const first = page(await read('cdc_mmwr_chd-stroke_2011.pdf'), 1);
    const sentences = [
      'Examining and monitoring the distribution of death rates provides the requisite information for focusing on the groups most in need of early intervention to eliminate preventable disease, disability, and premature death and to improve the health of all groups.',
      'In 2006, CHD was the underlying cause of death for 425,425 persons (all ages) in the United States; the age-adjusted mortality rate was 135.0 deaths per 100,000 standard population (Table 1).',
      'Among adults aged ≥45 years, a comparison of rates by race for the youngest age groups reveals that black women and men aged 45–74 years had much higher CHD death rates than women and men of the three other races.',
    ];
    const places = sentences.map((sentence) => first.indexOf(sentence));
    expect(places.every((at) => at >= 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
  it('CDC, hyphens: mended in words, kept in compounds', async () => {
    const first = page(await read('cdc_mmwr_chd-stroke_2011.pdf'), 1);
    expect(first).toContain('Deaths from coronary heart disease (CHD)');
    expect(first).toContain('eliminate preventable disease');
    expect(first).toContain('Blacks had higher age-adjusted rates');
  });
  it('CDC, a table of figures', async () => {
    const second = (await read('cdc_mmwr_chd-stroke_2011.pdf')).segments[1]!.text;
    expect(second).toContain('\nMale | 224,510 | 176.5 | (175.7–177.2) | 54,524 | 43.9 | (43.5–44.3)\n');
  });
  it('Federal Register, three columns with footnotes', async () => {
    const register = await read('federal-register_2020-17221.pdf');
    expect(page(register, 1)).toContain(
      'the agency has determined that final corrective action is necessary to address the unsafe condition. This proposed AD would require installing new flight control computer (FCC) software, revising the existing Airplane Flight Manual (AFM) to incorporate new and revised flightcrew procedures',
    );
    const second = page(register, 2);
    const sentences = [
      'Reports 1 from the accident investigation indicate that the airplane’s flight control system 2 generated repeated airplane nose-down horizontal stabilizer trim 3 commands contributing to the accident.',
      'On March 10, 2019, a Boeing Model 737–8 airplane operated by Ethiopian Airlines (Ethiopian Airlines Flight 302) was involved in an accident after takeoff from Addis Ababa Bole International Airport in Addis Ababa, Ethiopia, resulting in 157 fatalities.',
      'The second design change alerts the pilots that the airplane’s two AOA sensors are disagreeing by a certain amount indicating a potential AOA sensor failure.',
    ];
    const places = sentences.map((sentence) => second.indexOf(sentence));
    expect(places.every((at) => at >= 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
  it('OMB, a table on a turned page, row by row', async () => {
    const { text } = (await read('omb_table-s4_rotated.pdf')).segments[0]!;
    const rows = text.split('\n');
    expect(rows[0]).toBe('Table S–4. Adjusted Baseline by Category 1');
    expect(rows).toContain('Total outlays | 3,603 | 3,717 | 3,655 | 3,807 | 4,021 | 4,306 | 4,526 | 4,732 | 5,026 | 5,310 | 5,621 | 6,048 | 20,315 | 47,053');
    expect(rows).toContain('Deficit | 1,300 | 1,127 | 772 | 662 | 749 | 862 | 815 | 793 | 862 | 944 | 1,011 | 1,193 | 3,860 | 8,663');
    expect(rows).toContain('Joint Committee enforcement | ... | ... | –71 | –96 | –105 | –109 | –109 | –109 | –109 | –109 | –109 | –38 | –490 | –966');
    // A label, twelve years and two sums.
    expect(rows.filter((row) => row.split(' | ').length === 15).length).toBeGreaterThan(25);
  });
});
