"""The networks of DVG-Face in PyTorch, written from the description of the method alone: reference for the C ones.

`width` multiplies every channel count, `size` is the side of the images; embeddings, attribute codes and noise keep 256
values. The published networks are width 1, size 128. Parameter names are those of the authors' state_dict.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

CODE = 256
SLOPE = 0.2


def channels(count, width):
    """`count` channels of the published network at another width; halves are rounded up, one is the least."""
    return max(1, math.floor(count * width + 0.5))


class Switches:
    """Where an activation's slope, a maximum's winner or a sign hangs on less than rounding, float arithmetic may
    decide otherwise than doubles, with the same value and another gradient. A decision is (which call of `choose` since
    start(), flat index in it); those in `turned` are taken the other way.

    With `margin` > 0, what decisions that hang on less than margin times the root mean square are about is kept in
    `close`, {call: its output, their indices, whether the first was taken, first - second}.
    """

    turned, margin, close, calls = set(), 0.0, {}, 0

    @classmethod
    def start(cls, turned=(), margin=0.0):
        cls.turned, cls.margin, cls.close, cls.calls = set(turned), margin, {}, 0

    @classmethod
    def choose(cls, x, first, second):
        """`first` where x is positive, else `second`."""
        decision = x > 0
        for call, index in cls.turned:
            if call == cls.calls:
                decision.view(-1)[index] ^= True
        y = torch.where(decision, first, second)
        if cls.margin:
            near = x.detach().abs().flatten() < cls.margin * x.detach().square().mean().sqrt()
            index = near.nonzero().flatten()
            cls.close[cls.calls] = y, index, decision.flatten()[index], (first - second).detach().flatten()[index]
        cls.calls += 1
        return y


def leaky_relu(x):
    return Switches.choose(x, x, SLOPE * x)


class LeakyRelu(nn.Module):
    def forward(self, x):
        return leaky_relu(x)


def larger(a, b):
    return Switches.choose(a - b, a, b)


def absolute(x):
    return Switches.choose(x, x, -x)


def unit(x):
    return F.normalize(x, dim=1, eps=1e-12)


def gray(x):
    weight = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype).view(1, 3, 1, 1)
    return (x * weight).sum(1, keepdim=True)


# ---- F: LightCNN-29v2


class Mfm(nn.Module):
    """Convolution, then the larger of the first and the second half of the channels."""

    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.filter = nn.Conv2d(inputs, 2 * outputs, kernel, 1, kernel // 2)

    def forward(self, x):
        first, second = self.filter(x).chunk(2, 1)
        return larger(first, second)


class MfmResidual(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.conv1 = Mfm(count, count, 3)
        self.conv2 = Mfm(count, count, 3)

    def forward(self, x):
        return x + self.conv2(self.conv1(x))


class MfmGroup(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv_a = Mfm(inputs, inputs, 1)
        self.conv = Mfm(inputs, outputs, 3)

    def forward(self, x):
        return self.conv(self.conv_a(x))


def pool(x):
    a, b, c, d = (x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return larger(larger(a, b), larger(c, d)) + (a + b + c + d) / 4


class LightCnn(nn.Module):
    """Gray (N,1,size,size) in [0,1] -> embedding (N,256), not normalised; fc2_ is there when there are classes."""

    def __init__(self, width=1.0, size=128, classes=0):
        super().__init__()
        self.size = size
        c48, c96, c192, c128 = (channels(c, width) for c in (48, 96, 192, 128))
        self.conv1 = Mfm(1, c48, 5)
        self.block1 = nn.Sequential(*(MfmResidual(c48) for _ in range(1)))
        self.group1 = MfmGroup(c48, c96)
        self.block2 = nn.Sequential(*(MfmResidual(c96) for _ in range(2)))
        self.group2 = MfmGroup(c96, c192)
        self.block3 = nn.Sequential(*(MfmResidual(c192) for _ in range(3)))
        self.group3 = MfmGroup(c192, c128)
        self.block4 = nn.Sequential(*(MfmResidual(c128) for _ in range(4)))
        self.group4 = MfmGroup(c128, c128)
        self.fc = nn.Linear(c128 * (size // 16) ** 2, CODE)
        if classes:
            self.fc2_ = nn.Linear(CODE, classes, bias=False)

    def forward(self, x):
        x = pool(self.conv1(x))
        x = pool(self.group1(self.block1(x)))
        x = pool(self.group2(self.block2(x)))
        x = self.group3(self.block3(x))
        x = pool(self.group4(self.block4(x)))
        return self.fc(x.flatten(1))

    def logits(self, embedding, mask):
        """`mask` (N,256): that of dropout, 0 or 2."""
        return self.fc2_(embedding * mask)


# ---- E: attribute encoder


def instance_norm(x):
    mean = x.mean((2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5)


class Normed(nn.Module):
    """Convolution, instance norm (adaptive when a style is given: shifts first, then scales), LeakyReLU."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x, style=None):
        x = instance_norm(self.conv(x))
        if style is not None:
            shift, scale = style.chunk(2, 1)
            x = x * scale[:, :, None, None] + shift[:, :, None, None]
        return leaky_relu(x)


class Encoder(nn.Module):
    """RGB (N,3,size,size) in [0,1] -> attribute code z (N,256) of length 1; `style` makes the decoder's style of it.

    The variational one gives a normal distribution instead: `posterior` its mean and log-variance."""

    def __init__(self, width=1.0, size=128, variational=False):
        super().__init__()
        counts = [channels(c, width) for c in (32, 64, 128, 256, 256, 256)]
        layers = [Normed(nn.Conv2d(3, counts[0], 5, 1, 2))]
        layers += [Normed(nn.Conv2d(a, b, 3, 2, 1)) for a, b in zip(counts, counts[1:])]
        self.conv = nn.Sequential(*layers)
        self.fc_enc = nn.Linear(counts[-1] * (size // 32) ** 2, CODE)
        if variational:
            self.fc_log_variance = nn.Linear(counts[-1] * (size // 32) ** 2, CODE)
        self.fc_style = mlp(CODE, channels(1024, width), channels(2048, width), 14 * channels(32, width))

    def forward(self, x):
        return unit(self.fc_enc(self.conv(x).flatten(1)))

    def posterior(self, x):
        x = self.conv(x).flatten(1)
        return self.fc_enc(x), self.fc_log_variance(x)

    def style(self, z):
        return self.fc_style(z)


# ---- G: decoder


class Residual(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.conv1 = Normed(nn.Conv2d(count, count, 3, 1, 1))
        self.conv2 = Normed(nn.Conv2d(count, count, 3, 1, 1))

    def forward(self, x, style1=None, style2=None):
        return x + self.conv2(self.conv1(x, style1), style2)


class Decoder(nn.Module):
    """Identity (N,256), z (N,256) and style -> features; `paint` makes the image of a domain of them."""

    def __init__(self, width=1.0, size=128, domains=("nir", "vis")):
        super().__init__()
        self.base = size // 32
        c128, c64, c32 = (channels(c, width) for c in (128, 64, 32))
        self.fc = nn.Sequential(nn.Linear(2 * CODE, c128 * self.base**2), LeakyRelu())
        layers = []
        for inputs, outputs in ((c128, c128), (c128, c128), (c128, c64), (c64, c64)):
            layers += [Normed(nn.ConvTranspose2d(inputs, outputs, 2, 2)), Residual(outputs)]
        layers += [Normed(nn.ConvTranspose2d(c64, c32, 2, 2)), Residual(c32), Normed(nn.Conv2d(c32, c32, 3, 1, 1))]
        layers += [Residual(c32), Normed(nn.Conv2d(c32, c32, 3, 1, 1))]
        self.conv = nn.ModuleList(layers)
        for domain in domains:
            setattr(self, domain + "_output", nn.Conv2d(c32, 3, 1))

    def forward(self, identity, z, style):
        x = self.fc(torch.cat([identity, z], 1))
        x = x.view(len(x), -1, self.base, self.base)
        for layer in self.conv[:8]:
            x = layer(x)
        parts = list(style.chunk(7, 1))
        for layer in self.conv[8:]:
            x = layer(x, parts.pop(0), parts.pop(0)) if isinstance(layer, Residual) else layer(x, parts.pop(0))
        assert not parts
        return x

    def paint(self, features, domain):
        return torch.sigmoid(getattr(self, domain + "_output")(features))


# ---- D: discriminator


class Discriminator(nn.Module):
    """RGB image -> a logit for each patch."""

    def __init__(self, width=1.0):
        super().__init__()
        counts = [3] + [channels(c, width) for c in (64, 128, 256, 512)]
        self.conv = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(counts, counts[1:]))
        self.output = nn.Conv2d(counts[-1], 1, 3, 1, 1)

    def forward(self, x):
        for layer in self.conv:
            x = leaky_relu(layer(x))
        return self.output(x)


# ---- F_s: identity sampler, and the encoder that it is trained with


def mlp(*counts):
    layers = []
    for a, b in zip(counts, counts[1:]):
        layers += [nn.Linear(a, b), LeakyRelu()]
    return nn.Sequential(*layers[:-1])


class Sampler(nn.Module):
    """Noise (N,256) -> embedding (N,256) of length 1."""

    def __init__(self, width=1.0):
        super().__init__()
        self.fc = mlp(CODE, channels(1024, width), channels(1024, width), channels(512, width), CODE)

    def forward(self, noise):
        return unit(self.fc(noise))


class IdentityEncoder(nn.Module):
    """The sampler's mirror image: embedding (N,256) -> mean and log-variance of the noise."""

    def __init__(self, width=1.0):
        super().__init__()
        counts = [channels(c, width) for c in (512, 1024, 1024)]
        self.fc = mlp(CODE, *counts)
        self.mean = nn.Linear(counts[-1], CODE)
        self.log_variance = nn.Linear(counts[-1], CODE)

    def forward(self, embedding):
        x = leaky_relu(self.fc(embedding))
        return self.mean(x), self.log_variance(x)


def biases_without_effect(net):
    """Names of the biases in front of an instance norm, which takes them away: their gradient is zero."""
    return {name + ".conv.bias" for name, module in net.named_modules() if isinstance(module, Normed)}
