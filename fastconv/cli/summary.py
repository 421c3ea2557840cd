"""`fastconv summary`: the layers and parameters of a model file."""

from . import files


def run(args):
    """Run the command."""
    files.load(args.file, files.shapes_of(args.shape)).summary()
