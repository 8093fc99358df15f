"""Pictures with text over them, and which cell holds which character.

A picture is drawn at the size that it has in a film, damaged as codecs do it, and only then squashed to the tower's pixels, as a
frame is. The fonts are the machine's own, by family; some families are for evaluation only.
"""
import io
import math
import random
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from alphabet import CHARACTERS, CLASS

CELL = 8            # pixels along each side of a cell: one patch, one soft token
GRID = 24           # cells along each side of a whole frame

# File names begin so; Debian's packages of these names hold them.
TRAIN_FONTS = (
    "DejaVuSans", "DejaVuSerif", "LiberationSans", "LiberationSerif", "LiberationMono", "FreeSans", "FreeSerif", "Roboto", "OpenSans", "Cantarell", "Inter-", "FiraCode", "NotoSans-",
    "NimbusSans", "NimbusRoman", "NimbusMonoPS", "P052", "C059", "URWGothic", "Carlito", "Arimo", "Tinos", "Cousine", "Quicksand", "ComicNeue", "LeagueSpartan", "Accanthis", "Andika",
    "B612", "Baskervald", "BetecknaGS", "Cabin", "CharisSIL", "ClearSans", "Comfortaa", "Courier Prime", "Dosis", "Fanwood", "Garuda", "GentiumPlus", "GilliusADF", "Go-", "GoudyBookletter",
    "IkariusADF", "Inconsolata", "JetBrainsMono", "Junction", "JunicodeTwoBeta-", "Jura", "Karla-", "Laksaman", "LeagueMono", "LibrisADF", "LinBiolinum_R", "LinLibertine_R", "LindenHill", "Loma", "Manjari",
    "Manrope", "NanumBarunGothic", "NanumGothic", "NanumMyeongjo", "NationalPark", "OldStandard", "PTC", "PTF", "PTM", "PTN", "PTS", "Play", "Prociono", "Quattrocento", "RG2014", "Rasa",
    "RomandeADFStd", "RomandeADFNo2Std", "STIX-", "STIXGeneral", "Sawasdee", "Sora", "SourceSans3", "Tuffy", "Umpush", "UniversalisADF", "Verana", "Vollkorn", "Waree", "YanoneKaffeesatz", "Yrsa",
    "allerta_medium", "mononoki",
)
HELD_FONTS = ("Lato", "Oxygen", "Caladea", "Hack", "NotoSerif-", "EBGaramond12", "URWBookman")
NOT_FONTS = ("Oblique", "Thin", "Hairline", "ExtraLight", "BdIta", "MathTeX")


def fonts(prefixes, root="/usr/share/fonts"):
    found = {p.name: p for p in sorted(Path(root).rglob("*")) if p.suffix in (".ttf", ".otf")}
    kept = [str(p) for name, p in sorted(found.items()) if name.startswith(prefixes) and not any(n in name for n in NOT_FONTS)]
    if not kept:
        raise SystemExit(f"no fonts of {', '.join(prefixes)} in {root}: install Debian's fonts-dejavu, fonts-liberation, fonts-lato ... (README)")
    return kept


def families(paths):
    """By the first letters of the file name, so that a family of twelve weights is not drawn twelve times as often."""
    by = {}
    for p in paths:
        by.setdefault(Path(p).name.split("-")[0].split(".")[0], []).append(p)
    return list(by.values())


@lru_cache(4096)
def load_font(path, size):
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(None)
def advances(path):
    """Width of each printable character, in ems."""
    font = load_font(path, 100)
    return {c: font.getlength(c) / 100 for c in CHARACTERS}


def length(path, text):
    """In ems, without kerning: what Pillow measures is a tenth of the time of drawing."""
    of = advances(path)
    return sum(of[c] for c in text)


def columns(centres, count):
    """Different cells in order for centres in cells, as near as can be: isotonic regression of centre - rank, then rounded."""
    blocks = []     # [mean, size]
    for rank, x in enumerate(centres):
        blocks.append([x - .5 - rank, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, m), (a, n) = blocks.pop(), blocks.pop()
            blocks.append([(a * n + b * m) / (m + n), m + n])
    first = [round(mean) for mean, size in blocks for _ in range(size)]
    n = len(first)
    return [min(max(f, 0), count - n) + rank for rank, f in enumerate(first)]


class Overlays:
    """Draws samples: (picture u8 [rows * CELL, columns * CELL, 3], classes [rows, columns])."""

    def __init__(self, texts, font_paths, pictures):
        self.texts = texts
        self.families = families(font_paths)
        self.pictures = [Image.open(p).convert("RGB") for p in pictures]

    # -- background ------------------------------------------------------------------------------

    def background(self, r, width, height):
        kind = r.random()
        rng = np.random.default_rng(r.getrandbits(32))
        if kind < .45 and self.pictures:
            image = r.choice(self.pictures)
            scale = r.uniform(max(width / image.width, height / image.height), max(1.2, 2 * max(width / image.width, height / image.height)))
            w, h = max(1, round(width / scale)), max(1, round(height / scale))
            w, h = min(w, image.width), min(h, image.height)
            x, y = r.randint(0, image.width - w), r.randint(0, image.height - h)
            part = image.crop((x, y, x + w, y + h)).resize((width, height), Image.BILINEAR)
            if r.random() < .5:
                part = part.transpose(Image.FLIP_LEFT_RIGHT)
            gains = rng.uniform(.5, 1.3, 3) if r.random() < .6 else np.full(3, rng.uniform(.5, 1.4))
            return Image.fromarray((np.asarray(part, np.float32) * gains).clip(0, 255).astype(np.uint8))
        if kind < .6:
            a, b = rng.integers(0, 256, (2, 3))
            t = np.linspace(0, 1, width)[None, :, None] * rng.uniform(-1, 1) + np.linspace(0, 1, height)[:, None, None] * rng.uniform(-1, 1)
            t = (t - t.min()) / max(1e-6, np.ptp(t))
            return Image.fromarray((a + (b - a) * t).astype(np.uint8))
        if kind < .85:
            # Noise of some coarseness over a colour, and shapes that are no letters.
            w, h = max(2, width // r.choice((2, 6, 16, 40))), max(2, height // r.choice((2, 6, 16, 40)))
            noise = rng.normal(rng.integers(0, 256, 3), rng.uniform(5, 60), (h, w, 3)).clip(0, 255).astype(np.uint8)
            image = Image.fromarray(noise).resize((width, height), r.choice((Image.BILINEAR, Image.BICUBIC, Image.NEAREST)))
            draw = ImageDraw.Draw(image)
            for _ in range(r.choice((0, 0, 2, 6))):
                x, y = r.randint(-20, width), r.randint(-20, height)
                box = (x, y, x + r.randint(2, width), y + r.randint(2, max(3, height)))
                colour = tuple(rng.integers(0, 256, 3).tolist())
                r.choice((draw.ellipse, draw.rectangle, draw.line))(box, fill=colour)
            return image
        return Image.new("RGB", (width, height), tuple(rng.integers(0, 256, 3).tolist()))

    # -- text --------------------------------------------------------------------------------------

    def sample(self, r, rows, cols, text=None, plain=False):
        """`text`: lines to draw instead of drawn ones. `plain`: white on a black box or the other way round, as subtitles and needles are."""
        width, height = cols * CELL, rows * CELL
        # Of a film: how many of its pixels become one of the tower's.
        aspect = r.choice((9 / 16, 9 / 16, 9 / 16, 3 / 4, 3 / 4, 1, 1.2))
        sx = r.uniform(1.6, 3.4)
        sy = sx * aspect
        W, H = round(width * sx), round(height * sy)
        image = self.background(r, W, H)
        classes = np.zeros((rows, cols), np.int64)
        if text is not None or r.random() < .9:
            image = self.draw(r, image, classes, sx, sy, text, plain)
        image = self.damage(r, image)
        return np.asarray(image.resize((width, height), Image.BILINEAR)), classes

    def fit(self, r, W, H, sx, sy, text):
        """Font, its size, lines and their distance, so that a character has a cell of its own and the lines fit; None: they can't."""
        for _ in range(12):
            count = len(text) if text else r.randint(1, min(6, max(2, round(H / sy / CELL) // 3)))
            path = r.choice(r.choice(self.families))
            mean = length(path, "the quick brown fox") / 19
            # An em of 11 of the tower's pixels, and a character of one cell, are the least that may be legible.
            least = max(11 * sy, 1.05 * CELL * sx / mean)
            most = min(H / count / 1.15, 60 * sy, 4.2 * CELL * sx / mean)
            if least > most:
                continue
            # In steps, so that a font is loaded once for many pictures; small rather than large, for more characters in a picture.
            em = round(1.07 ** math.floor(math.log(least * (most / least) ** (r.random() ** 1.3), 1.07) + 1))
            width = (W - .5 * em) / em
            most_characters = lambda s: len(s) * CELL * .98 <= length(path, s) * em / sx + CELL
            fits = lambda s: length(path, s) <= width and most_characters(s)
            lines = text if text else self.texts.lines(r, fits, count)
            if lines and all(fits(line) for line in lines):
                return path, em, lines, em * r.uniform(1.15, max(1.16, min(1.5, H / len(lines) / em)))
        return None

    def draw(self, r, image, classes, sx, sy, text, plain):
        W, H = image.size
        fitted = self.fit(r, W, H, sx, sy, text)
        if fitted is None:
            return image
        path, em, lines, pitch = fitted
        font = load_font(path, em)
        widths = [font.getlength(line) for line in lines]
        block, tall = max(widths), pitch * (len(lines) - 1) + em
        x0, y0 = r.uniform(.1 * em, max(.1 * em, W - block - .1 * em)), r.uniform(0, max(0, H - tall * 1.08))
        align = r.choice((0, .5, .5, 1))
        fore, back, opacity, outline, shadow = self.style(r, plain)
        draw = ImageDraw.Draw(image)
        ascent = font.getmetrics()[0]
        at = [(x0 + (block - w) * align, y0 + i * pitch) for i, w in enumerate(widths)]
        if opacity > 0:
            pad = em * r.uniform(.05, .6)
            boxes = [(x0 - pad, y0 - pad * .5, x0 + block + pad, y0 + tall + em * .25)]
            if r.random() < .2:
                boxes = [(x - pad, y - pad * .3, x + w + pad, y + em * 1.2) for (x, y), w in zip(at, widths)]
            if r.random() < .15:
                boxes = [(-1, y0 - pad * .5, W + 1, y0 + tall + em * .25)]
            layer = image.copy()
            for box in boxes:
                ImageDraw.Draw(layer).rectangle(box, fill=back)
            image = Image.blend(image, layer, opacity)
            draw = ImageDraw.Draw(image)
        stroke = max(1, round(em * outline)) if outline else 0
        for (x, y), w, line in zip(at, widths, lines):
            # Pillow's anchor "ls": x is the line's left end, y its baseline.
            base = y + min(ascent, em * 1.05) * .9
            if shadow:
                draw.text((x + em * .06, base + em * .06), line, font=font, fill=back, anchor="ls")
            draw.text((x, base), line, font=font, fill=fore, anchor="ls", stroke_width=stroke, stroke_fill=back)
            self.label(classes, line, path, x, w, base - .3 * em, sx, sy)
        return image

    def label(self, classes, line, path, x, width, middle, sx, sy):
        rows, cols = classes.shape
        row = int(middle / sy // CELL)
        ends = np.cumsum([0] + [advances(path)[c] for c in line])
        ends = x + ends * (width / ends[-1])      # the whole with its kerning, spread evenly
        centres = (ends[:-1] + ends[1:]) / 2 / sx / CELL
        if 0 <= row < rows and len(line) <= cols:
            for column, character in zip(columns(centres.tolist(), cols), line):
                classes[row, column] = CLASS[character]

    def style(self, r, plain):
        """Colour, colour behind, how opaque the box is, outline in ems, shadow; light and dark differ enough to read."""
        light = tuple(r.randint(190, 255) for _ in range(3)) if r.random() < .6 else (255, 255, 255)
        dark = tuple(r.randint(0, 70) for _ in range(3)) if r.random() < .6 else (0, 0, 0)
        if not plain and r.random() < .2:
            light = tuple(r.choice((r.randint(0, 120), 255)) for _ in range(3))
            if sum(light) < 400:
                light = (255, 255, r.randint(0, 255))
        fore, back = (light, dark) if r.random() < (.7 if plain else .65) else (dark, light)
        if plain or r.random() < .55:
            return fore, back, r.uniform(.75, 1), 0, False
        if r.random() < .7:
            return fore, back, 0, r.uniform(.04, .12), r.random() < .3
        return fore, back, r.uniform(.4, .75), 0, r.random() < .5

    # -- what a codec does ---------------------------------------------------------------------------

    def damage(self, r, image):
        if r.random() < .25:
            image = image.filter(ImageFilter.GaussianBlur(r.uniform(.3, 1.1)))
        if r.random() < .65:
            # 4:2:0 and blocks of 8, as H.264 at a low rate.
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=r.randint(25, 92), subsampling=2)
            image = Image.open(buffer)
        return image


def batch(overlays, r, count, rows, cols):
    """f32 patches [count, rows * cols, 3 * CELL^2] as the runtime cuts them (channel, row, column), and classes [count, rows * cols]."""
    drawn = [overlays.sample(r, rows, cols, plain=r.random() < .85) for _ in range(count)]
    pictures = np.stack([p for p, _ in drawn]).astype(np.float32) / 127.5 - 1
    return patches(pictures), np.stack([c for _, c in drawn]).reshape(count, -1)


def patches(pictures):
    n, height, width, channels = pictures.shape
    cut = pictures.reshape(n, height // CELL, CELL, width // CELL, CELL, channels)
    return np.ascontiguousarray(cut.transpose(0, 1, 3, 5, 2, 4)).reshape(n, -1, channels * CELL * CELL)
