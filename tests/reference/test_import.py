#!/usr/bin/python3
"""dvg-import against PyTorch: files that PyTorch wrote come in with the same values and give the same outputs, weights that
dvg-import writes back load with the same bits. test_import.py BUILD_DIR; limit: 300 seconds; takes: 25 seconds."""

import io
import json
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import torch

sys.dont_write_bytecode = True
import common
import networks

WIDTH, SIZE, IMAGES = 0.25, 64, 1
MODELS = {
    "lightcnn29v2": lambda width, size: networks.LightCnn(width, size),
    "identity_sampler": lambda width, size: networks.Sampler(width),
    "encoder": lambda width, size: networks.Encoder(width, size),
    "decoder": lambda width, size: networks.Decoder(width, size),
}
TYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}


class Job:
    def __init__(self, build, folder, tests):
        self.build, self.folder, self.tests = build, folder, tests

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, *arguments):
        return common.run([os.path.join(self.build, "bin", "dvg-import"), *map(str, arguments)])

    def tool(self, name, *arguments):
        return common.run([os.path.join(self.build, "tests", "reference", name), *map(str, arguments)])

    def bring(self, what, net, source, width=WIDTH, size=SIZE):
        """Imports a file; the weight file's path, None if that fails."""
        out = self.path("imported.h5")
        good = self.program("--net", net, "--in", source, "--out", out, "--width", width, "--size", size)
        return out if self.tests.check(good, f"{what}: is not imported") else None

    def same(self, what, weights, state):
        """Whether the weight file has the values of a state_dict, rounded to float32, bit by bit."""
        with h5py.File(weights, "r") as file:
            have = common.group(file, "/")
        want = {name: value.detach().to(torch.float32).numpy() for name, value in state.items()}
        wrong = [n for n in set(have) ^ set(want)]
        wrong += [n for n in set(have) & set(want) if have[n].shape != want[n].shape or have[n].tobytes() != want[n].tobytes()]
        self.tests.check(not wrong, f"{what}: other values in {sorted(wrong)[:5]}")


def make(net, seed, width=WIDTH, size=SIZE):
    """A model with random float32 weights, kept as doubles for computing, and its state_dict in float32."""
    torch.manual_seed(seed)
    model = MODELS[net](width, size)
    state = {name: value.to(torch.float32) for name, value in model.state_dict().items()}
    model.load_state_dict({name: value.to(torch.float64) for name, value in state.items()})
    return model, state


# ---- files that PyTorch does not write, or not on this machine


def write_safetensors(path, state):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in state.items():
        raw = value.contiguous().view(torch.int16 if value.element_size() == 2 else value.dtype).numpy().tobytes()
        header[name] = {"dtype": TYPES[value.dtype], "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def read_safetensors(path):
    with open(path, "rb") as file:
        content = file.read()
    n = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + n]), content[8 + n :]
    return {
        name: torch.from_numpy(np.frombuffer(data[item["data_offsets"][0] : item["data_offsets"][1]], "<f4").copy().reshape(item["shape"]))
        for name, item in header.items()
        if name != "__metadata__"
    }


def write_big_endian(path, state):
    """The zip container of a big-endian machine: float32 values swapped, and said so."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "/data/" in name:
                content = np.frombuffer(content, "<f4").astype(">f4").tobytes()
            if not name.endswith("byteorder"):
                new.writestr(name, content)
        new.writestr(old.namelist()[0].split("/")[0] + "/byteorder", b"big")


def write_foreign_legacy(path, state):
    """The legacy stream of a big-endian machine, as early versions wrote it: counts big endian, values little endian."""
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    content = buffer.getvalue().replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    assert content != buffer.getvalue()
    keys = {str(value.storage()._cdata): len(value.storage()) for value in state.values()}
    at = len(content)  # the storages stand at the end, in the order of their keys: from the last to the first
    content = bytearray(content)
    for key in sorted(keys, reverse=True):
        at -= 8 + 4 * keys[key]
        assert int.from_bytes(content[at : at + 8], "little") == keys[key]
        content[at : at + 8] = content[at : at + 8][::-1]
    with open(path, "wb") as file:
        file.write(content)


def save(path, content, kind):
    if kind == "safetensors":
        write_safetensors(path, content)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")


# ---- tests


def strided(state):
    """The same values with strides, offsets and one storage for several tensors."""
    names = sorted(state)
    shared = torch.cat([torch.full((7,), 5.0)] + [state[n].flatten() for n in names])
    views, at = {}, 7
    for n in names:
        views[n] = shared[at : at + state[n].numel()].view(state[n].shape)
        at += state[n].numel()
    turned = next(n for n in names if state[n].dim() == 2)
    views[turned] = state[turned].t().contiguous().t()
    planes = [n for n in names if state[n].dim() == 4]
    if planes:
        views[planes[0]] = state[planes[0]].contiguous(memory_format=torch.channels_last)
    spaced = next(n for n in names if state[n].dim() == 1)
    views[spaced] = torch.stack([state[spaced], -state[spaced]], 1)[:, 0]
    return views


def with_more(net, state):
    """What published files have beside what a network needs."""
    more = dict(state)
    if net == "lightcnn29v2":
        more["fc2.weight"], more["fc2.bias"] = torch.ones(801, 256), torch.ones(801)
    if net == "decoder":
        for k in (8, 10, 12):
            more[f"conv.{k}.norm.running_mean"], more[f"conv.{k}.norm.running_var"] = torch.zeros(8), torch.ones(8)
            more[f"conv.{k}.norm.num_batches_tracked"] = torch.tensor(3)
    return more


def parallel(state):
    return {"module." + name: value for name, value in state.items()}


def checkpoint(state):
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    return {"epoch": 45, "arch": "net", "state_dict": state, "prec1": 99.5, "optimizer": optimizer}


def values_of_files(job, net, state):
    half = {name: value.to(torch.float16) for name, value in state.items()}
    ordered = MODELS[net](WIDTH, SIZE).to(torch.float32).state_dict()  # with the versions of its modules
    more = with_more(net, state)
    cases = [
        ("legacy, module., checkpoint", "legacy", checkpoint(parallel(more)), state),
        ("legacy, float16", "legacy", half, half),
        ("zip, float16, module., under net", "zip", {"net": parallel(half)}, half),
        ("zip", "zip", ordered, ordered),
    ]
    if net == "lightcnn29v2":
        cases += other_cases(state)
    for what, kind, content, want in cases:
        path = job.path("file")
        kind(path, content) if callable(kind) else save(path, content, kind)
        weights = job.bring(f"{net}, {what}", net, path)
        weights and job.same(f"{net}, {what}", weights, want)
    weights and back(job, net, weights, want)


def other_cases(state):
    """What is alike for all networks."""
    half = {name: value.to(torch.float16) for name, value in state.items()}
    brain = {name: value.to(torch.bfloat16) for name, value in state.items()}
    double = {name: value.to(torch.float64) + 1e-12 for name, value in state.items()}
    parameters = {name: torch.nn.Parameter(value) for name, value in state.items()}
    return [
        ("legacy, plain", "legacy", state, state),
        ("legacy, strides", "legacy", strided(state), state),
        ("legacy, big endian", write_foreign_legacy, state, state),
        ("zip, module., under model", "zip", {"model": parallel(state)}, state),
        ("zip, bfloat16", "zip", brain, brain),
        ("zip, float64", "zip", double, double),
        ("zip, strides, parameters", "zip", strided(parameters), state),
        ("zip, big endian", write_big_endian, state, state),
        ("safetensors, float16, module.", "safetensors", parallel(half), half),
        ("safetensors", "safetensors", state, state),
    ]


def outputs(job, net, model, weights, width, size):
    torch.manual_seed(7)
    code = (IMAGES, networks.CODE)
    inputs = {
        "lightcnn29v2": {"image": torch.rand(IMAGES, 1, size, size)},
        "identity_sampler": {"noise": torch.randn(code)},
        "encoder": {"image": torch.rand(IMAGES, 3, size, size)},
        "decoder": {
            "identity": networks.unit(torch.randn(code)),
            "z": networks.unit(torch.randn(code)),
            "style": torch.randn(IMAGES, 14 * networks.channels(32, width)),
        },
    }[net]
    with h5py.File(job.path("inputs.h5"), "w") as file:
        for name, value in inputs.items():
            value = value.to(torch.float32)
            inputs[name] = value.to(torch.float64)
            file[name] = value.reshape(*value.shape, *[1] * (4 - value.dim())).numpy()
    if not job.tests.check(job.tool("apply_weights", net, weights, job.path("inputs.h5"), job.path("outputs.h5")), f"{net} runs"):
        return
    with torch.no_grad():
        if net == "encoder":
            z = model(inputs["image"])
            want = {"z": z, "style": model.style(z)}
        elif net == "decoder":
            features = model(inputs["identity"], inputs["z"], inputs["style"])
            want = {domain: model.paint(features, domain) for domain in ("nir", "vis")}
        else:
            want = {"embedding": model(*inputs.values())}
    with h5py.File(job.path("outputs.h5"), "r") as file:
        for name, value in want.items():
            error, where = common.largest_error(file[name][()].reshape(value.shape), value.numpy())
            what = f"{net}, width {width:g}, size {size}: {name}"
            job.tests.check(error <= common.OUTPUT_TOLERANCE, f"{what} is off by {error:.3g} {where}")
            job.tests.note(f"{what}: largest error {error:.2e} of its largest value")


def back(job, what, weights, state):
    """Export in both formats; the file of PyTorch without any permission to execute."""
    zipped, safe = job.path("back.pth"), job.path("back.safetensors")
    if job.tests.check(job.program("--export", "--in", weights, "--out", zipped), f"{what}: exported for PyTorch"):
        loaded = torch.load(zipped, weights_only=True)
        compare_back(job, f"{what}, back in PyTorch", loaded, state)
    if job.tests.check(job.program("--export", "--in", weights, "--out", safe), f"{what}: exported as safetensors"):
        compare_back(job, f"{what}, back as safetensors", read_safetensors(safe), state)


def compare_back(job, what, loaded, state):
    wrong = sorted(set(loaded) ^ set(state))
    wrong += [n for n in set(loaded) & set(state) if loaded[n].dtype != torch.float32 or not torch.equal(loaded[n], state[n])]
    job.tests.check(not wrong, f"{what}: other bits in {wrong[:5]}")


def generator_of_files(job):
    """Three files become one generator; their heads are renamed."""
    parts = {"sketch": make("encoder", 31)[1], "vis": make("encoder", 32)[1], "decoder": make("decoder", 33)[1]}
    for name, state in parts.items():
        torch.save({"state_dict": parallel(state)}, job.path(name + ".pth"), _use_new_zipfile_serialization=name == "vis")
    want = {f"encoder.{d}.{n}": v for d in ("sketch", "vis") for n, v in parts[d].items()}
    want.update({"decoder." + n.replace("nir_output", "sketch_output"): v for n, v in parts["decoder"].items()})
    shape = ("--width", WIDTH, "--size", SIZE, "--net", "generator", "--domains", "SKETCH,VIS")
    files = ("--encoders", f"{job.path('sketch.pth')},{job.path('vis.pth')}", "--decoder", job.path("decoder.pth"))
    out = job.path("generator.h5")
    if not job.tests.check(job.program(*shape, *files, "--heads", "nir,vis", "--out", out), "generator of three files"):
        return
    job.same("generator of three files", out, want)
    back(job, "generator", out, want)
    again = job.path("again.h5")
    job.tests.check(job.program(*shape, "--in", job.path("back.pth"), "--out", again), "generator of one file")
    job.same("generator of one file", again, want)
    part = job.path("part.pth")
    job.tests.check(job.program("--export", "--in", out, "--part", "encoder.vis.", "--out", part), "part of a generator")
    compare_back(job, "part of a generator", torch.load(part, weights_only=True), parts["vis"])


class Harmful:
    """What a pickle can do to whoever loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def refusals(job):
    """Exit code 3, and in one run a line for everything that is wrong."""
    model, state = make("identity_sampler", 5)
    injured = job.path("injured")
    broken = dict(parallel(state), **{"fc.0.bias": state["fc.0.bias"], "fc.2.bias": state["fc.2.bias"]})
    broken["module.fc.2.weight"] = state["fc.2.weight"].to(torch.int64)
    del broken["module.fc.6.bias"]
    lines = (
        "module.fc.2.weight (256x256, int64) refused: is of no floating type",
        "fc.0.bias (256, float32) refused: was there before as module.fc.0.bias",
        "fc.2.bias (256, float32) refused: was there before as module.fc.2.bias",
        "fc.6.bias (256) is missing",
        "4 problems named above",
    )
    nan = dict(state, **{"fc.4.bias": torch.full_like(state["fc.4.bias"], float("nan"))})
    cases = (
        ("much is wrong", broken, lines),
        ("a value is not finite", nan, ["'fc.4.bias' is not finite at 0"]),
        ("a whole module", model, ["asks for 'networks Sampler'"]),
        ("a pickle that acts", {"state_dict": state, "more": Harmful(injured)}, ["asks for 'posix mkdir'"]),
        ("no state_dict", {"weights": state}, ["holds no state_dict"]),
    )
    program = os.path.join(job.build, "bin", "dvg-import")
    for what, content, said in cases:
        torch.save(content, job.path("file"), _use_new_zipfile_serialization=what != "no state_dict")
        arguments = ["--net", "identity_sampler", "--in", job.path("file"), "--out", job.path("refused.h5"), "--width", str(WIDTH)]
        done = subprocess.run([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        heard = done.stderr.decode()
        right = all(line in heard for line in said)
        job.tests.check(done.returncode == 3 and right, f"{what}: code {done.returncode}, heard {heard}")
        job.tests.check(heard.count("error: ") == 1, f"{what}: one error line, heard {heard}")
        job.tests.check(not os.path.exists(job.path("refused.h5")), f"{what}: a file is left")
    job.tests.check(not os.path.exists(injured), "something was executed")


def memory(job, source):
    """The largest network comes in with its 42 MB of parameters, one tensor, and what every program takes."""
    program = os.path.join(job.build, "bin", "dvg-import")
    arguments = [program, "--net", "lightcnn29v2", "--in", source, "--out", job.path("memory.h5")]
    # A small process between this large one and the program, whose peak would else begin with ours.
    measure = "import resource as r, subprocess as s, sys; s.run(sys.argv[1:], stdout=s.DEVNULL); print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    megabytes = int(subprocess.run([sys.executable, "-c", measure, *arguments], stdout=subprocess.PIPE).stdout) / 1024
    sanitized = os.path.basename(job.build) == "sanitize"
    job.tests.check(sanitized or 40 < megabytes < 110, f"the import takes {megabytes:.0f} MB")
    job.tests.note(f"lightcnn29v2, full size: {megabytes:.0f} MB")


def main():
    tests = common.Tests()
    with common.temporary_folder() as folder:
        job = Job(common.build_folder(), folder, tests)
        for seed, net in enumerate(MODELS):
            values_of_files(job, net, make(net, seed)[1])
            tests.note(f"{net}: values of all formats, and back")
        generator_of_files(job)
        refusals(job)
        for net in MODELS:  # as published: full size, legacy stream, DataParallel's names
            model, state = make(net, 77, 1.0, 128)
            torch.save(checkpoint(parallel(with_more(net, state))), job.path("full.pth.tar"), _use_new_zipfile_serialization=False)
            weights = job.bring(f"{net}, full size", net, job.path("full.pth.tar"), 1, 128)
            if weights:
                job.same(f"{net}, full size", weights, state)
                outputs(job, net, model, weights, 1.0, 128)
                net == "lightcnn29v2" and memory(job, job.path("full.pth.tar"))
    tests.finish()


main()
