"""The `fastconv` command. Its arguments are declared here; what a command does is in the file of its name."""

import argparse
import importlib
import os
import shutil
import sys

from .. import __version__
from ..errors import FastconvError


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help whose examples keep their lines."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=30, width=min(shutil.get_terminal_size((100, 24)).columns, 120))


def _add(commands, name, description, examples):
    text = "examples:\n" + "".join(f"  {line}\n" for line in examples)
    command = commands.add_parser(name, help=description, description=description, epilog=text, formatter_class=_Help)
    command.set_defaults(run=name)
    return command


def _add_shape(command):
    command.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=1x3x224x224",
        help="shape of an input whose dimensions the file leaves open; may be repeated",
    )


def _declare_demo(commands):
    demo = _add(
        commands,
        "demo",
        "train a CNN on real digits, save it, load it in a new process",
        ["fastconv demo --epochs 5 --out digits.fastconv"],
    )
    demo.add_argument("--epochs", type=int, default=20)
    demo.add_argument("--out", metavar="FILE", help="where to leave the model (default: a temporary file)")


def _declare_info(commands):
    _add(commands, "info", "version, instruction set, threads, build, engines to compare with", ["fastconv info"])


def _declare_summary(commands):
    summary = _add(
        commands,
        "summary",
        "layers and parameters of a saved model or an ONNX file",
        ["fastconv summary digits.fastconv", "fastconv summary net.onnx --shape input=1x3x224x224"],
    )
    summary.add_argument("file", metavar="FILE")
    _add_shape(summary)


def _declare_predict(commands):
    predict = _add(
        commands,
        "predict",
        "classify pictures with a saved model or an ONNX file (needs Pillow)",
        [
            "fastconv predict digits.fastconv seven.png",
            "fastconv predict squeezenet.onnx *.jpg --resize 256 --crop 224 --softmax --classes names.txt \\",
            "    --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225",
        ],
    )
    predict.add_argument("file", metavar="FILE")
    predict.add_argument("images", metavar="IMAGE", nargs="+")
    predict.add_argument("--scale", type=float, default=1 / 255, help="factor on pixels of 0..255 (default 1/255)")
    predict.add_argument(
        "--mean", type=float, nargs="+", metavar="M", help="taken off after scaling: one, or one a channel"
    )
    predict.add_argument(
        "--std", type=float, nargs="+", metavar="S", help="divided by after that: one, or one a channel"
    )
    predict.add_argument("--resize", type=int, metavar="N", help="resize the short side to N, keeping the ratio")
    predict.add_argument("--crop", type=int, metavar="N", help="take N x N pixels of the middle")
    predict.add_argument("--softmax", action="store_true", help="the model gives logits: show probabilities")
    predict.add_argument("--top", type=int, default=3, help="how many classes to show (default 3)")
    predict.add_argument("--classes", metavar="FILE", help="a text file with one class name a line")


def _declare_convert(commands):
    convert = _add(
        commands,
        "convert",
        "from .onnx to .fastconv or back",
        [
            "fastconv convert net.onnx net.fastconv",
            "fastconv convert digits.fastconv digits.onnx --opset 21",
        ],
    )
    convert.add_argument("source", metavar="SRC")
    convert.add_argument("target", metavar="DST")
    convert.add_argument(
        "--opset", type=int, metavar="N", help="version of ONNX's operators in a .onnx file (default 17)"
    )
    _add_shape(convert)


def _declare_verify(commands):
    verify = _add(
        commands,
        "verify",
        "compare an ONNX file's outputs with another engine's; exit status 3 if they differ",
        [
            "fastconv verify net.onnx",
            "fastconv verify net.onnx --input image=picture.npy --tolerance 1e-5",
            "fastconv verify net.onnx --shape input=4x3x224x224 --against openvino",
        ],
    )
    verify.add_argument("file", metavar="MODEL.onnx")
    verify.add_argument(
        "--against",
        default="onnxruntime",
        metavar="ENGINE",
        help="onnxruntime (default), openvino or torch",
    )
    verify.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE.npy",
        help="an input, instead of random numbers; may be repeated",
    )
    _add_shape(verify)
    verify.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="largest difference allowed, as a share of the output's largest number (default 1e-4); up to 100 times as "
        "much where it is no more than moving each weight by a unit in its last place does: the network magnifies "
        "roundings then, in every engine, as networks do with inputs unlike those that they were trained on",
    )
    verify.add_argument(
        "--absolute",
        type=float,
        default=1e-6,
        help="differences up to this are always allowed: outputs near zero are no more exact (default 1e-6)",
    )


def _declare_bench(commands):
    bench = _add(
        commands,
        "bench",
        "latency, memory and layers of an ONNX file, beside other engines",
        [
            "fastconv bench net.onnx",
            "fastconv bench net.onnx --batch 1 16 --threads 1 2 --against onnxruntime,openvino,torch",
            "fastconv bench net.onnx --profile --html report.html",
        ],
    )
    bench.add_argument("file", metavar="MODEL.onnx")
    bench.add_argument("--batch", type=int, nargs="+", metavar="N", help="batches (default 1)")
    bench.add_argument(
        "--threads", type=int, nargs="+", metavar="N", help="threads (default: those of `fastconv info`)"
    )
    bench.add_argument(
        "--runs", type=int, default=100, metavar="N", help="timed runs of each engine, at least (default 100)"
    )
    bench.add_argument(
        "--against",
        default="",
        metavar="LIST",
        help="of onnxruntime, openvino, torch, torch.compile; with commas. Each runs in a process of its own, in turns",
    )
    bench.add_argument(
        "--profile", action="store_true", help="a table of layers: time, rate, share of this machine's roof"
    )
    bench.add_argument("--html", metavar="FILE", help="write the report as one page, with the layers")
    _add_shape(bench)


def parser():
    """Return the argument parser; each command names the file that runs it."""
    top = argparse.ArgumentParser(prog="fastconv", description="A compact CNN engine for CPUs.", formatter_class=_Help)
    top.add_argument("--version", action="version", version=f"fastconv {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for declare in (
        _declare_demo,
        _declare_info,
        _declare_summary,
        _declare_predict,
        _declare_convert,
        _declare_verify,
        _declare_bench,
    ):
        declare(commands)
    return top


def _message(error):
    """Return what an error says, without the number that the system gives it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename!r}" if error.filename is not None else "")
    return str(error)


def main(argv=None):
    """Run the command line; returns the exit status: 0, 1 after an error, 130 after Ctrl-C."""
    args = parser().parse_args(argv)
    try:
        status = importlib.import_module(f".{args.run}", __name__).run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has closed it, as `head` does. The interpreter's own last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FastconvError, OSError) as error:
        print(f"fastconv: {_message(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status or 0
