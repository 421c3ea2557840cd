"""Models: `Sequential`, functional and subclassed `Model`, training, summary, saving, callbacks."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Model": ".model",
        "Sequential": ".sequential",
        "save_model": ".saving",
        "load_model": ".saving",
        "model_from_json": ".saving",
        "clone_model": ".saving",
        "callbacks": None,
    },
)
