#!/usr/bin/python3
"""Every network in C against PyTorch: outputs, losses, all gradients. test_networks.py BUILD_DIR; limit: 180 seconds; takes: 20 seconds."""

import os
import sys

import h5py
from torch.nn import functional as F

sys.dont_write_bytecode = True
import common
import networks

# width, size, images
CONFIGURATIONS = ((1.0, 128, 1), (0.25, 64, 3), (0.3, 96, 2))


def lightcnn(net, inputs, settings):
    embedding = net(inputs["image"])
    mask = common.dropout_mask(settings["dropout_seed"], inputs["item"].long().tolist(), networks.CODE, 0.5)
    logits = net.logits(embedding, mask)
    softmax = F.cross_entropy(logits, inputs["label"].long())
    return {"embedding": embedding, "unit": networks.unit(embedding), "logits": logits}, {"softmax": softmax}


def encoder(net, inputs, settings):
    z = net(inputs["image"])
    return {"z": z, "style": net.style(z)}, {}


def decoder(net, inputs, settings):
    features = net(inputs["identity"].flatten(1), inputs["z"].flatten(1), inputs["style"].flatten(1))
    return {domain: net.paint(features, domain) for domain in ("nir", "vis")}, {}


def sampler(net, inputs, settings):
    return {"embedding": net(inputs["noise"].flatten(1))}, {}


def identity_encoder(net, inputs, settings):
    return dict(zip(("mean", "log_variance"), net(inputs["embedding"].flatten(1)))), {}


def make(name, width, size, classes):
    if name == "lightcnn":
        return networks.LightCnn(width, size, classes), lightcnn
    if name == "encoder":
        return networks.Encoder(width, size), encoder
    if name == "decoder":
        return networks.Decoder(width, size), decoder
    if name == "sampler":
        return networks.Sampler(width), sampler
    return networks.IdentityEncoder(width), identity_encoder


def compare(tests, file, name, width, size):
    what = f"{name}, width {width:g}, size {size}"
    net, compute = make(name, width, size, int(file.attrs["classes"]))
    if not common.load_weights(tests, what, net, common.group(file, f"{name}/weight")):
        return
    parameters = dict(net.named_parameters())
    inputs = {key: common.tensor(value) for key, value in common.group(file, f"{name}/input").items()}

    def losses():
        outputs, terms = compute(net, inputs, file.attrs)
        for key, value in outputs.items():
            direction = inputs[f"direction/{key}"]
            terms[key] = (value.reshape(direction.shape) * direction).sum()
        return outputs, terms

    outputs, terms = losses()

    got = common.group(file, f"{name}/output")
    tests.check(set(got) == set(outputs), f"{what}: outputs {sorted(got)} instead of {sorted(outputs)}")
    for key in sorted(set(got) & set(outputs)):
        want = outputs[key].detach().reshape(inputs[f"direction/{key}"].shape).numpy()
        error, where = common.largest_error(got[key], want)
        tests.check(error <= common.OUTPUT_TOLERANCE, f"{what}: output {key} is off by {error:.3g} {where}")
        tests.note(f"{what}: largest error of {key} {error:.2e} of its largest value")
    for key, value in common.group(file, f"{name}/term").items():
        want = float(terms[key])
        scale = max(1.0, abs(want))
        if key in outputs:  # a sum of many terms of either sign: the error is that of the terms
            scale = float((outputs[key].detach().flatten(1).abs() * inputs[f"direction/{key}"].flatten(1).abs()).sum())
        error = abs(float(value) - want) / scale
        tests.check(error <= common.TERM_TOLERANCE, f"{what}: loss {key} is {float(value):.9g} instead of {want:.9g}")
    gradients = common.group(file, f"{name}/gradient")
    without_effect = networks.biases_without_effect(net)

    def loss():
        return sum(losses()[1].values())

    common.compare_gradients(tests, what, gradients, loss, parameters, without_effect)


def main():
    build, tests = common.build_folder(), common.Tests()
    tool = os.path.join(build, "tests", "reference", "dump_networks")
    common.philox_test(tests)
    with common.temporary_folder() as folder:
        for width, size, images in CONFIGURATIONS:
            path = os.path.join(folder, f"networks-{size}.h5")
            made = common.run([tool, path, str(width), str(size), str(images)])
            if not tests.check(made, f"dump_networks, width {width:g}, size {size}"):
                continue
            with h5py.File(path, "r") as file:
                for name in ("lightcnn", "encoder", "decoder", "sampler", "identity_encoder"):
                    tests.check(name in file, f"no {name} in the file") and compare(tests, file, name, width, size)
    tests.finish()


main()
