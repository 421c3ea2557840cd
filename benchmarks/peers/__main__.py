"""fastconv beside the engines its users come from.

    python benchmarks/peers layers [--threads 1] [--isa avx512] [--groups dense,first] [--engines fastconv,"torch NCHW"]
                                   [--precision high,medium]
    python benchmarks/peers training [--threads 2] [--match ResNet-18] [--optimizer sgd]      whole networks
    python benchmarks/peers profile [--threads 2] [--match ResNet-18]      where fastconv's training steps spend their time
    python benchmarks/peers inference --models DIR [--batch 1 16] [--threads 1 2] [--engines fastconv,onnxruntime]   ONNX files
    python benchmarks/peers start --models DIR       from file to first result, and resident memory
    python benchmarks/peers flat --models DIR        resident memory over 1,000 runs with changing batches
    python benchmarks/peers scaling          two threads against one
    python benchmarks/peers denormals        denormal weights and activations against normal ones

Every engine has a process of its own; they take turns; medians and ratios are given. Tables and pictures go to
benchmarks/results/.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]


def words(text):
    return text.split(",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", choices=("layers", "training", "inference", "start", "flat", "profile", "scaling", "denormals")
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="several for ONNX files only")
    parser.add_argument("--models", nargs="+", default=[], metavar="PATH", help="ONNX files, or folders of them")
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="batches of `inference`")
    parser.add_argument("--isa", help="hold every engine to this instruction set")
    parser.add_argument("--groups", type=words, help="only these classes of layers")
    parser.add_argument(
        "--match", default="", help="only layers or networks whose name matches this regular expression"
    )
    parser.add_argument("--engines", type=words, help="only these engines")
    parser.add_argument(
        "--precision",
        type=words,
        default=[],
        help="fastconv at these too, medium against bfloat16; `inference`: medium alone",
    )
    parser.add_argument("--directions", type=words, default=["forward", "both"])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam", help="of training steps")
    args = parser.parse_args()
    if args.what in ("inference", "start", "flat"):
        from inference_table import run

        return run(args)
    if len(args.threads) > 1:
        parser.error(f"{args.what} takes one number of threads")
    (args.threads,) = args.threads
    if args.what == "layers":
        from layer_table import run
    elif args.what == "training":
        from training_table import run
    elif args.what == "profile":
        from profile_table import run
    else:
        from own_ratios import run
    run(args)


if __name__ == "__main__":
    main()
