/**
 * Made-up names and values for corpora with ground truth, by kind (as in recall/heldout.ts). The lists are cut in two, so that a policy
 * is tested on names that it was not trained with.
 */
import { pick, randomBelow, type Random } from '../../random.js';

export type Split = 'train' | 'test';

const LISTS = {
  first:
    'Agnes Albin Basil Beatrix Bertram Cecily Clement Cordelia Cuthbert Dorcas Edgar Edith Elspeth Enoch Esther Fergus Flora Gideon Greta Harriet ' +
    'Hector Hester Horace Ida Isidore Ivor Jasper Judith Lavinia Leopold Linus Magnus Mabel Marius Matilda Mungo Nadine Nestor Olive Osbert Otto Petra ' +
    'Phoebe Quentin Rosalind Rufus Sabina Selwyn Sibyl Silas Tabitha Theodora Tobias Una Verena Viola Wallace Wilfred Winifred Zelda',
  last:
    'Abernethy Ackroyd Baxendale Birtwistle Brackley Cathcart Cheverell Corrigan Dalgleish Dunwoody Eastlake Entwistle Fairweather Farquhar Galbraith ' +
    'Garside Hadlow Hawtrey Iremonger Jessop Kershaw Kilbride Lanyon Lockyer Maddox Merriweather Netherby Nuttall Oakeshott Ollerenshaw Pemberton Penhallow ' +
    'Quayle Ravenscroft Redfern Rokeby Saltonstall Scrimgeour Sedgwick Tattersall Thwaite Trelawney Umfraville Ventris Wadsworth Wainwright Wetherell ' +
    'Whitlock Winstanley Yelverton',
  place:
    'Alderwick Ambercombe Bexhall Birchover Brindlemoor Calderby Carnforth Chalkney Coldharbour Dawlmouth Dunstrand Eastmere Elmsworth Fallowden Fenwick ' +
    'Garstang Glenorchy Hathersage Hollinfirth Ickleton Inverlair Kelmscott Kingsbarns Langport Lowmoor Marlpit Mossgiel Netherfold Norbury Oldcastle Oxwich ' +
    'Pendragon Polperro Quernmore Ramsbottom Redwater Saltburn Silverdale Stonegrave Tamerton Thornaby Ullswick Upwey Vallis Wardle Westering Windrush ' +
    'Wolverley Yarmley Zennor',
  building: 'granary strongroom cistern silo observatory brewery foundry ropewalk tannery dispensary dovecote orangery icehouse malthouse smithy warehouse boathouse gatehouse',
  vessel: 'Albatross Bellflower Cormorant Dauntless Evening_Star Firefly Golden_Fleece Harrier Iolanthe Jessamine Kestrel Lodestar Meridian Nightjar Osprey Petrel Rosamund Sea_Holly Tempest Undine Vigilant Wanderer',
  object: 'astrolabe barometer casket chronometer clavichord gramophone hourglass lantern ledger loom microscope music_box pendulum portrait sextant snuffbox spyglass telescope theodolite trunk',
  work: 'aqueduct bypass causeway culvert embankment footbridge lock reservoir sluice tunnel viaduct weir',
  device: 'boiler burner clutch compressor dynamo gauge governor injector lathe press pump ratchet regulator turbine valve winch',
  room: 'armoury ballroom buttery cloakroom conservatory crypt gallery laundry library pantry refectory schoolroom scullery solar study undercroft vestry',
  contest: 'bell-ringing cart derby egg-and-spoon fell ferret ploughing regatta sheepdog sprint steeplechase swimming tug-of-war walking',
  colour: 'amber apricot beige bronze burgundy cobalt copper coral crimson ecru fawn fuchsia indigo ivory khaki lavender lilac maroon mauve ochre olive russet saffron sepia sienna tan teal turquoise umber vermilion',
  food: 'apple_dumplings barley_broth bramble_jelly cheese_straws clotted_cream crab_soup damson_pie eel_pie fig_rolls ginger_parkin ham_hock jugged_hare kedgeree lemon_curd mutton_stew oatcakes pickled_walnuts plum_duff quince_paste roast_chestnuts seed_cake spiced_pears toasted_muffins treacle_tart',
} as const satisfies Record<string, string>;

type ListName = keyof typeof LISTS;

const HALVES = new Map<string, readonly string[]>();

function half(name: ListName, split: Split): readonly string[] {
  const key = `${name} ${split}`;
  const known = HALVES.get(key);
  if (known) return known;
  const all = LISTS[name].split(' ').map((word) => word.replaceAll('_', ' '));
  const made = all.filter((_, i) => (i % 2 === 0) === (split === 'train'));
  HALVES.set(key, made);
  return made;
}

function digits(count: number, random: Random): string {
  return String(10 ** (count - 1) + randomBelow(9 * 10 ** (count - 1), random));
}

function letter(random: Random): string {
  return String.fromCodePoint(65 + randomBelow(26, random));
}

/** A name or value of a kind, such as "the Bexhall granary" or "$12,400". Throws RangeError for other kinds. */
export function drawOfKind(kind: string, split: Split, random: Random): string {
  const of = (name: ListName): string => pick(half(name, split), random);
  switch (kind) {
    case 'person':
      return `${of('first')} ${of('last')}`;
    case 'place':
      return random() < 0.5 ? of('place') : `${pick(['Port', 'Little', 'Great', 'Upper', 'Nether'], random)} ${of('place')}`;
    case 'thing':
      return `the ${of('place')} ${of('building')}`;
    case 'project':
      return `the ${of('place')} ${of('work')}`;
    case 'ship':
      return `the ${of('vessel')} of ${of('place')}`;
    case 'object':
      return `the ${of('last')} ${of('object')}`;
    case 'product':
      return `the ${of('last')} ${of('device')}`;
    case 'room':
      return `the ${of('room')} of ${of('last')} House`;
    case 'event':
      return `the ${of('place')} ${of('contest')} race`;
    case 'num':
      return digits(4 + randomBelow(4, random), random);
    case 'money':
      return `$${(1000 + randomBelow(99_000, random)).toLocaleString('en-US')}`;
    case 'code':
      return `${letter(random)}${letter(random)}-${digits(3, random)}`;
    case 'time':
      return `${1 + randomBelow(12, random)}:${String(randomBelow(60, random)).padStart(2, '0')}`;
    case 'colour':
      return of('colour');
    case 'food':
      return of('food');
    default:
      throw new RangeError(`no names of kind ${kind}`);
  }
}

/** "it" for most things, as a sentence about them goes on. */
export function pronounOf(kind: string): string {
  return kind === 'person' ? 'them' : 'it';
}
