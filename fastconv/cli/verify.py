"""`fastconv verify`: an ONNX file's outputs beside another engine's.

Float32 engines add in different orders, and a network may magnify what that rounds: YOLOX-nano, made for pixels up to
255, turns roundings of noise of about 1 into 1e-4 and more of its outputs, in every engine. So where a difference is
above the tolerance, the network runs twice more, each weight moved by a unit in its last place: as far apart as that
brings the outputs, others may be.
"""

import math
import os
import tempfile

import numpy as np

from ..autograd import Tensor
from ..errors import ArgumentError, FastconvError
from ..io.onnx import Network, load_model
from ..op import Spec
from ..session import Runner
from . import files
from .peers import PEERS, turns

DIFFERENT = 3  # exit status: 1 is that of errors, 2 that of a wrong command line
MOST = 100  # times the tolerance is allowed at most, however much the network magnifies roundings


def run(args):
    """Run the command; returns DIFFERENT if an output differs by more than the tolerance."""
    for option in ("tolerance", "absolute"):
        if not getattr(args, option) >= 0:
            raise ArgumentError(f"--{option} must not be negative, got {getattr(args, option)}")
    session = files.open_session(args.file)
    feed = _feed(session, files.pairs("--input", args.input), files.shapes_of(args.shape))
    peer = _peer(args.against)
    ours = session.run(None, feed)
    theirs = _their_outputs(peer, args.file, feed)
    print(f"{args.file}: fastconv against {peer.name} {peer.version}; {_describe(feed, args.input)}")
    same, moved = True, None
    for i, (argument, a, b) in enumerate(zip(session.get_outputs(), ours, theirs, strict=True)):
        absolute, relative = difference(a, b)
        fits, note = relative <= args.tolerance, ""
        if not fits and absolute <= args.absolute:
            fits, note = True, f", at most {args.absolute:g}"
        if not fits and relative <= MOST * args.tolerance:
            moved = moved or rounding(args.file, feed)
            fits, note = relative <= moved[i], f", rounding the weights moves it by {moved[i]:.3g}"
        verdict = "equal" if relative == 0 else "ok" if fits else "DIFFERS"
        shape = "x".join(map(str, a.shape)) or "scalar"
        found = f"largest difference {absolute:.3g}, relative {relative:.3g}{note}"
        print(f"  {argument.name} {a.dtype} {shape}: {found}: {verdict}")
        same &= fits
    return 0 if same else DIFFERENT


def difference(ours, theirs):
    """Return the largest absolute difference of two arrays, and as a share of the second's largest number.

    Both are infinite where shapes differ, or only one has a number that is not finite.
    """
    if ours.shape != theirs.shape:
        return math.inf, math.inf
    if ours.dtype.kind not in "fiub" or theirs.dtype.kind not in "fiub":
        return (0.0, 0.0) if np.array_equal(ours, theirs) else (math.inf, math.inf)
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0, 0.0
    if not np.isfinite(a[~same]).all() or not np.isfinite(b[~same]).all():
        return math.inf, math.inf
    absolute = float(np.abs(a[~same] - b[~same]).max())
    finite = np.abs(b[np.isfinite(b)])
    largest = float(finite.max(initial=0.0))
    return absolute, absolute / largest if largest else math.inf


def rounding(path, feed):
    """Return for each output the relative difference of two runs whose weights were moved by a unit in the last place each."""
    specs = {name: Spec(array.shape, array.dtype.name) for name, array in feed.items()}
    one, two = (Runner(Network(*load_model(path), make_weight=_moved(seed)), specs)(feed) for seed in range(2))
    return [difference(one[name], two[name])[1] for name in one]


def _moved(seed):
    """Return a `make_weight` of `Network`: each number goes up or down, as `seed` says."""
    rng = np.random.default_rng(seed)

    def make_weight(node, name, array):
        if array.dtype.kind == "f":
            up = rng.random(array.shape) < 0.5
            array = np.nextafter(array, np.where(up, np.inf, -np.inf).astype(array.dtype))
        return Tensor(np.array(array, order="C"), name=name)

    return make_weight


def _peer(word):
    if word not in PEERS:
        raise ArgumentError(f"--against takes {', '.join(PEERS)}, got {word!r}")
    peer = PEERS[word][0]
    if not peer.installed:
        raise FastconvError(f"{peer.name} is not installed: pip install {peer.package}")
    return peer


def _feed(session, given, shapes):
    arrays = {name: _read(path) for name, path in given.items()}
    both = sorted(arrays.keys() & shapes.keys())
    if both:
        raise ArgumentError(f"{both[0]} has both an --input and a --shape")
    unknown = sorted(arrays.keys() - {argument.name for argument in session.get_inputs()})
    if unknown:
        known = ", ".join(argument.name for argument in session.get_inputs())
        raise ArgumentError(f"--input: there is no input {unknown[0]!r}; there is {known}")
    inputs = files.inputs_of(session, shapes | {name: array.shape for name, array in arrays.items()})
    types = {argument.name: files.dtype_of(argument) for argument in session.get_inputs()}
    drawn = turns.draw({name: spec for name, spec in inputs.items() if name not in arrays})
    return {name: arrays[name].astype(types[name]) if name in arrays else drawn[name] for name in types}


def _read(path):
    files.check_there(path)
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArgumentError(f"--input: {path} is no .npy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ArgumentError(f"--input: {path} holds no single array of numbers")
    return array


def _their_outputs(peer, path, feed):
    with tempfile.TemporaryDirectory() as folder:
        given, result = os.path.join(folder, "feed.npz"), os.path.join(folder, "outputs.npz")
        # By position: names of inputs may be no names of files.
        np.savez(given, *feed.values())
        job = {"model": os.path.abspath(path), "names": list(feed), "feed": given, "outputs": result}
        with peer.start(1, quiet=True) as engine:
            try:
                answer = engine.ask(job=job)
            except turns.EngineError as error:
                raise FastconvError(str(error)) from error
        if not answer["can"]:
            raise FastconvError(f"{peer.name} does not run {path}: {answer['why']}")
        with np.load(result) as arrays:
            return list(arrays.values())


def _describe(feed, given):
    numbers = "inputs from files" if given else "random inputs"
    shapes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in feed.items())
    return f"{numbers} {shapes}"
