"""What the examples share: their options, and the carried digits blown up to the size that a network wants."""

import argparse

import numpy as np

from fastconv import config, datasets, errors, utils


def options(description, epochs):
    """Return the parsed command line: --data, --epochs, --digits, --limit, --seed, --threads."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="folder with the official files (default: the usual caches)")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--digits", action="store_true", help="use the digits that the package carries, enlarged")
    parser.add_argument("--limit", type=int, metavar="N", help="train on the first N images only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    utils.set_random_seed(args.seed)
    if args.threads:
        config.set_num_threads(args.threads)
    return args


def enlarged_digits(shape):
    """Return the 8x8 digits as uint8 images of `shape` (height, width, channels), centred, 0..255."""

    def enlarge(images):
        factor = min(shape[0] // 8, shape[1] // 8)
        big = np.kron((images.astype(np.uint16) * 255 // 16).astype(np.uint8), np.ones((factor, factor), np.uint8))
        top, left = (shape[0] - big.shape[1]) // 2, (shape[1] - big.shape[2]) // 2
        full = np.pad(big, ((0, 0), (top, shape[0] - top - big.shape[1]), (left, shape[1] - left - big.shape[2])))
        return np.repeat(full[..., None], shape[2], axis=-1)

    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    return (enlarge(x_train), y_train), (enlarge(x_test), y_test)


def load(name, args, shape):
    """Return ((x_train, y_train), (x_test, y_test)) of the data set `name`, or the enlarged digits with --digits."""
    if args.digits:
        (x_train, y_train), test = enlarged_digits(shape)
    else:
        try:
            (x_train, y_train), test = getattr(datasets, name).load_data(path=args.data)
        except errors.FastconvError as error:
            raise SystemExit(f"{error}\nWithout files: --digits") from None
    return (x_train[: args.limit], y_train[: args.limit]), test
