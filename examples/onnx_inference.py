"""Classify pictures with an ONNX file: `fastconv.InferenceSession` has ONNX Runtime's interface.

python examples/onnx_inference.py                               trains on the carried digits, exports, runs the ONNX file
python examples/onnx_inference.py MODEL.onnx PICTURE ...        any classifier of NCHW pictures (needs Pillow)
    --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 --classes names.txt      as torchvision's ImageNet models want them
"""

import argparse
import os
import tempfile

import numpy as np

import fastconv
from fastconv import datasets, layers, models


def top(scores, names, count=5):
    """Return the `count` best classes of a row of scores (logits or probabilities) as text."""
    if scores.min() < 0 or scores.max() > 1:
        powers = np.exp(scores - scores.max())
        scores = powers / powers.sum()
    best = np.argsort(-scores)[:count]
    return ", ".join(f"{names[i]} {scores[i]:.1%}" for i in best)


def read(path, height, width, mean, std):
    """Return a picture as (1, 3, height, width): the short side resized, the middle cropped, normalised."""
    from PIL import Image

    image = Image.open(path).convert("RGB")
    scale = 256 / 224 * max(height / image.height, width / image.width)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.float32) / 255
    return ((pixels - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)[None]


def classify(args):
    """Print the best classes of every picture."""
    session = fastconv.InferenceSession(args.model)
    argument = session.get_inputs()[0]
    height, width = (size if isinstance(size, int) else 224 for size in argument.shape[2:])
    for path in args.pictures:
        x = read(path, height, width, args.mean, args.std)
        scores = session.run(None, {argument.name: x})[0].reshape(-1)
        if args.classes:
            with open(args.classes, encoding="utf-8") as lines:
                names = [line.strip() for line in lines]
        else:
            names = range(len(scores))
        print(f"{path}: {top(scores, names)}")


def make_and_check():
    """Train on the carried digits, export the model as ONNX, and see that the file computes the same."""
    fastconv.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    x_train, x_test = (x[..., None] / np.float32(16) for x in (x_train, x_test))
    model = models.Sequential(
        [
            layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(x_train, y_train, epochs=5, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "digits.onnx")
        fastconv.onnx.save(model, path)
        print(f"digits.onnx: {os.path.getsize(path) / 1024:.0f} kB")
        session = fastconv.InferenceSession(path)
        argument = session.get_inputs()[0]
        scores = session.run(None, {argument.name: x_test})[0]
    np.testing.assert_allclose(scores, model.predict(x_test, verbose=0), rtol=1e-4, atol=1e-6)
    print(
        f"the file gives what the model gives; {np.mean(scores.argmax(1) == y_test):.1%} of {len(y_test)} digits are right"
    )
    print(f"a {y_test[0]}: {top(scores[0], range(10))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", metavar="MODEL.onnx")
    parser.add_argument("pictures", nargs="*", metavar="PICTURE")
    parser.add_argument("--mean", type=float, nargs=3, default=[0.485, 0.456, 0.406])
    parser.add_argument("--std", type=float, nargs=3, default=[0.229, 0.224, 0.225])
    parser.add_argument("--classes", metavar="FILE", help="class names, one a line")
    args = parser.parse_args()
    if args.model:
        classify(args)
    else:
        make_and_check()


if __name__ == "__main__":
    main()
