"""Small helpers with Keras's names: `to_categorical`, `image_dataset_from_directory`, `set_random_seed`."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "to_categorical": ".numerical",
        "image_dataset_from_directory": ".image_dataset",
        "set_random_seed": "..config",
    },
)
