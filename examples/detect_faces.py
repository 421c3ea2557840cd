"""Find faces with an ONNX detector of the kind of UltraFace, and draw boxes around them.

python examples/detect_faces.py                                   a detector of bright spots, made here, on a drawn picture
python examples/detect_faces.py MODEL.onnx PICTURE --out FILE     version-RFB-320.onnx, say, on any picture (needs Pillow)

The detector takes pixels as (x - 127) / 128 and gives scores (1, N, 2), of "nothing" and "face", and boxes (1, N, 4): left,
top, right and bottom as shares of the picture.
"""

import argparse

import numpy as np

import fastconv
from fastconv import layers, models


def detect(session, pixels, threshold=0.7, overlap=0.4):
    """Return [(score, (left, top, right, bottom))] of the faces in `pixels` (H, W, 3), of 0..255, of the size that fits."""
    argument = session.get_inputs()[0]
    x = (pixels.astype(np.float32) - 127) / 128
    x = x.transpose(2, 0, 1) if argument.shape[1] == 3 else x
    scores, boxes = session.run(["scores", "boxes"], {argument.name: x[None]})
    scores, boxes = scores[0, :, 1], boxes[0]
    chosen = np.flatnonzero(scores > threshold)
    chosen = chosen[np.argsort(-scores[chosen])]
    found = []
    while len(chosen):  # the best, then the best of those that do not overlap it, and so on
        best, chosen = chosen[0], chosen[1:]
        found.append((float(scores[best]), tuple(boxes[best].tolist())))
        chosen = chosen[shared(boxes[best], boxes[chosen]) < overlap]
    return found


def shared(box, others):
    """Return the intersection over union of a box with each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.clip(high - low, 0, None).prod(1)
    return both / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - both)


def size_of(session):
    """Return (height, width) of the pictures that a session takes."""
    shape = session.get_inputs()[0].shape
    return tuple(shape[2:] if shape[1] == 3 else shape[1:3])


def draw(image, found, out):
    """Write a Pillow image with the boxes."""
    from PIL import ImageDraw

    pen = ImageDraw.Draw(image)
    for score, (left, top, right, bottom) in found:
        corners = (left * image.width, top * image.height, right * image.width, bottom * image.height)
        pen.rectangle(corners, outline=(255, 64, 0), width=max(image.width // 200, 2))
        pen.text((corners[0], corners[1] - 12), f"{score:.2f}", fill=(255, 64, 0))
    image.save(out)
    print(f"wrote {out}")


def save_spot_detector(path, height=96, width=128, cell=16):
    """Write an ONNX file with UltraFace's outputs that finds cells of the picture which are bright all over."""
    rows, columns = height // cell, width // cell
    top, left = np.mgrid[:rows, :columns]
    corners = np.stack([left / columns, top / rows, (left + 1) / columns, (top + 1) / rows], -1)
    x = layers.Input((height, width, 3))
    means = layers.AveragePooling2D(cell)(x)
    brightness = layers.Conv2D(2, 1, activation="softmax")
    constant = layers.Dense(corners.size)
    scores = layers.Reshape((rows * columns, 2), name="scores")(brightness(means))
    boxes = layers.Reshape((rows * columns, 4), name="boxes")(constant(layers.Flatten()(means)))
    model = models.Model(x, {"scores": scores, "boxes": boxes})
    brightness.set_weights([np.array([[[[-4, 4]] * 3]], np.float32).reshape(1, 1, 3, 2), np.float32([10, -10])])
    constant.set_weights(
        [np.zeros((rows * columns * 3, corners.size), np.float32), corners.reshape(-1).astype(np.float32)]
    )
    fastconv.onnx.save(model, path)


def find_spots(out):
    """Make the detector and a picture with two bright spots, and find them."""
    save_spot_detector("spots.onnx")
    session = fastconv.InferenceSession("spots.onnx")
    height, width = size_of(session)
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[16:32, 48:64] = pixels[64:80, 96:112] = 240
    found = detect(session, pixels)
    for score, box in found:
        print(f"a spot, score {score:.2f}, at {', '.join(f'{share:.3f}' for share in box)}")
    expected = {(0.375, 1 / 6, 0.5, 2 / 6), (0.75, 4 / 6, 0.875, 5 / 6)}
    assert {tuple(np.round(box, 4)) for _, box in found} == {tuple(np.round(box, 4)) for box in expected}
    try:
        from PIL import Image
    except ImportError:
        print("Pillow is not installed: no picture")
        return
    draw(Image.fromarray(pixels).resize((4 * width, 4 * height)), found, out)


def find_faces(model, picture, out, threshold):
    """Find the faces of a picture and write it with boxes around them."""
    from PIL import Image

    session = fastconv.InferenceSession(model)
    height, width = size_of(session)
    image = Image.open(picture).convert("RGB")
    found = detect(session, np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)), threshold)
    print(f"{picture}: {len(found)} face{'s' * (len(found) != 1)}")
    draw(image, found, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", metavar="MODEL.onnx")
    parser.add_argument("picture", nargs="?", metavar="PICTURE")
    parser.add_argument("--out", default="faces.png")
    parser.add_argument("--threshold", type=float, default=0.7)
    args = parser.parse_args()
    if args.model and not args.picture:
        parser.error("a model needs a PICTURE")
    if args.model:
        find_faces(args.model, args.picture, args.out, args.threshold)
    else:
        find_spots(args.out)


if __name__ == "__main__":
    main()
