"""A network on 64x64 colour images, built a layer at a time; what each layer makes of one picture.

python examples/layer_by_layer.py --digits         the digits that the package carries, enlarged
python examples/layer_by_layer.py --data DIR       official CIFAR-10 files, doubled to 64x64
"""

import numpy as np
from _data import enlarged_digits, load, options

import fastconv
from fastconv.layers import Conv2D, Dense, Flatten, MaxPooling2D
from fastconv.models import Sequential


def build():
    """Return the uncompiled network."""
    model = Sequential()
    model.add(Conv2D(32, kernel_size=(3, 3), input_shape=(64, 64, 3), activation="relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Conv2D(64, kernel_size=(3, 3), activation="relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Flatten())
    model.add(Dense(64, activation="relu"))
    model.add(Dense(10, activation="softmax"))
    return model


def main():
    args = options(__doc__, epochs=2)
    args.limit = args.limit or 2000
    shape = (64, 64, 3)
    (x_train, y_train), (x_test, y_test) = load("cifar10", args, shape) if args.data else enlarged_digits(shape)
    x_train, y_train = x_train[: args.limit], y_train[: args.limit]
    if x_train.shape[1] == 32:
        x_train, x_test = (x.repeat(2, axis=1).repeat(2, axis=2) for x in (x_train, x_test[: args.limit]))
    y_test = y_test[: len(x_test)]
    model = build()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train / np.float32(255), y_train, epochs=args.epochs)
    loss, accuracy = model.evaluate(x_test / np.float32(255), y_test)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.2%}")

    print("\nOne picture on its way through the network:")
    with fastconv.no_grad():
        x = fastconv.tensor(x_test[:1] / np.float32(255))
        for layer in model.layers:
            x = layer(x)
            values = x.numpy()
            print(f"  {layer.name:16} {str(x.shape):20} {np.mean(values != 0):6.1%} of its values are not zero")


if __name__ == "__main__":
    main()
