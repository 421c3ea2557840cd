"""fastconv: an `InferenceSession`."""

from fastconv import InferenceSession, SessionOptions, config


def start(threads):
    config.set_num_threads(threads)


def load(variant, path, shapes):
    """Return a function that runs the file; `variant` is a precision, or "" for the one in force."""
    options = SessionOptions()
    options.precision = variant or None
    session = InferenceSession(path, options)
    return lambda feeds: session.run(None, feeds)
