#!/usr/bin/python3
"""dvg-evaluate against numpy: every metric from the stored scores, by other algorithms; the scores themselves, and the quality
of a pair set, from PyTorch's embeddings. test_metrics.py BUILD_DIR; limit: 180 seconds; takes: 25 seconds."""

import json
import os
import shutil
import subprocess

import h5py
import numpy as np
import torch

import common
import networks

SCORE_TOLERANCE = 1e-5  # of a cosine: embeddings in float32 against doubles
SIZE, WIDTH = 64, 0.125


# ---- the metrics, from all scores and labels


def split(score, same):
    return score[same], score[~same]


def auc(genuine, impostor):
    below = (impostor[None, :] < genuine[:, None]).sum()
    equal = (impostor[None, :] == genuine[:, None]).sum()
    return (below + equal / 2) / (len(genuine) * len(impostor))


def points(genuine, impostor):
    """(FAR, TAR) of all thresholds, from above the highest score down to the lowest."""
    thresholds = np.concatenate([[np.inf], np.unique(np.concatenate([genuine, impostor]))[::-1]])
    far = np.array([(impostor >= t).mean() for t in thresholds])
    tar = np.array([(genuine >= t).mean() for t in thresholds])
    return far, tar, thresholds


def eer(far, tar):
    """FAR on the line through the points, where it equals 1 - TAR."""
    gap = far + tar - 1
    k = int(np.argmax(gap >= 0))
    part = gap[k - 1] / (gap[k - 1] - gap[k])
    return far[k - 1] + part * (far[k] - far[k - 1])


def tar_at(far, tar, limit):
    """The last threshold with FAR <= limit: FAR grows along the list."""
    return tar[np.flatnonzero(far <= limit)[-1]]


def places(score, same):
    """Place of the first image of one's own; among equal scores other people's come first. 0: there is none."""
    found = []
    for row, own in zip(score, same):
        order = sorted(range(len(row)), key=lambda j: (-row[j], own[j]))
        found.append(next((i + 1 for i, j in enumerate(order) if own[j]), 0))
    return np.array(found)


def compare_intervals(tests, what, said, replicates):
    """95 % of the replicates, by order; the rate itself lies near their middle."""
    for name, values in replicates.items():
        low, high = said["rank_1_interval"] if name == "rank_1" else said["tar_at_far_interval"][name]
        values = np.sort(values[~np.isnan(values)])
        if len(values) == 0:
            tests.check((low, high) == (None, None), f"{what}: an interval of {name} without replicates")
            continue
        cut = int(len(values) * 0.05 / 2)
        tests.check((low, high) == (values[cut], values[-1 - cut]), f"{what}: the interval of {name} is [{low}, {high}]")


def compare_spread(tests, what, replicates, score, same, person):
    """The deviation of the replicates against a bootstrap of numpy's own: other draws, so only about the same."""
    draw = np.random.default_rng(1)
    people = [np.flatnonzero(person == p) for p in np.unique(person)]
    limits = [name for name, values in replicates.items() if name != "rank_1" and not np.isnan(values).any()]
    own = {name: [] for name in ["rank_1", *limits]}
    place = places(score, same)
    for _ in range(300):
        rows = np.concatenate([people[k] for k in draw.integers(len(people), size=len(people))])
        genuine, impostor = split(score[rows], same[rows])
        own["rank_1"].append((place[rows] == 1).mean())
        descending = np.sort(impostor)[::-1]
        for name in limits:
            allowed = int(np.floor(float(name) * len(impostor) * (1 + 1e-12)))
            own[name].append((genuine > descending[allowed]).mean() if allowed < len(impostor) else 1.0)
    for name, values in own.items():
        mean, spread = np.mean(values), np.std(values)
        tests.check(abs(replicates[name].mean() - mean) <= 0.3 * spread + 1e-3, f"{what}: replicates of {name}: mean {mean}")
        ratio = (replicates[name].std() + 1e-6) / (spread + 1e-6)
        tests.check(0.75 <= ratio <= 1.33, f"{what}: replicates of {name} deviate {ratio} times as much as numpy's")


def compare(tests, what, folder):
    with h5py.File(f"{folder}/evaluation.h5") as file:
        score = file["score"][()]
        same = file["probe_person"][()][:, None] == file["gallery_person"][()][None, :]
        attributes = dict(file.attrs)
        stored_places = file["place"][()]
        roc = {name: file[f"roc_{name}"][()] for name in ("far", "tar", "threshold")}
        histogram = file["histogram_genuine"][()], file["histogram_impostor"][()]
        person = file["probe_person"][()]
        replicates = {"rank_1": file["bootstrap_rank_1"][()]}
        replicates.update({f"{far:g}": row for far, row in zip(file["far"][()], file["bootstrap_tar"][()])})
    with open(f"{folder}/metrics.json") as file:
        said = json.load(file)
    genuine, impostor = split(score, same)
    far, tar, thresholds = points(genuine, impostor)
    worst = 0.0

    def near(name, got, want):
        nonlocal worst
        worst = max(worst, abs(got - want))
        tests.check(abs(got - want) <= 1e-12, f"{what}: {name} is {got}, numpy has {want}")

    tests.check((len(genuine), len(impostor)) == (attributes["genuine"], attributes["impostor"]), f"{what}: number of scores")
    for name, want in (("auc", auc(genuine, impostor)), ("eer", eer(far, tar))):
        near(name, attributes[name], want)
        near(f"{name} in JSON", said[name], want)
    place = places(score, same)
    tests.check((place == stored_places).all(), f"{what}: places")
    tests.check((place == 0).sum() == attributes["probes_without_gallery"], f"{what}: strangers")
    for k in (1, 5, 10):
        if k <= score.shape[1]:
            near(f"rank-{k}", attributes[f"rank_{k}"], (place[place > 0] <= k).mean())
            near(f"rank-{k} in JSON", said[f"rank_{k}"], (place[place > 0] <= k).mean())
    for text, value in said["tar_at_far"].items():
        enough = len(impostor) * float(text) >= 1 - 1e-9
        tests.check((value is not None) == enough, f"{what}: TAR at {text} is {value} with {len(impostor)} impostors")
        tests.check((f"tar_at_far_{text}" in attributes) == enough, f"{what}: attribute of TAR at {text}")
        if enough:
            near(f"TAR at {text}", value, tar_at(far, tar, float(text)))
            threshold = said["threshold_at_far"][text]
            if threshold is not None:
                near(f"TAR at the threshold of {text}", (genuine >= np.float32(threshold)).mean(), value)
                tests.check((impostor >= np.float32(threshold)).mean() <= float(text), f"{what}: FAR at the threshold of {text}")
    compare_intervals(tests, what, said, replicates)
    if (person >= 0).all():
        compare_spread(tests, what, replicates, score, same, person)
    want = [tar_at(far, tar, limit + 1e-12) for limit in roc["far"]]
    tests.check(abs(roc["tar"] - want).max() <= 1e-12, f"{what}: the ROC")
    tests.check((roc["far"][0], roc["far"][-1], roc["tar"][-1]) == (0, 1, 1), f"{what}: the ends of the ROC")
    for name, counts, values in (("genuine", histogram[0], genuine), ("impostor", histogram[1], impostor)):
        edges = np.linspace(-1, 1, len(counts) + 1)
        want = np.histogram(np.clip(values.astype(np.float64), -1, 1), edges)[0]
        tests.check(counts.sum() == len(values), f"{what}: the {name} histogram has all scores")
        tests.check(abs(np.cumsum(counts) - np.cumsum(want)).max() <= 2, f"{what}: the {name} histogram")  # bounds in floats
    tests.note(f"{what}: {len(genuine)} genuine, {len(impostor)} impostor scores; largest difference {worst:.1e}")
    return score


# ---- the scores themselves


def embeddings(net, pixels):
    """Unit vectors of (N,H,W,C) bytes: gray, the middle, in [0,1]."""
    x = torch.from_numpy(pixels.astype(np.float64) / 255)
    top, left = (x.shape[1] - SIZE) // 2, (x.shape[2] - SIZE) // 2
    x = x[:, top : top + SIZE, left : left + SIZE, :].permute(0, 3, 1, 2)
    if x.shape[1] == 3:
        x = networks.gray(x).reshape(len(x), 1, SIZE, SIZE)
    with torch.no_grad():
        return networks.unit(net(x)).numpy()


def compare_scores(tests, what, net, folder, gallery, probes, score):
    with h5py.File(f"{folder}/evaluation.h5") as file:
        rows = file["gallery_row"][()], file["probe_row"][()]
    found = []
    for path, row in zip((gallery, probes), rows):
        with h5py.File(path) as file:
            found.append(embeddings(net, file["image"][()][row]))
    want = found[1] @ found[0].T
    error = abs(score - want).max()
    tests.check(error <= SCORE_TOLERANCE, f"{what}: a score is off by {error:.2e}")
    tests.note(f"{what}: scores against PyTorch's: largest difference {error:.1e}")


def compare_pairs(tests, net, folder, pairs):
    with open(f"{folder}/metrics.json") as file:
        said = json.load(file)["pairs"]
    with h5py.File(f"{pairs}/index.h5") as file:
        identity = file["identity"][()]
        image = {name: embeddings(net, file[f"image_{name}"][()]) for name in ("NIR", "VIS")}
    wanted = {"ms": (image["NIR"] * image["VIS"]).sum(1).mean()}
    for name, vectors in (("mis", image["NIR"]), ("mis_intended", identity)):
        cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
        wanted[name] = cosines[~np.eye(len(vectors), dtype=bool)].mean()
    tests.check(said["identities"] == len(np.unique(identity, axis=0)), "pairs: number of identities")
    for name, want in wanted.items():
        tests.check(abs(said[name] - want) <= SCORE_TOLERANCE, f"pairs: {name} is {said[name]}, want {want}")
    for name, vectors in image.items():
        want = (vectors * identity).sum(1).mean()
        tests.check(abs(said["to_identity"][name] - want) <= SCORE_TOLERANCE, f"pairs: {name} to identity")
    tests.note(f"pairs: MS {said['ms']:.6f}, MIS {said['mis']:.6f}, intended {said['mis_intended']:.6f}")


def frechet(a, b):
    """By the eigenvalues of the product of both covariances, which is not symmetric."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.maximum(np.linalg.eigvals(s[0] @ s[1]).real, 0)).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s[0]) + np.trace(s[1]) - 2 * root


def compare_pair_scores(tests, net, folder, pairs, features, far):
    """Scores of single pairs, the leak meter and the Frechet distance, from PyTorch's embeddings."""
    with h5py.File(f"{folder}/scores.h5") as file:
        have = {name: data[()] for name, data in file.items()}
    with open(f"{folder}/metrics.json") as file:
        said = json.load(file)["pairs"]
    with h5py.File(f"{pairs}/index.h5") as file:
        identity = file["identity"][()].astype(np.float64)
        image = {name: embeddings(net, file[f"image_{name}"][()]) for name in ("NIR", "VIS")}
    with h5py.File(f"{features}/index.h5") as file:
        training, person = file["feature"][()].astype(np.float64), file["identity"][()]
    nearest, leak = [], []
    for vectors in image.values():
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -1)
        nearest.append(cosines.max(1))
        leak.append((vectors @ training.T).max(1))
    want = {"cos_pair": (image["NIR"] * image["VIS"]).sum(1), "nearest": np.max(nearest, 0), "leak": np.max(leak, 0)}
    want.update({f"cos_{name}": (vectors * identity).sum(1) for name, vectors in image.items()})
    tests.check(set(have) == set(want), f"scores: columns {sorted(have)}")
    for name, values in want.items():
        error = abs(have[name] - values).max()
        tests.check(error <= SCORE_TOLERANCE, f"scores: {name} is off by {error:.2e}")
    for name in ("nearest", "leak"):
        tests.check(abs(said[name] - want[name].mean()) <= SCORE_TOLERANCE, f"scores: mean {name}")
    impostors = (training @ training.T)[person[:, None] < person[None, :]]
    # a step of 2^-19, and the cosines' own error
    share = [(impostors >= said["leak_threshold"] + by).mean() for by in (1e-6, -3e-6)]
    tests.check(share[0] <= far < share[1], f"scores: {share[0]} of the impostors reach the threshold, {share[1]} the one before")
    tests.check(abs(said["leaks"] - (have["leak"] >= said["leak_threshold"]).mean()) <= 1e-12, "scores: share of leaks")
    for name, vectors in image.items():
        distance = frechet(vectors, training)
        # roots of eigenvalues that are 0 but for rounding: 256 of 1e-16 and less
        tests.check(abs(said["frechet"][name] - distance) <= 2e-5, f"scores: Frechet distance {said['frechet'][name]}, want {distance}")
    tests.note(f"scores: leaks {said['leaks']:.3f} beyond {said['leak_threshold']:.3f}, Frechet distance {said['frechet']['NIR']:.6f}")


# ---- what several trainings gain


def compare_mean(tests, programs, folder, couples):
    """dvg-evaluate --mean-of against the mean of the stored replicates' differences."""
    here, there = ([f"{folder}/{name}" for name in names] for names in zip(*couples))
    command = [f"{programs}/dvg-evaluate", "--mean-of", ",".join(here), "--against", ",".join(there), "--out", f"{folder}/mean"]
    if not tests.check(common.run(command), "--mean-of fails"):
        return
    with open(f"{folder}/mean/mean.json") as file:
        said = json.load(file)
    each, replicates = [], []  # of each couple: a row a FAR, rank-1 last
    for one, other in zip(here, there):
        with h5py.File(f"{one}/evaluation.h5") as a, h5py.File(f"{other}/evaluation.h5") as b:
            names = [f"{far:g}" for far in a["far"][()]]
            each.append([*(a["tar"][()] - b["tar"][()]), a.attrs["rank_1"] - b.attrs["rank_1"]])
            replicates.append(np.vstack([a["bootstrap_tar"][()] - b["bootstrap_tar"][()], a["bootstrap_rank_1"][()] - b["bootstrap_rank_1"][()]]))
    each, replicates = np.array(each), np.mean(replicates, axis=0)
    for k, name in enumerate([*names, "rank_1"]):
        got = said["rank_1"] if name == "rank_1" else said["tar_at_far"].get(name)
        if np.isnan(each[:, k]).any():
            tests.check(got is None, f"mean: there is one of {name}")
            continue
        values = np.sort(replicates[k][~np.isnan(replicates[k])])
        cut = int(len(values) * 0.05 / 2)
        beyond = min((values <= 1e-9).sum(), (values >= -1e-9).sum())
        want = [*each[:, k], each[:, k].mean(), values[cut], values[-1 - cut], min(1, 2 * (beyond + 1) / (len(values) + 1))]
        is_ = [*got["each"], *(got["mean"][part] for part in ("difference", "low", "high", "p"))]
        tests.check(np.allclose(is_, want, rtol=0, atol=1e-12), f"mean of {name}: {is_} instead of {want}")


# ---- images without embedding


def without_embedding(tests, programs, folder, value):
    """A network whose last layer gives 0, or overflows: an error that names an image, exit code 6, no result."""
    shutil.copy(f"{folder}/f.h5", f"{folder}/bad.h5")
    with h5py.File(f"{folder}/bad.h5", "r+") as file:
        for name in ("fc.weight", "fc.bias"):
            file[name][...] = value
    for arguments in (["--images", f"{folder}/toy.h5"], ["--pairs", f"{folder}/pairs"]):
        command = [f"{programs}/dvg-evaluate", "--weights", f"{folder}/bad.h5", "--out", f"{folder}/bad", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        what = f"{arguments[0]}, vectors of {value}"
        tests.check(done.returncode == 6, f"{what}: exit code {done.returncode}")
        tests.check("has no embedding" in done.stderr, f"{what}: says {done.stderr!r}")
        tests.check(not os.path.exists(f"{folder}/bad/evaluation.h5"), f"{what}: there is a result")


def main():
    tests = common.Tests()
    build = common.build_folder()
    programs, tools = f"{build}/bin", f"{build}/tests/reference"
    with common.temporary_folder() as folder:
        toy, other, weights = f"{folder}/toy.h5", f"{folder}/other.h5", f"{folder}/f.h5"
        render = [f"{programs}/dvg-prepare", "render", "--size", "72"]
        size = ["--width", str(WIDTH), "--size", str(SIZE)]
        made = [
            [*render, "--people", "20", "--images", "5", "--out", toy],
            [*render, "--people", "9", "--first-person", "15", "--images", "3", "--out", other],
            [f"{tools}/make_weights", *size, "--out", weights],
            [f"{tools}/make_weights", "--net", "identity_sampler", *size, "--out", f"{folder}/s.h5"],
            [f"{tools}/make_weights", "--net", "generator", *size, "--out", f"{folder}/g.h5"],
            [f"{programs}/dvg-generate", "--generator", f"{folder}/g.h5", "--sampler", f"{folder}/s.h5", "--bank", toy]
            + ["--domain", "NIR", "--count", "30", "--per-shard", "16", "--out", f"{folder}/pairs"],
        ]
        if not all(tests.check(common.run(command), f"{command[0]} fails") for command in made):
            tests.finish()
        net = networks.LightCnn(WIDTH, SIZE)
        with h5py.File(weights) as file:
            if not common.load_weights(tests, "weights", net, common.group(file, "/")):
                tests.finish()
        evaluate = [f"{programs}/dvg-evaluate", "--weights", weights]
        for what, gallery, probes, options in (
            ("all against all", toy, toy, []),
            ("one gallery image a person", toy, toy, ["--gallery-per-person", "1", "--far", "0.5,0.1,0.03,0.01"]),
            ("one domain", toy, toy, ["--gallery-per-person", "2", "--gallery-choice", "random", "--probe-domain", "VIS"]),
            ("strangers among the probes", toy, other, ["--gallery-per-person", "1"]),
            ("another gallery", other, toy, []),
        ):
            out = f"{folder}/{what.replace(' ', '-')}"
            command = [*evaluate, "--gallery-images", gallery, "--probe-images", probes, *options, "--out", out]
            if tests.check(common.run(command), f"{what}: fails"):
                score = compare(tests, what, out)
                compare_scores(tests, what, net, out, gallery, probes, score)
        others = []  # other recognisers on the same images
        for seed in (2, 3, 4):
            common.run([f"{tools}/make_weights", *size, "--seed", str(seed), "--out", f"{folder}/f{seed}.h5"])
            command = [f"{programs}/dvg-evaluate", "--weights", f"{folder}/f{seed}.h5", "--images", toy, "--out", f"{folder}/e{seed}"]
            others.append(tests.check(common.run(command), f"seed {seed}: fails"))
        if all(others):
            compare_mean(tests, programs, folder, [("e2", "all-against-all"), ("e3", "e2"), ("e4", "all-against-all")])
        if tests.check(common.run([*evaluate, "--pairs", f"{folder}/pairs", "--out", f"{folder}/q"]), "--pairs fails"):
            compare_pairs(tests, net, f"{folder}/q", f"{folder}/pairs")
        features = f"{folder}/features"
        extract = [f"{programs}/dvg-extract", "--images", toy, "--weights", weights, "--per-shard", "64", "--out", features]
        judged = [*evaluate, "--pairs", f"{folder}/pairs", "--pairs-sample", "0", "--training", features, "--leak-far", "0.01"]
        if tests.check(common.run(extract), "extraction fails") and tests.check(
            common.run([*judged, "--out", f"{folder}/scores"]), "--training fails"
        ):
            compare_pair_scores(tests, net, f"{folder}/scores", f"{folder}/pairs", features, 0.01)
        for value in (0.0, 3e38):
            without_embedding(tests, programs, folder, value)
    tests.finish()


main()
