"""CIFAR-10: six 3x3 convolutions in three pairs, batch normalisation after each, dropout after each pair.

python examples/cifar10_cnn.py --data DIR      official CIFAR-10 files; about 83 % after 12 epochs
python examples/cifar10_cnn.py --digits        the digits that the package carries, enlarged
"""

from _data import load, options

from fastconv.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPool2D
from fastconv.models import Sequential
from fastconv.utils import to_categorical


def build():
    """Return the uncompiled network."""
    model = Sequential()
    for i, filters in enumerate((32, 64, 128)):
        first = {"input_shape": (32, 32, 3)} if i == 0 else {}
        model.add(Conv2D(filters, (3, 3), activation="relu", padding="same", **first))
        model.add(BatchNormalization())
        model.add(Conv2D(filters, (3, 3), activation="relu", padding="same"))
        model.add(BatchNormalization())
        model.add(MaxPool2D(pool_size=(2, 2)))
        model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(128, activation="relu"))
    model.add(Dropout(0.25))
    model.add(Dense(10, activation="softmax"))
    return model


def main():
    args = options(__doc__, epochs=12)
    (x_train, y_train), (x_test, y_test) = load("cifar10", args, (32, 32, 3))
    x_train, x_test = x_train / 255.0, x_test / 255.0
    y_train, y_test = to_categorical(y_train, 10), to_categorical(y_test, 10)
    model = build()
    model.summary()
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics="accuracy")
    model.fit(x_train, y_train, epochs=args.epochs, validation_data=(x_test, y_test))
    loss, accuracy = model.evaluate(x_test, y_test)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
