#!/usr/bin/python3
"""Pairs from noise alone against PyTorch: dvg-generate --attributes prior, from the random numbers to the pixels.

test_prior.py BUILD_DIR; limit: 120 seconds.
"""

import sys

import h5py
import numpy as np
import torch

sys.dont_write_bytecode = True
import common
import networks

SEED, SIZE, WIDTH, FIRST, COUNT = 5, 32, 0.25, 2**33 + 3, 6
ATTEMPTS = 64  # an item of the streams is pair number * 64 + attempt
DOMAINS = ("nir", "vis")


def load(net, path, prefix=""):
    with h5py.File(path) as file:
        net.load_state_dict({name: common.tensor(file[prefix + name][()]) for name in net.state_dict()})
    return net


def paint(generator, sampler):
    """{domain: (COUNT,SIZE,SIZE,3) in [0,255]} of the pairs from FIRST on, and their identities."""
    items = [(FIRST + k) * ATTEMPTS for k in range(COUNT)]
    noise = np.stack([common.normals(SEED, common.STREAM_PAIR_IDENTITY, item, networks.CODE) for item in items])
    codes = np.stack([common.normals(SEED, common.STREAM_PAIR_ATTRIBUTE, item, 2 * networks.CODE) for item in items])
    identity = load(networks.Sampler(WIDTH), sampler)(common.tensor(noise))
    decoder = load(networks.Decoder(WIDTH, SIZE, DOMAINS), generator, "decoder.")
    images = {}
    for domain, code in zip(DOMAINS, np.split(codes, 2, 1)):
        z = networks.unit(common.tensor(code))
        encoder = load(networks.Encoder(WIDTH, SIZE, True), generator, f"encoder.{domain}.")
        planes = decoder.paint(decoder(identity, z, encoder.style(z)), domain)
        images[domain] = 255 * planes.permute(0, 2, 3, 1).numpy()
    return images, identity.numpy()


def main():
    build, tests = common.build_folder(), common.Tests()
    with common.temporary_folder() as folder, torch.no_grad():
        generator, sampler, pairs = (f"{folder}/{name}" for name in ("generator.h5", "sampler.h5", "pairs"))
        make = [f"{build}/tests/reference/make_weights", "--width", str(WIDTH), "--size", str(SIZE)]
        generate = [f"{build}/bin/dvg-generate", "--generator", generator, "--sampler", sampler, "--attributes", "prior"]
        generate += ["--domain", "NIR", "--first", str(FIRST), "--count", str(COUNT), "--seed", str(SEED), "--out", pairs]
        for command in (
            [*make, "--net", "generator", "--variational", "--out", generator],
            [*make, "--net", "identity_sampler", "--out", sampler],
            generate,
        ):
            if not tests.check(common.run(command), f"{command[0]} fails"):
                tests.finish()
        want, identity = paint(generator, sampler)
        with h5py.File(f"{pairs}/index.h5") as file:
            error, where = common.largest_error(file["identity"][()], identity)
            tests.check(error <= common.OUTPUT_TOLERANCE, f"identities are off by {error:.3g} {where}")
            for domain in DOMAINS:
                got = file[f"image_{domain.upper()}"][()].astype(np.float64)
                off = np.abs(got - want[domain]).max()  # rounding to bytes is half a level
                tests.check(off <= 0.51, f"images of {domain} are off by {off:.3g} levels")
                tests.check(want[domain].std(0).max() > 1, f"images of {domain} are all alike: nothing is tested")
    tests.finish()


main()
