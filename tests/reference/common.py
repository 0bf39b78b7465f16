"""What the tests against PyTorch share: counting, comparing, running the programs, the project's random numbers."""

import os
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np
import torch

import networks

OUTPUT_TOLERANCE = 1e-4  # of the largest value
GRADIENT_TOLERANCE = 1e-3  # of the norm
TERM_TOLERANCE = 1e-4  # of the value, or of 1 where that is less
ROUNDING = 1e-5  # what float arithmetic may change a value in front of an activation, in parts of the root mean square
MOST_TRIED, MOST_TURNED = 20, 20  # of the decisions that hang on less: at a time, in all

# One core, and doubles: what is left as difference is the C code's.
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


class Tests:
    """Counts; prints what fails at once, and for each comparison that is asked for the largest error."""

    def __init__(self):
        self.passed = self.failed = 0
        self.started = time.time()

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"  FAILED: {what}", flush=True)
        return good

    def note(self, text):
        print(f"  [{time.time() - self.started:5.1f} s] {text}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def largest_error(got, want):
    """Largest difference in parts of the largest wanted value, with its place. Not a number counts as infinite."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return np.inf, f"shape {got.shape} instead of {want.shape}"
    difference = np.where(np.isfinite(got) & np.isfinite(want), np.abs(got - want), np.inf)
    place = np.unravel_index(difference.argmax(), difference.shape)
    scale = max(np.abs(want).max(), 1e-30)
    return difference[place] / scale, f"at {tuple(map(int, place))}: got {got[place]:.9g}, want {want[place]:.9g}"


def norm_error(got, want, scale=None):
    """Norm of the difference in parts of the wanted norm (or of `scale`)."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape or not np.isfinite(got).all():
        return np.inf
    return np.linalg.norm(got - want) / max(scale or np.linalg.norm(want), 1e-30)


def gradients_of(loss, net):
    """{name: array} of the derivatives of a scalar by the parameters `net` {name: tensor}."""
    found = torch.autograd.grad(loss, list(net.values()), allow_unused=True)
    return {n: (np.zeros(p.shape) if g is None else g.numpy()) for (n, p), g in zip(net.items(), found)}


class Gradients:
    """Gradients `got` {name: array} and those of loss() by `net` {name: tensor}, the closest decisions taken as in float."""

    def __init__(self, got, loss, net, without_effect):
        self.got, self.loss, self.net, self.without_effect = got, loss, net, without_effect
        self.want, self.scale, self.error = {}, {}, {}
        self.measure()

    def measure(self, turned=()):
        """Sets `want`, and `error`: the norm of each difference in parts of the wanted norm. Returns their sum of squares.

        The gradient of a bias without effect is zero but for rounding: it is measured in parts of its weight's.
        """
        networks.Switches.start(turned)
        self.want = gradients_of(self.loss(), self.net)
        for name in set(self.got) & set(self.want):
            useless = name in self.without_effect
            want = 0 * self.want[name] if useless else self.want[name]
            self.scale[name] = np.linalg.norm(self.want[name[: -len("bias")] + "weight" if useless else name])
            self.error[name] = norm_error(self.got[name], want, self.scale[name])
        return sum(error**2 for error in self.error.values())

    def good(self):
        return all(error <= GRADIENT_TOLERANCE for error in self.error.values())

    def suspects(self, turned):
        """Decisions that hang on rounding, those first whose turning moves the gradients most along what is missing.

        That product is, by the chain rule: the loss's derivative by the decision's output, times how the output's change
        by the decision changes when the parameters move along what is missing; the latter by a small difference.
        """
        missing = {n: (self.got[n] - self.want[n]) / self.scale[n] ** 2 for n in self.got if n not in self.without_effect}
        networks.Switches.start(turned, ROUNDING)
        loss = self.loss()
        before = {call: found for call, found in networks.Switches.close.items() if found[0].requires_grad}
        by_output = torch.autograd.grad(loss, [y for y, *_ in before.values()], allow_unused=True)
        step = 1e-6 / max(np.abs(v).max() for v in missing.values())
        with torch.no_grad():
            for sign in (1, -1):
                for name, value in missing.items():
                    self.net[name] += sign * step * tensor(value)
                if sign == 1:
                    after = self.differences(turned, before)
        found = []
        for (call, (_, index, first, difference)), slope in zip(before.items(), by_output):
            if slope is None:
                continue
            change = torch.where(first, difference - after[call], after[call] - difference) / step
            product = slope.flatten()[index] * change
            found += [(float(p), (call, int(i))) for p, i in zip(product, index) if p > 0]
        return [decision for _, decision in sorted(found, reverse=True)]

    def differences(self, turned, before):
        """first - second of the decisions `before`, at the present parameters."""
        networks.Switches.start(turned, np.inf)
        self.loss()
        return {call: networks.Switches.close[call][3][index] for call, (_, index, *_) in before.items()}

    def search(self):
        """Turns decisions that float arithmetic may have taken otherwise, as long as that brings the gradients nearer.

        A layer's error can't hide behind them: each moves all gradients below it in a direction of its own.
        """
        least, turned = self.measure(), []
        nearer = True
        while nearer and len(turned) < MOST_TURNED and not self.good():
            nearer = False
            for decision in self.suspects(turned)[:MOST_TRIED]:
                sum_of_squares = self.measure([*turned, decision])
                if sum_of_squares < least:
                    least, turned, nearer = sum_of_squares, [*turned, decision], True
                    break
        self.measure(turned)
        return turned


def compare_gradients(tests, what, got, loss, net, without_effect):
    """Gradients `got` {name: array} against those of loss() by `net` {name: tensor}, each at GRADIENT_TOLERANCE."""
    gradients = Gradients(got, loss, net, without_effect)
    want, turned = gradients.want, []
    tests.check(set(got) == set(want), f"{what}: gradients of other parameters: {sorted(set(got) ^ set(want))[:5]}")
    for name in set(got) & set(want):
        if name in without_effect:
            tests.check(np.abs(want[name]).max() < 1e-9, f"{what}: the gradient of {name} is not zero in the reference")
        else:
            tests.check(np.any(want[name]), f"{what}: the gradient of {name} is zero: nothing is tested")
    if not gradients.good():
        turned = gradients.search()
    for name, error in sorted(gradients.error.items()):
        good = error <= GRADIENT_TOLERANCE
        tests.check(good, f"{what}: gradient of {name} is off by {error:.3g} of its norm, not {GRADIENT_TOLERANCE:.2g}")
    worst = max(gradients.error, key=gradients.error.get)
    said = f"; {len(turned)} decisions within rounding taken as in float" if turned else ""
    tests.note(f"{what}: largest error of {len(want)} gradients {gradients.error[worst]:.2e} of the norm ({worst}){said}")


def load_weights(tests, what, net, weights):
    """Puts `weights` {name: array} into a module after checking that names and shapes are the same on both sides."""
    have = {name: tuple(value.shape) for name, value in weights.items()}
    want = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    wrong = sorted(name for name in set(have) | set(want) if have.get(name) != want.get(name))
    shown = ", ".join(f"{n}: {have.get(n)} instead of {want.get(n)}" for n in wrong[:5])
    if not tests.check(not wrong, f"{what}: parameters differ: {shown}"):
        return False
    net.load_state_dict({name: torch.from_numpy(np.asarray(value, np.float64)) for name, value in weights.items()})
    return True


def group(file, path):
    """All datasets under a group, {name: array}; names may themselves hold '/'."""
    found = {}
    if path in file:
        file[path].visititems(lambda n, item: found.update({n: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def gray_images(pixels):
    """(N,H,W,C) bytes -> (N,1,H,W) in [0,1]."""
    weights = [0.299, 0.587, 0.114] if pixels.shape[3] == 3 else [1.0]
    return (pixels.astype(np.float64) @ weights / 255)[:, None]


def spread_embeddings(path, net, *groups):
    """Random networks see all faces of a kind nearly alike. Takes what the groups of images (N,H,W,C) have in common
    off the last layer of a weight file, their mean and what tells one group from the other, so that cosines lie all
    over [-1,1]. `net` is a LightCnn of the file's size.
    """

    def images(pixels):
        top, left = (pixels.shape[1] - net.size) // 2, (pixels.shape[2] - net.size) // 2
        return tensor(gray_images(pixels[:, top : top + net.size, left : left + net.size]))

    with h5py.File(path, "r+") as file, torch.no_grad():
        net.load_state_dict({name: tensor(file[name][()]) for name in net.state_dict()})
        embeddings = [net(images(pixels)).numpy() for pixels in groups]
        means = [e.mean(0) for e in embeddings]
        apart = np.stack([mean - means[0] for mean in means[1:]] or [0 * means[0]])
        keep = np.eye(len(means[0])) - np.linalg.pinv(apart) @ apart
        # The length of real embeddings: shorter ones have large gradients behind the normalisation.
        keep *= 8 / np.mean([np.linalg.norm(keep @ (row - means[0])) for e in embeddings for row in e])
        file["fc.weight"][...] = (keep @ file["fc.weight"][()]).astype(np.float32)
        file["fc.bias"][...] = (keep @ (file["fc.bias"][()] - means[0])).astype(np.float32)


def stacked(file, name):
    """A graph input of a dumped step: the rows of all micro-batches, one after the other."""
    micros = range(int(file.attrs["n_micro"]))
    return np.concatenate([file[f"input/{micro}/{name}"][()] for micro in micros])


def compare_terms(tests, what, file, want, weights):
    """The losses of a dumped step, {name: tensor}, and their weights in the total, {name: number}."""
    have = {name[5:] for name in file.attrs if name.startswith("term.")}
    tests.check(have == set(want), f"{what}: losses {sorted(have)} instead of {sorted(want)}")
    worst = 0.0
    for name in sorted(have & set(want)):
        got, value = float(file.attrs[f"term.{name}"]), float(want[name])
        error = abs(got - value) / max(1.0, abs(value))
        worst = max(worst, error)
        tests.check(error <= TERM_TOLERANCE, f"{what}: loss {name} is {got:.9g} instead of {value:.9g}")
        weight = float(file.attrs[f"weight.{name}"])
        good = abs(weight - weights[name]) <= 1e-12 * abs(weights[name])
        tests.check(good, f"{what}: weight of {name} is {weight:.9g} instead of {weights[name]:.9g}")
    shown = ", ".join(f"{name} {float(value):.4g}" for name, value in want.items())
    tests.note(f"{what}: largest error of {len(want)} losses {worst:.2e}: {shown}")


def tensor(values):
    return torch.from_numpy(np.asarray(values, np.float64))


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def run(arguments, code=0, **options):
    """Runs a program; its messages go where ours go, when it fails. Returns whether it ended with the exit code."""
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, **options)
    if done.returncode != code:
        print(f"  {' '.join(map(str, arguments))}: exit code {done.returncode}")
        print("    " + done.stdout.decode(errors="replace").replace("\n", "\n    "), flush=True)
    return done.returncode == code


def build_folder():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(f"usage: {sys.argv[0]} BUILD_DIR")
    return os.path.abspath(sys.argv[1])


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="dvg-reference-")


# ---- random numbers, as in the paper: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11


def philox(counter, key):
    """Philox4x32-10. counter (...,4) and key (2,) of 32-bit numbers; returns (...,4) uint32."""
    c = [np.asarray(counter)[..., i].astype(np.uint64) for i in range(4)]
    k = [int(key[0]), int(key[1])]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        shift = np.uint64(32)
        c = [(p1 >> shift) ^ c[1] ^ np.uint64(k[0]), p1 & low, (p0 >> shift) ^ c[3] ^ np.uint64(k[1]), p0 & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1).astype(np.uint32)


def uniform_bits(seed, stream, item, count):
    """The first `count` 32-bit numbers of (seed, stream, item)."""
    seed, item = int(seed) % 2**64, int(item) % 2**64
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    counter = np.stack([blocks] + [np.full_like(blocks, v) for v in (stream, item & 0xFFFFFFFF, item >> 32)], -1)
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)[:count]


def uniforms(seed, stream, item, count):
    """`count` numbers of [0,1), multiples of 2^-24."""
    return (uniform_bits(seed, stream, item, count) >> np.uint32(8)).astype(np.float64) * 2.0**-24


def normals(seed, stream, item, count):
    """Standard normal numbers by Box and Muller, one of two draws."""
    draws = (uniform_bits(seed, stream, item, 2 * count)).astype(np.float64).reshape(count, 2)
    return np.sqrt(-2 * np.log((draws[:, 0] + 1) * 2.0**-32)) * np.cos(2 * np.pi * draws[:, 1] * 2.0**-32)


STREAM_DROPOUT, STREAM_NOISE, STREAM_ATTRIBUTE, STREAM_PAIR_IDENTITY, STREAM_PAIR_ATTRIBUTE = 4, 5, 6, 9, 10
STREAM_JUDGE = 19


def dropout_mask(seed, items, count, rate):
    """Rows of 0 and 1/(1-rate), one an item."""
    rows = [np.where(uniforms(seed, STREAM_DROPOUT, item, count) < rate, 0.0, 1 / (1 - rate)) for item in items]
    return torch.from_numpy(np.stack(rows))


def philox_test(tests):
    """Test vectors that the authors of Philox publish with their library (kat_vectors)."""
    ones = 0xFFFFFFFF
    for counter, key, want in (
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ones,) * 4, (ones,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ):
        got = philox(np.array(counter, np.uint64), key)
        tests.check(tuple(map(int, got)) == want, f"Philox of {counter}, {key}")
