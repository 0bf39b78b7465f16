#!/usr/bin/python3
"""A training step of the dual generator against PyTorch: losses, their weights, all gradients, inputs, the update.

test_generator_step.py BUILD_DIR; limit: 300 seconds; takes: 50 seconds. Runs dvg-train-generator on random weights and a few people of the
toy world with --dump-step, and recomputes the step from what is in the dump by the formulas of the method.
"""

import sys

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn.utils.stateless import functional_call

sys.dont_write_bytecode = True
import common
import networks

SEED = 3
SIZE = 64
NET_WIDTHS = {"recognizer": 0.2, "sampler": 0.3}
# What is trained how: options, and the same for the formulas. The second one lets the recogniser speak louder, whose
# part of the gradient is small beside the pixels' in the first.
PUBLIC = dict(orthogonal=50, pixel=100, pixel_swapped=0.1, pixel_sampled=0.1)
PUBLIC.update(identity=0.1, identity_domain=1, identity_pair=0.05, identity_sampled=1)
CASES = {
    "public": dict(domain="NIR", batch=4, micro=2, width=0.25, weights=PUBLIC, options=[]),
    "identity": dict(
        domain="SKETCH",
        batch=3,
        micro=1,
        width=0.125,
        weights=dict(orthogonal=2, pixel=0.01, pixel_swapped=3, pixel_sampled=0.5)
        | dict(identity=300, identity_domain=0.4, identity_pair=0.7, identity_sampled=0.6),
        options=["--orthogonal=2", "--pixel=0.01", "--pixel-swapped=3", "--pixel-sampled=0.5", "--identity=300"]
        + ["--identity-domain=0.4", "--identity-pair=0.7", "--identity-sampled=0.6"],
    ),
    "jittered judge": dict(
        domain="NIR",
        batch=4,
        micro=2,
        width=0.125,
        weights=PUBLIC | dict(pixel=0.01, identity=300),
        jitter=0.8,
        options=["--pixel=0.01", "--identity=300", "--judge-jitter=0.8"],
    ),
    "nothing exchanged": dict(
        domain="NIR",
        batch=2,
        micro=2,
        width=0.125,
        weights=PUBLIC | dict(pixel_swapped=0, pixel_sampled=0, identity=50),
        options=["--pixel-swapped=0", "--pixel-sampled=0", "--identity=50"],
    ),
    "paper": dict(
        domain="NIR",
        batch=4,
        micro=2,
        width=0.125,
        weights=PUBLIC | dict(pixel_swapped=0, pixel_sampled=0, adversarial=0.1, kl=0.002 / 2),  # step 2 of 2 to warm up
        options=["--preset=paper", f"--kl-warmup={2 / 3}"],
    ),
    "variational": dict(
        domain="SKETCH",
        batch=3,
        micro=1,
        width=0.125,
        weights=PUBLIC | dict(kl=0.7),  # beside the pixels' gradient that of the KL term
        options=["--kl=0.7", "--kl-warmup=0"],
    ),
    "adversarial": dict(
        domain="NIR",
        batch=4,
        micro=2,
        width=0.125,
        weights=PUBLIC | dict(pixel=0.01, adversarial=30),  # louder than all else
        options=["--pixel=0.01", "--adversarial=30"],
    ),
}
RATE, STEP, STEPS = 2e-4, 2, 3


def mean_dot(a, b):
    return (a * b).sum(1).mean()


class Step:
    """The loss of SPEC 2 with everything that it is made of."""

    def __init__(self, file, case):
        self.case = case
        self.domains = (case["domain"].lower(), "vis")
        self.recognizer = networks.LightCnn(NET_WIDTHS["recognizer"], SIZE).requires_grad_(False)
        self.sampler = networks.Sampler(NET_WIDTHS["sampler"]).requires_grad_(False)
        self.variational = "kl" in case["weights"]
        encoders = {d: networks.Encoder(case["width"], SIZE, self.variational) for d in self.domains}
        decoder = networks.Decoder(case["width"], SIZE, self.domains)
        self.net = nn.ModuleDict({"encoder": nn.ModuleDict(encoders), "decoder": decoder})
        self.adversarial = "adversarial" in case["weights"]
        if self.adversarial:
            judges = {d: networks.Discriminator(case["width"]) for d in self.domains}
            self.net["discriminator"] = nn.ModuleDict(judges)
        self.image = {d: common.tensor(common.stacked(file, f"image.{d}")) for d in self.domains}
        self.f = common.tensor(common.stacked(file, "identity")).flatten(1)
        self.swapped = None  # painted only where a loss asks for it
        if case["weights"]["pixel_swapped"]:
            self.swapped = common.tensor(common.stacked(file, "identity_swapped")).flatten(1)
        self.noise = common.tensor(common.stacked(file, "noise")).flatten(1)
        self.glances = None  # colour filters and maps of the images that F sees
        if "jitter" in case:
            self.glances = [self.by_kind(file, name) for name in ("judge_colors", "judge_maps")]
        if self.variational:
            self.eps = {d: common.tensor(common.stacked(file, f"eps.{d}")).flatten(1) for d in self.domains}

    def by_kind(self, file, name):
        """Rows of each micro-batch are reconstructed a and b, sampled a and b: tensors of the batch, one a kind."""
        rows = common.tensor(common.stacked(file, name)).flatten(1)
        micros = rows.view(-1, 4, self.case["micro"], rows.shape[1])
        return [micros[:, kind].reshape(-1, rows.shape[1]) for kind in range(4)]

    def code(self, d, terms):
        """z of the images of domain d, and its loss."""
        encoder = self.net["encoder"][d]
        if not self.variational:
            return encoder(self.image[d])
        mean, log_variance = encoder.posterior(self.image[d])
        terms[f"kl.{d}"] = (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean() / 2
        return networks.unit(mean + (log_variance / 2).exp() * self.eps[d])

    def judge(self, d, sampled, terms):
        """The discriminator's two losses, which train it alone, and the generator's, which does not train it."""
        judge = self.net["discriminator"][d]
        constant = {name: value.detach() for name, value in judge.named_parameters()}
        terms[f"discriminator_real.{d}"] = nn.functional.softplus(-judge(self.image[d])).mean()
        terms[f"discriminator_sampled.{d}"] = nn.functional.softplus(judge(sampled.detach())).mean()
        terms[f"adversarial.{d}"] = nn.functional.softplus(-functional_call(judge, constant, sampled)).mean()

    def features(self, image, kind=None):
        """F of images, which it sees each in its own way where there is one."""
        if self.glances is None or kind is None:
            return networks.unit(self.recognizer(networks.gray(image)))
        colors, maps = (glance[kind] for glance in self.glances)
        gray = (image * colors[:, :, None, None]).sum(1, keepdim=True)
        maps = maps.view(-1, 2, 3) * torch.tensor([1, 1, 2 / (SIZE - 1)])  # a shift of pixels in units of half a side
        grid = nn.functional.affine_grid(maps, gray.shape, align_corners=True)
        return networks.unit(self.recognizer(nn.functional.grid_sample(gray, grid, padding_mode="border", align_corners=True)))

    def terms(self):
        a, b = self.domains
        sampled = self.sampler(self.noise)
        terms, real, new = {}, {}, {}
        for d in self.domains:
            z = self.code(d, terms)
            style = self.net["encoder"][d].style(z)

            def paint(identity):
                return self.net["decoder"].paint(self.net["decoder"](identity, z, style), d)

            def distance(image):
                return networks.absolute(image - self.image[d]).mean()

            own, new_one = paint(self.f), paint(sampled)
            terms[f"orthogonal.{d}"] = networks.absolute((z * self.f).sum(1)).mean()
            terms[f"pixel.{d}"], terms[f"pixel_sampled.{d}"] = distance(own), distance(new_one)
            if self.swapped is not None:
                terms[f"pixel_swapped.{d}"] = distance(paint(self.swapped))
            if self.adversarial:
                self.judge(d, new_one, terms)
            kind = self.domains.index(d)
            real[d], new[d] = self.features(own, kind), self.features(new_one, 2 + kind)
            terms[f"identity.{d}"] = mean_dot(real[d], self.f)
            terms[f"identity_sampled.{d}"] = mean_dot(new[d], sampled)
        terms["identity.pair"] = mean_dot(real[a], real[b])
        terms["identity_sampled.pair"] = mean_dot(new[a], new[b])
        return terms

    def weights(self):
        w, a = self.case["weights"], self.domains[0]
        weights = {"identity.pair": -w["identity"] * w["identity_pair"]}
        weights["identity_sampled.pair"] = weights["identity.pair"] * w["identity_sampled"]
        for d in self.domains:
            weights[f"orthogonal.{d}"] = w["orthogonal"]
            if self.variational:
                weights[f"kl.{d}"] = w["kl"]
            if self.adversarial:
                weights[f"discriminator_real.{d}"] = weights[f"discriminator_sampled.{d}"] = 1
                weights[f"adversarial.{d}"] = w["adversarial"]
            weights[f"pixel.{d}"] = w["pixel"]
            if w["pixel_swapped"]:
                weights[f"pixel_swapped.{d}"] = w["pixel"] * w["pixel_swapped"]
            weights[f"pixel_sampled.{d}"] = w["pixel"] * w["pixel_sampled"]
            part = w["identity_domain"] if d == a else 1
            weights[f"identity.{d}"] = -w["identity"] * part
            weights[f"identity_sampled.{d}"] = weights[f"identity.{d}"] * w["identity_sampled"]
        return weights


def check_normals(tests, what, got, stream, first):
    """Rows of normal numbers are those of the items from `first` on."""
    want = [common.normals(SEED, stream, first + i, got.shape[1]) for i in range(len(got))]
    error, where = common.largest_error(got, np.stack(want))
    tests.check(error <= 1e-6, f"{what} is off by {error:.3g} {where}")


def glance(strength, item):
    """The colour filter and the map through which F sees an image."""
    turn, scale, right, down, *color = common.uniforms(SEED, common.STREAM_JUDGE, item, 7)
    turn, scale = 0.14 * strength * (2 * turn - 1), np.exp(0.08 * strength * (2 * scale - 1))
    right, down = (SIZE / 16 * strength * (2 * shift - 1) for shift in (right, down))
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    color = np.array([0.299, 0.587, 0.114]) + strength * np.array(color)
    return np.concatenate([color / color.sum(), [cos, -sin, right, sin, cos, down]])


def check_glances(tests, what, step, strength, first):
    """The colour filters and maps are those of the seed."""
    for kind in range(4):
        got = torch.cat([part[kind] for part in step.glances], 1).numpy()
        want = np.stack([glance(strength, (first + i) * 4 + kind) for i in range(len(got))])
        error, where = common.largest_error(got, want)
        tests.check(error <= 1e-6, f"{what}: glances at images of kind {kind} are off by {error:.3g} {where}")


def check_inputs(tests, what, step, case):
    """f is F of the visible image; the swapped identities are the batch's others; the noise is that of the seed."""
    error, where = common.largest_error(step.f, step.features(step.image["vis"]))
    tests.check(error <= 1e-4, f"{what}: identity is not F of the visible image: off by {error:.3g} {where}")
    if step.swapped is not None:
        same = (step.swapped[:, None] == step.f[None]).all(2).numpy()  # who got whose
        all_went = (same.sum(1) > 0).all() and (same.sum(0) > 0).all()
        tests.check(all_went, f"{what}: swapped identities are not the batch's")
        distinct = len({row.tobytes() for row in step.f.numpy()}) == len(step.f)
        tests.check(not distinct or not same.diagonal().any(), f"{what}: an image kept its own identity")
    first = (STEP - 1) * case["batch"]
    check_normals(tests, f"{what}: noise", step.noise, common.STREAM_NOISE, first)
    if step.variational:
        eps = torch.cat([step.eps[d] for d in step.domains], 1)
        check_normals(tests, f"{what}: the encoders' noise", eps, common.STREAM_ATTRIBUTE, first)
    if step.glances is not None:
        check_glances(tests, what, step, case["jitter"], first)
    for d, image in step.image.items():
        tests.check(0 <= image.min() and image.max() <= 1 and image.std() > 0.01, f"{what}: images of {d}")


def check_updates(tests, what, dumps):
    """The first two steps of Adam (Kingma, Ba, ICLR 2015, algorithm 1) with 0.5, 0.999."""
    for name in common.group(dumps[0], "gradient"):
        first = second = 0.0
        for t in (1, 2):
            old, new = (dumps[k][f"weight/{name}"][()].astype(np.float64) for k in (t - 1, t))
            gradient = dumps[t - 1][f"gradient/{name}"][()].astype(np.float64)
            first = 0.5 * first + 0.5 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            want = first / (1 - 0.5**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
            error = np.abs((old - new) / RATE - want).max()
            said = f"{what}: step {t} moved {name} otherwise than Adam says, by {error:.3g} of the rate"
            if not tests.check(error < 2e-3, said):
                return


def compare(tests, what, dumps, case):
    file = dumps[STEP - 1]
    step = Step(file, case)
    without_effect = networks.biases_without_effect(step.net)
    nets = (("weight", step.net), ("frozen/recognizer", step.recognizer), ("frozen/sampler", step.sampler))
    for where, net in nets:
        if not common.load_weights(tests, f"{what}: {where}", net, common.group(file, where)):
            return
    tests.check(int(file.attrs["step"]) == STEP and int(file.attrs["batch"]) == case["batch"], f"{what}: step or batch")
    check_inputs(tests, what, step, case)
    check_updates(tests, what, dumps)
    parameters, weights = dict(step.net.named_parameters()), step.weights()
    with torch.no_grad():
        common.compare_terms(tests, what, file, step.terms(), weights)

    def loss():
        terms = step.terms()
        return sum(weights[name] * terms[name] for name in terms)

    common.compare_gradients(tests, what, common.group(file, "gradient"), loss, parameters, without_effect)


def main():
    build, tests = common.build_folder(), common.Tests()
    programs, tools = f"{build}/bin", f"{build}/tests/reference"
    with common.temporary_folder() as folder:
        images, recognizer, sampler = (f"{folder}/{name}.h5" for name in ("images", "recognizer", "sampler"))
        make = [f"{tools}/make_weights", "--size", str(SIZE), "--seed", "7"]
        render = [f"{programs}/dvg-prepare", "render", "--people", "5", "--images", "3", "--size", "72"]
        for command in (
            [*render, "--domains", "VIS,NIR,SKETCH", "--out", images],
            [*make, "--width", str(NET_WIDTHS["recognizer"]), "--out", recognizer],
            [*make, "--net", "identity_sampler", "--width", str(NET_WIDTHS["sampler"]), "--out", sampler],
        ):
            if not tests.check(common.run(command), f"{command[0]} fails"):
                tests.finish()
        with h5py.File(images) as file:
            pixels = file["image"][()]
        common.spread_embeddings(recognizer, networks.LightCnn(NET_WIDTHS["recognizer"], SIZE), pixels)
        train = [f"{programs}/dvg-train-generator", "--images", images, "--recognizer", recognizer, "--sampler", sampler]
        train += ["--size", str(SIZE), "--seed", str(SEED), "--rate", str(RATE), "--steps", str(STEPS)]
        for what, case in CASES.items():
            options = ["--domain", case["domain"], "--batch", str(case["batch"]), "--micro-batch", str(case["micro"])]
            options += ["--width", str(case["width"]), *case["options"]]
            dumps = []
            for k in range(1, STEPS + 1):
                dumps.append(f"{folder}/{what}-{k}.h5")
                dump = ["--dump-step", str(k), "--dump", dumps[-1], "--out", f"{folder}/{what}-{k}"]
                if not tests.check(common.run([*train, *options, *dump]), f"{what}: dvg-train-generator fails"):
                    tests.finish()
            tests.note(f"{what}: trained and dumped")
            compare(tests, what, [h5py.File(path) for path in dumps], case)
    tests.finish()


main()
