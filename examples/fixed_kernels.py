"""Two fixed 3x3 kernels on a picture: the mean blurs it, differences of neighbours find its edges.

python examples/fixed_kernels.py                      a digit, enlarged; writes fixed_kernels.png if Pillow is there
python examples/fixed_kernels.py PICTURE --out FILE   any picture that Pillow reads
"""

import argparse

import numpy as np

import fastconv
from fastconv import datasets

BLUR = np.full((3, 3), 1 / 9, np.float32)
EDGES = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


def convolve(picture, kernel):
    """Return `picture` (H, W) convolved with a (3, 3) kernel, the same size."""
    x = picture[None, :, :, None].astype(np.float32)
    return fastconv.ops.conv2d(x, kernel[:, :, None, None], padding="same").numpy()[0, :, :, 0]


def ascii_art(picture):
    """Return a small grey picture as text, dark to bright."""
    shades = np.array(list(" .:-=+*#%@"))
    low, high = picture.min(), picture.max()
    scaled = (picture - low) / (high - low or 1) * (len(shades) - 1)
    return "\n".join("".join(shades[row.astype(int)].repeat(2)) for row in scaled)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?")
    parser.add_argument("--out", default="fixed_kernels.png")
    args = parser.parse_args()
    if args.picture:
        from PIL import Image

        picture = np.asarray(Image.open(args.picture).convert("L"), np.float32)
    else:
        (images, _), _ = datasets.digits.load_data()
        picture = np.kron(images[0], np.ones((3, 3), np.uint8)).astype(np.float32) * 255 / 16

    results = {"picture": picture, "blur": convolve(picture, BLUR), "edges": np.abs(convolve(picture, EDGES))}
    if max(picture.shape) <= 32:
        for name, result in results.items():
            print(f"{name}:\n{ascii_art(result)}\n")
    for name, result in results.items():
        steps = np.abs(np.diff(result, axis=1)).mean()
        print(f"{name:8} mean {result.mean():7.2f}, mean step between neighbours {steps:7.2f}")

    try:
        from PIL import Image
    except ImportError:
        print("Pillow is not installed: no picture written (pip install fastconv[image])")
        return
    strip = np.concatenate([np.clip(result, 0, 255) for result in results.values()], axis=1).astype(np.uint8)
    Image.fromarray(strip).save(args.out)
    print(f"wrote {args.out}: picture, blur, edges")


if __name__ == "__main__":
    main()
