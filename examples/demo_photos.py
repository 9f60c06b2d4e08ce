"""Makes a small folder of real labelled photographs out of pictures that scikit-image ships.

    python examples/demo_photos.py FOLDER

Each class is a dozen square crops of one picture, at places and sizes drawn from a fixed random number.
"""

import random
import sys
from pathlib import Path

import skimage.data
from PIL import Image

PICTURES = {
    "astronaut": "astronaut.png",
    "camera": "camera.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "motorcycle": "motorcycle_left.png",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}
CROPS, SIDE = 12, 160


def main(folder: Path) -> None:
    """Writes `folder/<class>/<nn>.jpg`."""
    for label, name in PICTURES.items():
        draw = random.Random(label)
        picture = Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(CROPS):
            side = round(min(picture.size) * draw.uniform(0.55, 0.9))
            left, top = (draw.randint(0, length - side) for length in picture.size)
            crop = picture.crop((left, top, left + side, top + side))
            crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(folder / label / f"{i:02d}.jpg", quality=92)
    print(f"{len(PICTURES)} classes of {CROPS} photographs in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
