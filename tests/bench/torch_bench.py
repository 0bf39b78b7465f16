#!/usr/bin/python3
"""PyTorch's speed for the networks that bench.c measures: torch_bench.py WIDTH SIZE BATCH [--channels-last].

Requests and answers are those of bench.c (operations and bytes are left 0: they are the same, and unknown). One core.
The networks are those of tests/reference/networks.py, with its few functions that are written for exactness in place of
speed taken from PyTorch, as anybody would.
"""

import os
import resource
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))

import torch
from torch.nn import functional as F

import networks

CLASSES = 1000
FACES = 4096
SAMPLER_BATCHES = 4

networks.leaky_relu = lambda x: F.leaky_relu(x, networks.SLOPE)
networks.larger = torch.maximum
networks.instance_norm = lambda x: F.instance_norm(x, eps=1e-5)
networks.pool = lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)


class Bench:
    def __init__(self, width, size, batch, channels_last):
        self.width, self.size, self.batch = width, size, batch
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def net(self, net, training=False):
        return net.to(memory_format=self.format).train(training)

    def images(self, channels):
        return torch.rand(self.batch, channels, self.size, self.size).contiguous(memory_format=self.format)

    def codes(self):
        return torch.rand(self.batch, networks.CODE), torch.rand(self.batch, networks.CODE)

    # Each returns the items of a step and the step.

    def lightcnn_forward(self):
        net, image = self.net(networks.LightCnn(self.width, self.size)), self.images(1)
        return self.batch, torch.no_grad()(lambda: net(image))

    def lightcnn_training(self):
        net, image = self.net(networks.LightCnn(self.width, self.size, CLASSES), True), self.images(1)
        labels = torch.randint(CLASSES, (self.batch,))
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=2e-4)

        def step():
            optimizer.zero_grad()
            embedding = net(image)
            mask = F.dropout(torch.ones_like(embedding), 0.5)
            F.cross_entropy(net.logits(embedding, mask), labels).backward()
            optimizer.step()

        return self.batch, step

    def encoder_forward(self):
        net, image = self.net(networks.Encoder(self.width, self.size)), self.images(3)
        return self.batch, torch.no_grad()(lambda: net.style(net(image)))

    def decoder(self, training):
        net = self.net(networks.Decoder(self.width, self.size, ("vis",)), training)
        identity, z = self.codes()
        style = torch.rand(self.batch, 14 * networks.channels(32, self.width))
        return net, lambda: net.paint(net(identity, z, style), "vis")

    def decoder_forward(self):
        return self.batch, torch.no_grad()(self.decoder(False)[1])

    def decoder_training(self):
        net, paint = self.decoder(True)
        target = self.images(3)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, betas=(0.5, 0.999))

        def step():
            optimizer.zero_grad()
            F.l1_loss(paint(), target).backward()
            optimizer.step()

        return self.batch, step

    def sampler_forward(self):
        items = SAMPLER_BATCHES * self.batch
        net, noise = self.net(networks.Sampler(self.width)), torch.rand(items, networks.CODE)
        return items, torch.no_grad()(lambda: net(noise))

    def sampler_training(self):
        """The VAE's step on unit features: cosine to the reconstruction, KL with the weight of the default settings."""
        items = SAMPLER_BATCHES * self.batch
        encoder, decoder = networks.IdentityEncoder(self.width).train(), networks.Sampler(self.width).train()
        feature, eps = networks.unit(torch.randn(items, networks.CODE)), torch.randn(items, networks.CODE)
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=5e-4, betas=(0.9, 0.999))

        def step():
            optimizer.zero_grad()
            mean, log_variance = encoder(feature)
            reconstructed = decoder(mean + torch.exp(0.5 * log_variance) * eps)
            cosine = (reconstructed * feature).sum(1).mean()
            kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
            (0.002 * kl - cosine).backward()
            optimizer.step()

        return items, step

    def generator_step(self):
        """The same step as bench.c's: one pass of the decoder a domain, one of the recogniser."""
        people = self.batch // 2
        encoders = [self.net(networks.Encoder(self.width, self.size), True) for _ in range(2)]
        decoder = self.net(networks.Decoder(self.width, self.size), True)
        recognizer = self.net(networks.LightCnn(self.width, self.size)).requires_grad_(False)
        sampler = self.net(networks.Sampler(self.width))
        parameters = [p for net in (*encoders, decoder) for p in net.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))
        photos = [self.images(3)[:people] for _ in range(2)]
        face = networks.unit(torch.randn(people, networks.CODE))
        swapped, noise = face.roll(1, 0), torch.randn(people, networks.CODE)

        def step():
            optimizer.zero_grad()
            with torch.no_grad():
                sampled = networks.unit(sampler(noise))
            loss, seen = 0, []
            for encoder, photo, domain in zip(encoders, photos, ("nir", "vis")):
                z = encoder(photo)
                style = encoder.style(z)
                features = decoder(torch.cat([face, swapped, sampled]), z.repeat(3, 1), style.repeat(3, 1))
                images = decoder.paint(features, domain).chunk(3)
                loss = loss + 50 * (z * face).sum(1).abs().mean()
                loss = loss + sum(w * F.l1_loss(image, photo) for w, image in zip((100, 10, 10), images))
                seen += [images[0], images[2]]
            a, a_sampled, b, b_sampled = networks.unit(recognizer(networks.gray(torch.cat(seen)))).chunk(4)
            pairs = ((a, face, 1), (b, face, 1), (a, b, 0.05), (a_sampled, sampled, 1), (b_sampled, sampled, 1))
            for u, v, weight in (*pairs, (a_sampled, b_sampled, 0.05)):
                loss = loss - 0.1 * weight * (u * v).sum(1).mean()
            loss.backward()
            optimizer.step()

        return people, step

    def recognizer_step(self):
        net, image = self.net(networks.LightCnn(self.width, self.size, CLASSES), True), self.images(1)
        pairs = self.batch // 4
        real = self.batch - 2 * pairs
        labels = torch.randint(CLASSES, (real,))
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=2e-4)

        def step():
            optimizer.zero_grad()
            embedding = net(image)
            mask = F.dropout(torch.ones_like(embedding[:real]), 0.5)
            a, b = networks.unit(embedding[real:]).chunk(2)
            push = F.relu((a * b.roll(1, 0)).sum(1) - 0.5).mean()
            contrast = 0.1 * push - (a * b).sum(1).mean()
            (F.cross_entropy(net.logits(embedding[:real], mask), labels) + 0.001 * contrast).backward()
            optimizer.step()

        return self.batch, step

    def similarity(self):
        probe, gallery = torch.rand(FACES, networks.CODE), torch.rand(FACES, networks.CODE)
        return FACES * FACES, lambda: torch.mm(probe, gallery.t())


def reset_peak():
    try:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
    except OSError:
        pass


def peak_bytes():
    with open("/proc/self/status") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def minor_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure(step, seconds):
    """Median seconds of the processor, page faults of a step, steps; one step before does not count."""
    step()
    times, faults = [], minor_faults()
    start = last = time.process_time()
    while len(times) < 4096 and (len(times) < 3 or last - start < seconds):
        step()
        now = time.process_time()
        times.append(now - last)
        last = now
    faults = (minor_faults() - faults) / len(times)
    return sorted(times)[len(times) // 2], faults, len(times)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    bench = Bench(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "--channels-last" in sys.argv[4:])
    for line in sys.stdin:
        name, seconds = line.split()
        if name == "info":
            print("info", torch.__version__, "-", "-", sep="\t", flush=True)
            continue
        reset_peak()
        items, step = getattr(bench, name)()
        median, faults, steps = measure(step, float(seconds))
        print(f"{name}\t{items}\t{median:.9g}\t0\t0\t{faults:.1f}\t{steps}\t{peak_bytes()}", flush=True)


main()
