"""fastconv beside the engines its users come from.

    python benchmarks/peers layers [--threads 1] [--isa avx512] [--groups dense,first] [--engines fastconv,"torch NCHW"]
    python benchmarks/peers training [--threads 2] [--match ResNet-18] [--optimizer sgd]      whole networks
    python benchmarks/peers profile [--threads 2] [--match ResNet-18]      where fastconv's training steps spend their time
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
    parser.add_argument("what", choices=("layers", "training", "profile", "scaling", "denormals"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="hold every engine to this instruction set")
    parser.add_argument("--groups", type=words, help="only these classes of layers")
    parser.add_argument(
        "--match", default="", help="only layers or networks whose name matches this regular expression"
    )
    parser.add_argument("--engines", type=words, help="only these engines")
    parser.add_argument("--directions", type=words, default=["forward", "both"])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam", help="of training steps")
    args = parser.parse_args()
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
