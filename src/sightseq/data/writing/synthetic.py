"""Generated lines of writing, that are learnable quickly."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WORDS = ("tea", "a", "set", "seat", "eat", "tests", "at")


def draw_text(text: str, height: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a line of text in a plain font, dark on light paper with noise, [height, W]."""
    font = ImageFont.load_default(0.75 * height)
    width = round(font.getlength(text)) + height // 2
    image = Image.new("L", (width, height), 230)
    ImageDraw.Draw(image).text((height // 4, height // 2), text, fill=40, font=font, anchor="lm")
    noisy = np.asarray(image) + generator.normal(0, 5, (height, width))
    return noisy.clip(0, 255).astype(np.uint8)


def random_words(generator: np.random.Generator, count: int) -> str:
    """Return random short words, separated by spaces."""
    return " ".join(str(word) for word in generator.choice(WORDS, count))
