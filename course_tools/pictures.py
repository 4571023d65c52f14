"The site's pictures: few colors, thumbnails of pages, and what a link to a page shows elsewhere."

import base64
import io
import textwrap
from pathlib import Path


def write(path: Path, text: str | bytes):
    "Write a file unless it says the same already, so that Sphinx rereads only what changed."
    data = text.encode() if isinstance(text, str) else text
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def few_colors(png: bytes, width: int = 10_000) -> bytes:
    "A picture with 64 colors, at most `width` pixels wide: a third of the bytes."
    from PIL import Image

    im = Image.open(io.BytesIO(png)).convert("RGBA")
    if im.width > width:
        im = im.resize((width, round(im.height * width / im.width)), Image.LANCZOS)
    im.quantize(64).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return buffer.getvalue()


def thumbnail(png_base64: str) -> bytes:
    return few_colors(base64.b64decode(png_base64), 560)


def social_card(title: str, subtitle: str, figure: bytes | None) -> bytes:
    "The picture that a link to the page shows elsewhere, 1200 × 630."
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = lambda name, size: ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / f"fonts/ttf/{name}.ttf"), size
    )
    card = Image.new("RGB", (1200, 630), "#0f1720")
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, 14, 630), fill="#2f81f7")
    draw.text((80, 64), "llm_course", font=font("DejaVuSansMono", 30), fill="#8b9bb0")
    draw.multiline_text(
        (80, 130),
        textwrap.fill(title, 26),
        font=font("DejaVuSans-Bold", 58),
        fill="white",
        spacing=14,
    )
    draw.multiline_text(
        (80, 300 if len(title) <= 26 else 350),
        textwrap.fill(subtitle, 46 if figure else 62),
        font=font("DejaVuSans", 28),
        fill="#c9d4e0",
        spacing=12,
    )
    if figure:
        im = Image.open(io.BytesIO(figure)).convert("RGBA")
        im.thumbnail((420, 420))
        card.paste(im, (1140 - im.width, 570 - im.height), im)
    card.quantize(64).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return buffer.getvalue()
