#!/usr/bin/python3
"""Training steps of the recogniser against PyTorch: losses, their weights, all gradients, dropout, inputs, the update.

test_recognizer_step.py BUILD_DIR; limit: 240 seconds; takes: 15 seconds. Runs dvg-train-recognizer in all its phases on random weights, a
few people of the toy world and a few generated pairs with --dump-step, and recomputes the step by the formulas of the
method.
"""

import glob
import sys

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.dont_write_bytecode = True
import common
import networks

SEED, SIZE, WIDTH, PEOPLE, IMAGES = 3, 64, 0.2, 5, 3
STEP = 2
DOMAIN = "NIR"
TEACHER_VALUES = 24
RATE, WEIGHT_DECAY = 1e-5, 0.002  # weights of random networks would be thrown far away by a larger rate

# Of each case: the phase that writes the dump and its number in the items of dropout, the sizes of the batch, what the
# losses weigh, and the options for it.
CASES = {
    "public": dict(
        phase="phase2", number=2, batch=4, micro=2, pairs=6, contrast="public", push=0.8, margin=-0.2, weight=3.0
    ),
    # Contrast that speaks louder than the labels.
    "both": dict(
        phase="phase2", number=2, batch=4, micro=4, pairs=5, contrast="both", push=0.7, margin=-0.1, weight=5.0
    ),
    "pull": dict(phase="phase2", number=2, batch=2, micro=1, pairs=2, contrast="pull", weight=5.0),
    "no pairs": dict(phase="phase2", number=2, batch=4, micro=4, pairs=0, contrast="none"),
    "head": dict(phase="phase1", number=1, batch=6, micro=2, pairs=0, rate=5e-3, contrast="none"),
    "pretrain": dict(phase="pretrain", number=0, batch=4, micro=2, pairs=0, labels=0.5, teacher=2.0),
    "teacher alone": dict(phase="pretrain", number=0, batch=4, micro=4, pairs=0, labels=0.0, teacher=1.0, length=0.02),
}


def options_of(case, files):
    options = ["--images", files["images"], "--seed", str(SEED), "--weight-decay", str(WEIGHT_DECAY)]
    options += ["--start", files["recognizer"], "--micro-batch", str(case["micro"])]
    if case["phase"] == "pretrain":
        options += ["--pretrain", "--labels", str(case["labels"]), "--distill", files["teacher"]]
        options += ["--distill-weight", str(case["teacher"]), "--length", str(case.get("length", 0.001))]
    else:
        options += ["--domain", DOMAIN, "--contrast", case["contrast"]]
    if case["phase"] == "phase1":
        options += ["--head-epochs", "1", "--head-batch", str(case["batch"]), "--head-rate", str(case["rate"])]
        return options + ["--batch", str(case["micro"])]
    options += ["--head-epochs", "0", "--batch", str(case["batch"]), "--rate", str(RATE), "--steps", "3"]
    if case["pairs"]:
        options += ["--pairs", files["pairs"], "--generated", str(case["pairs"])]
        options += ["--contrast-weight", str(case["weight"])]
        if "push" in case:
            options += ["--push", str(case["push"]), "--margin", str(case["margin"])]
    return options


class Step:
    """The losses of SPEC 2 with everything that they are made of, over all micro-batches."""

    def __init__(self, file, case):
        self.case = case
        self.n_micro = int(file.attrs["n_micro"])
        self.real, self.pairs = case["micro"], case["pairs"] // self.n_micro
        heads = {}
        if "weight/head.fc2_.weight" in file:
            heads["fc2_"] = nn.Linear(networks.CODE, len(file["weight/head.fc2_.weight"]), bias=False)
        if "teacher" in case:
            heads["distill"] = nn.Linear(networks.CODE, TEACHER_VALUES)
        self.net = nn.ModuleDict({"recognizer": networks.LightCnn(WIDTH, SIZE), "head": nn.ModuleDict(heads)})
        images = common.tensor(common.stacked(file, "image"))
        # A micro-batch has its real images, then its pairs' first ones, then the second ones.
        rows = torch.arange(len(images)).view(self.n_micro, -1)
        cuts = [0, self.real, self.real + self.pairs, self.real + 2 * self.pairs]
        assert rows.shape[1] == cuts[-1], "images in a micro-batch"
        self.images = [images[rows[:, low:high].reshape(-1)] for low, high in zip(cuts, cuts[1:])]
        first = "input/0/"
        self.label = torch.from_numpy(common.stacked(file, "label")) if first + "label" in file else None
        self.items = common.stacked(file, "item") if first + "item" in file else None
        self.negative = torch.from_numpy(common.stacked(file, "negative")) if first + "negative" in file else None
        self.target = common.tensor(common.stacked(file, "target")).flatten(1) if first + "target" in file else None
        if self.items is not None:
            self.mask = common.dropout_mask(SEED, self.items, networks.CODE, 0.5)

    def terms(self):
        real, *pair = (self.net["recognizer"](images) if len(images) else None for images in self.images)
        head, terms = self.net["head"], {}
        if self.label is not None:
            terms["classification"] = F.cross_entropy(head["fc2_"](real * self.mask), self.label)
        if self.target is not None:
            terms["teacher"] = (networks.unit(head["distill"](real)) * self.target).sum(1).mean()
            terms["length"] = (real * real).sum(1).mean()
        if self.pairs:
            a, b = (networks.unit(x) for x in pair)
            terms["pull"] = (a * b).sum(1).mean()
            if self.negative is not None:
                # The partner is counted inside the micro-batch.
                start = torch.arange(self.n_micro).repeat_interleave(self.pairs) * self.pairs
                other, margin = self.negative + start, self.case["margin"]
                terms["push"] = ((a * b[other]).sum(1) - margin).clamp(min=0).mean()
                if self.case["contrast"] == "both":
                    terms["push_back"] = ((b * a[other]).sum(1) - margin).clamp(min=0).mean()
        return terms

    def weights(self):
        case = self.case
        weights = {"classification": case.get("labels", 1), "teacher": -case.get("teacher", 0)}
        weights["length"] = 0.5 * case.get("length", 0.001)
        weights["pull"] = -case.get("weight", 0)
        weights["push"] = weights["push_back"] = case.get("weight", 0) * case.get("push", 0)
        return weights


def check_inputs(tests, what, step, case, files):
    if step.items is not None:
        first = (case["number"] << 40) + (STEP - 1) * case["batch"]
        tests.check(list(step.items) == list(range(first, first + case["batch"])), f"{what}: items {step.items}")
    if step.label is not None:
        tests.check(0 <= step.label.min() and step.label.max() < PEOPLE, f"{what}: labels {step.label}")
    if step.negative is not None:
        micros = step.negative.view(step.n_micro, -1).numpy()
        everyone = np.arange(step.pairs)
        for negative in micros:
            good = sorted(negative) == list(everyone) and (negative != everyone).all()
            tests.check(good, f"{what}: {negative} leaves some pair to itself or out")
    if step.target is not None:
        with h5py.File(files["teacher"]) as file:
            feature = file["feature"][()].astype(np.float64)
        feature -= feature.mean(0)
        feature /= np.linalg.norm(feature, axis=1, keepdims=True)
        nearest = (step.target.numpy() @ feature.T).max(1)
        tests.check((np.abs(nearest - 1) < 1e-5).all(), f"{what}: targets are not the teacher's centred unit vectors")
    if step.pairs:
        with h5py.File(files["pairs"] + "/index.h5") as file:
            known = [common.gray_images(file[f"image_{domain}"][()]) for domain in (DOMAIN, "VIS")]
        distance = [np.abs(got.numpy() - some[:, None]).max((2, 3, 4)) for got, some in zip(step.images[1:], known)]
        found = [d.argmin(0) for d in distance]  # which pair each image is of
        tests.check(max(d.min(0).max() for d in distance) < 1e-5, f"{what}: images that are not of the generated pairs")
        tests.check((found[0] == found[1]).all(), f"{what}: the images of a pair are of two")


def check_updates(tests, what, dumps, rate):
    """The first two steps of SGD with momentum 0.9, as PyTorch's: v = 0.9 v + gradient + decay w, w -= rate v."""
    for name in common.group(dumps[0], "gradient"):
        velocity = 0.0
        for t in (1, 2):
            old, new = (dumps[k][f"weight/{name}"][()].astype(np.float64) for k in (t - 1, t))
            gradient = dumps[t - 1][f"gradient/{name}"][()].astype(np.float64)
            velocity = 0.9 * velocity + gradient + WEIGHT_DECAY * old
            step = rate * np.abs(velocity).max() + 1e-30
            error = np.abs(old - new - rate * velocity).max() / step
            # Weights are floats: a small step is rounded to their last place.
            allowed = 1e-4 + 2.0**-24 * np.abs(old).max() / step
            if not tests.check(error < allowed, f"{what}: step {t} moved {name} otherwise than SGD says, by {error:.3g}"):
                return


def compare(tests, what, dumps, case, files):
    file = dumps[STEP - 1]
    step = Step(file, case)
    if not common.load_weights(tests, f"{what}: weight", step.net, common.group(file, "weight")):
        return
    tests.check(common.text(file.attrs["phase"]) == case["phase"], f"{what}: dump of {file.attrs['phase']}")
    tests.check(int(file.attrs["step"]) == STEP, f"{what}: dump of step {file.attrs['step']}")
    check_inputs(tests, what, step, case, files)
    check_updates(tests, what, dumps, case.get("rate", RATE))
    if case["phase"] == "phase1":
        step.net["recognizer"].requires_grad_(False)
    parameters = {name: p for name, p in step.net.named_parameters() if p.requires_grad}
    weights = step.weights()
    with torch.no_grad():
        common.compare_terms(tests, what, file, step.terms(), weights)

    def loss():
        terms = step.terms()
        return sum(weights[name] * terms[name] for name in terms)

    common.compare_gradients(tests, what, common.group(file, "gradient"), loss, parameters, set())


def make_files(tests, build, folder):
    programs, tools = f"{build}/bin", f"{build}/tests/reference"
    names = ("images", "recognizer", "sampler", "generator", "teacher")
    files = {name: f"{folder}/{name}.h5" for name in names} | {"pairs": f"{folder}/pairs"}
    make = [f"{tools}/make_weights", "--size", str(SIZE), "--width", str(WIDTH), "--seed", "7"]
    people = ["--people", str(PEOPLE), "--images", str(IMAGES)]
    for command in (
        [f"{programs}/dvg-prepare", "render", *people, "--size", "72"]
        + ["--domains", f"VIS,{DOMAIN}", "--out", files["images"]],
        [*make, "--out", files["recognizer"]],
        [*make, "--net", "identity_sampler", "--out", files["sampler"]],
        [*make, "--net", "generator", "--domains", f"{DOMAIN.lower()},vis", "--out", files["generator"]],
        [f"{programs}/dvg-generate", "--generator", files["generator"], "--sampler", files["sampler"]]
        + ["--bank", files["images"], "--domain", DOMAIN, "--count", "13", "--per-shard", "5", "--out", files["pairs"]],
    ):
        if not tests.check(common.run(command), f"{command[0]} fails"):
            tests.finish()
    # A random generator paints the same for everybody: toy faces in its images' places.
    with h5py.File(files["images"]) as file:
        pixels, names = file["image"][()], [common.text(name) for name in file["domain_name"][()]]
        pixels = [pixels[file["domain"][()] == names.index(domain)] for domain in (DOMAIN, "VIS")]
    low, high = (pixels[0].shape[1] - SIZE) // 2, (pixels[0].shape[1] + SIZE) // 2
    first = 0
    for shard in sorted(glob.glob(files["pairs"] + "/shard-*.h5")):
        with h5py.File(shard, "r+") as file:
            rows = len(file["image_VIS"])
            for domain, faces in zip((DOMAIN, "VIS"), pixels):
                file[f"image_{domain}"][...] = faces[first : first + rows, low:high, low:high]
            first += rows
    common.spread_embeddings(files["recognizer"], networks.LightCnn(WIDTH, SIZE), *pixels)
    with h5py.File(files["teacher"], "w") as file:
        generator = np.random.default_rng(1)
        file["feature"] = generator.normal(1, 1, (PEOPLE * IMAGES * 2, TEACHER_VALUES)).astype(np.float32)
    return files


def main():
    build, tests = common.build_folder(), common.Tests()
    common.philox_test(tests)
    with common.temporary_folder() as folder:
        files = make_files(tests, build, folder)
        for what, case in CASES.items():
            name, dumps = what.replace(" ", "-"), []
            for k in (1, 2, 3):
                dumps.append(f"{folder}/{name}-{k}.h5")
                dump = ["--dump-step", str(k), "--dump", dumps[-1], "--out", f"{folder}/{name}-{k}"]
                command = [f"{build}/bin/dvg-train-recognizer", *options_of(case, files), *dump]
                stopped = case["phase"] == "phase1"  # or the next phase would write the dump again
                if stopped:
                    command += ["--stop-after", str(k)]
                if not tests.check(common.run(command, 75 if stopped else 0), f"{what}: dvg-train-recognizer fails"):
                    tests.finish()
            compare(tests, what, [h5py.File(path) for path in dumps], case, files)
    tests.finish()


main()
