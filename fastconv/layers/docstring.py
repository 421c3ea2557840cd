"""Docstrings of layers that differ in a few words: a base class holds the text, with capitals where its subclasses differ."""


def fill_in(base, **words):
    """Return the docstring of a class with each name of `words` replaced by its text; None where ``python -OO`` left none."""
    text = base.__doc__
    if text is not None:
        for name, word in words.items():
            text = text.replace(name, word)
    return text
