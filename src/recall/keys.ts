/** What needles are about: keys and values that are drawn anew for every haystack. */
import { drawDistinct, randomBelow, type Random } from '../random.js';

/** RULER's kind of key is adjective-noun; these lists are ours. */
const ADJECTIVES = (
  'able amber ancient arctic azure balmy bold brass brave brisk broad bronze calm candid cheery civic clear clever coastal copper coral ' +
  'cosmic crimson crisp curious damp daring deep dense dusty eager early earnest elder faint famous fancy fertile fiery firm floral fluent ' +
  'formal fragile frosty gallant gentle giant gilded glad glossy golden grand grave hardy hasty hazel heavy hidden hollow honest humble icy ' +
  'idle ivory jade jolly keen kind large late lavish lean limber liquid lively lofty lone loyal lucid lunar major marble mellow merry mild ' +
  'misty modest mossy mute narrow neat noble northern novel oaken olive opal orange ornate pale patient pearly placid plain polite proud ' +
  'quaint quick quiet rapid rare regal rigid robust rocky rosy royal rural rustic salty sandy scarlet serene sharp shiny silent silver simple ' +
  'sleek slender smoky smooth snowy sober solar solid southern spare spry stable steady stern stout strict sturdy subtle sunny swift tame ' +
  'tardy tawny tender tidy timid tranquil upper urban vast velvet verdant violet vivid warm wary western wild windy wise witty wooden zesty'
).split(' ');

const NOUNS = (
  'acorn almanac anchor anvil apron arbor arrow atlas badge bakery barley barrel basin beacon bellows bicycle blanket blossom bonnet bottle ' +
  'boulder bramble bridge bucket buckle button cabin candle canoe canvas canyon cape carriage castle cavern cedar cellar chalice chapel ' +
  'chisel cider cinder cliff clover cobbler comet compass cottage cradle crater creek cricket crown dagger dahlia delta dome drawer drum ' +
  'easel eclipse ember engine falcon feather fennel ferry fiddle flagon flint flute forge fountain furnace gable galley garnet gazebo ' +
  'glacier goblet granary gravel grove hammer harbour harness harp hatchet hazelnut hearth hedge helmet heron hinge hollyhock horizon ' +
  'island jacket jasmine jetty juniper kettle kiln ladder lagoon lantern lattice laurel ledger lemon lever lighthouse lilac linen locket ' +
  'loom magnet mallet mantle maple meadow medal melon mill mirror mitten monsoon mortar needlepoint nutmeg oar oasis orchard otter paddle ' +
  'pagoda parsley pebble pendulum pepper pillar pillow plaza plough pocket prairie prism pulley quarry quilt quiver rafter raven reef ribbon ' +
  'rudder saddle saffron satchel scarf sextant shutter sickle spindle spruce stable staircase stirrup summit sundial tavern teapot temple ' +
  'terrace thicket thimble thistle thorn timber tinder trellis trumpet tulip tundra turnip turret valley vase viaduct vineyard violin ' +
  'volcano wagon walnut warren weaver wharf wheel whistle willow window winter yarrow'
).split(' ');

/** `count` different keys such as "amber-lantern". */
export function drawWordKeys(count: number, random: Random): string[] {
  const size = ADJECTIVES.length * NOUNS.length;
  // Far more keys than pairs are rare; a second adjective in front makes enough of them.
  const all = count <= size ? size : size * ADJECTIVES.length;
  const drawn = new Set<number>();
  while (drawn.size < count) drawn.add(randomBelow(all, random));
  return [...drawn].map((index) => {
    const pair = index % size;
    const words = [ADJECTIVES[pair % ADJECTIVES.length]!, NOUNS[Math.floor(pair / ADJECTIVES.length)]!];
    if (all > size) words.unshift(ADJECTIVES[Math.floor(index / size)]!);
    return words.join('-');
  });
}

/** `count` different keys: cities while there are any, then words. */
export function drawKeys(cities: readonly string[], count: number, random: Random): string[] {
  const fromCities = drawDistinct(cities, Math.min(count, cities.length), random);
  return [...fromCities, ...drawWordKeys(count - fromCities.length, random)];
}

/** Seven digits, the first not 0. */
export function drawNumber(random: Random): string {
  return String(1_000_000 + randomBelow(9_000_000, random));
}

/** A version 4 UUID. */
export function drawUuid(random: Random): string {
  const digits = Array.from({ length: 32 }, () => randomBelow(16, random));
  digits[12] = 4;
  digits[16] = 8 + (digits[16]! & 3);
  const hex = digits.map((digit) => digit.toString(16)).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** `count` different values by `draw`, none of which `used` says is taken: the answer must stand in one place only. */
export function drawUnused(count: number, draw: (random: Random) => string, random: Random, used: (value: string) => boolean): string[] {
  const drawn = new Set<string>();
  for (let tries = 0; drawn.size < count; tries++) {
    if (tries > 100 * (count + 10)) throw new RangeError('the haystack holds nearly every value that a needle could have');
    const value = draw(random);
    if (!used(value)) drawn.add(value);
  }
  return [...drawn];
}
