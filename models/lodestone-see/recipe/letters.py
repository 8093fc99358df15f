"""Letters as a picture, for the needles of `lodestone needle --suite video`: a machine need not have fonts for it.

python letters.py --out ../../../fixtures/video: letters.png, all printable characters of ASCII in a row, white on black, and letters.json,
how many pixels wide each is. The font is Lato Bold (SIL Open Font License), which the tower is not trained on.
"""
import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw

from alphabet import CHARACTERS
from overlays import fonts, load_font

HEIGHT, SIZE = 64, 52


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", required=True)
    out = Path(ap.parse_args().out)
    [path] = [p for p in fonts(("Lato-Bold",)) if p.endswith("Lato-Bold.ttf")]
    font = load_font(path, SIZE)
    widths = [max(1, round(font.getlength(c))) for c in CHARACTERS]
    sheet = Image.new("L", (sum(widths), HEIGHT))
    x = 0
    for c, w in zip(CHARACTERS, widths):
        glyph = Image.new("L", (w, HEIGHT))
        ImageDraw.Draw(glyph).text((0, 50), c, font=font, fill=255, anchor="ls")
        sheet.paste(glyph, (x, 0))
        x += w
    sheet.save(out / "letters.png", optimize=True)
    (out / "letters.json").write_text(json.dumps(dict(font="Lato Bold, SIL Open Font License 1.1", height=HEIGHT, first=32, widths=widths)) + "\n")


if __name__ == "__main__":
    main()
