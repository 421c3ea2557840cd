"""Handwritten digits: three convolutions, two poolings, two dense layers.

python examples/mnist_first_cnn.py --data DIR      official MNIST files (IDX .gz); about 99 % after 5 epochs
python examples/mnist_first_cnn.py --digits        the digits that the package carries
"""

from _data import load, options

from fastconv import layers, models


def build():
    """Return the uncompiled network."""
    return models.Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main():
    args = options(__doc__, epochs=5)
    (x_train, y_train), (x_test, y_test) = load("mnist", args, (28, 28, 1))
    x_train, x_test = (x.reshape(-1, 28, 28, 1) / 255.0 for x in (x_train, x_test))
    model = build()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()
    model.fit(x_train, y_train, epochs=args.epochs, validation_data=(x_test, y_test))
    loss, accuracy = model.evaluate(x_test, y_test)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
