"""The `fastconv` command: demo, info, summary, predict."""

import argparse
import os
import sys

from .. import __version__
from ..errors import FastconvError


def parser():
    """Return the argument parser; each command names the function that runs it."""
    top = argparse.ArgumentParser(prog="fastconv", description="A compact CNN engine for CPUs.")
    top.add_argument("--version", action="version", version=f"fastconv {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a CNN on real digits, save it, load it in a new process")
    demo.add_argument("--epochs", type=int, default=20)
    demo.add_argument("--out", metavar="FILE", help="where to leave the model (default: a temporary file)")
    demo.set_defaults(run="demo")

    info = commands.add_parser("info", help="version, instruction set, threads, build")
    info.set_defaults(run="info")

    summary = commands.add_parser("summary", help="layers and parameters of a saved model")
    summary.add_argument("file", metavar="FILE")
    summary.set_defaults(run="summary")

    predict = commands.add_parser("predict", help="classify pictures with a saved model (needs Pillow)")
    predict.add_argument("file", metavar="FILE")
    predict.add_argument("images", metavar="IMAGE", nargs="+")
    predict.add_argument("--scale", type=float, default=1 / 255, help="factor on pixels of 0..255 (default 1/255)")
    predict.add_argument("--top", type=int, default=3, help="how many classes to show")
    predict.add_argument("--classes", metavar="FILE", help="a text file with one class name a line")
    predict.set_defaults(run="predict")
    return top


def main(argv=None):
    """Run the command line; returns the exit status: 0, 1 after an error, 130 after Ctrl-C."""
    args = parser().parse_args(argv)
    try:
        if args.run == "demo":
            from .demo import demo

            demo(args.epochs, args.out)
        elif args.run == "predict":
            from .predict import predict

            predict(args.file, args.images, args.scale, args.top, args.classes)
        elif args.run == "summary":
            from ..models import load_model

            load_model(args.file, compile=False).summary()
        else:
            from .. import show_config

            show_config()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has closed it, as `head` does. The interpreter's own last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FastconvError, OSError) as error:
        print(f"fastconv: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
