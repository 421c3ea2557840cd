"""The same small network with max, average and sum pooling: which summary of a window serves digits best?

python examples/digits_pooling.py                  the digits that the package carries
python examples/digits_pooling.py --data DIR       official MNIST files, cut to 28x28
"""

from _data import enlarged_digits, load, options

from fastconv import layers, models, utils


def build(pooling):
    """Return the uncompiled network: convolution, ReLU, pooling, twice; then one dense layer and softmax."""
    return models.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same"),
            layers.ReLU(),
            pooling(2),
            layers.Conv2D(32, 3, padding="same"),
            layers.ReLU(),
            pooling(2, strides=2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main():
    args = options(__doc__, epochs=6)
    shape = (28, 28, 1)
    train, test = load("mnist", args, shape) if args.data else enlarged_digits(shape)
    (x_train, y_train), (x_test, y_test) = ((x.reshape(-1, *shape) / 255.0, y) for x, y in (train, test))
    x_train, y_train = x_train[: args.limit], y_train[: args.limit]
    for pooling in (layers.MaxPooling2D, layers.AveragePooling2D, layers.SumPooling2D):
        utils.set_random_seed(args.seed)
        model = build(pooling)
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x_train, y_train, epochs=args.epochs, verbose=0)
        loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
        print(
            f"{pooling.__name__:18} training loss {history.history['loss'][-1]:.4f}, "
            f"test loss {loss:.4f}, test accuracy {accuracy:.2%}"
        )


if __name__ == "__main__":
    main()
