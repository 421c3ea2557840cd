"""What holds while layers are called or built, on this Python thread."""

import contextlib
import threading


class _Context(threading.local):
    training = None  # the `training` of the layer call around this one
    skeleton = False  # weights made now get a shape and no memory


context = _Context()

# Two threads that call an unbuilt layer must not build it twice. One lock for all: a lock in a layer could not be copied.
build_lock = threading.RLock()


@contextlib.contextmanager
def skeleton():
    """Context manager: layers built inside have symbolic weights, which `models.saving` fills.

    So a model that is being loaded allocates what its file holds, not what its configuration claims.
    """
    before = context.skeleton
    context.skeleton = True
    try:
        yield
    finally:
        context.skeleton = before


@contextlib.contextmanager
def training_phase(training):
    """Context manager: layers called inside take `training` from here unless they are told otherwise."""
    before = context.training
    context.training = training
    try:
        yield
    finally:
        context.training = before
