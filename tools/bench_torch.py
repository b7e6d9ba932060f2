#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ddome beside PyTorch, interleaved in one run: bench_torch.py BUILD/bench [ROUNDS].

Every round times one sample of ddome and one of each of PyTorch's two memory formats, on the same
cores, one after the other. A figure is the median over the rounds; the ratio is the median over the
rounds of ddome's speed by the faster of PyTorch's, with the smallest and largest. Needs PyTorch; says
so and ends when it is missing. Nothing here is a test.
"""
import os
import resource
import statistics
import subprocess
import sys
import time

BATCH, SIZE, CLASSES = 32, 32, 10
FORMATS = ("channels_last", "contiguous")
SAMPLE_SECONDS = 0.25  # short works are repeated until a sample takes about this long

# threads, profile, work, goal of the ratio
STEPS = [
    (1, "fma", "resnet 64 train", 1.10),
    (1, "ma", "resnet 64 train", 0.95),
    (1, "fma", "resnet 64 forward", 1.00),
    (1, "ma", "resnet 64 forward", None),
    (1, "fma", "resnet 16 train", 1.50),
    (1, "ma", "resnet 16 train", None),
    (1, "fma", "resnet 8 train", 1.50),
    (1, "ma", "resnet 8 train", None),
    (2, "fma", "resnet 64 train", 1.10),
    (2, "ma", "resnet 64 train", None),
]
LAYERS = [
    (1, "fma", "conv 4 512 512 3 1 weight", 1.30),
    (1, "fma", "conv 32 3 64 3 1 forward", 1.30),
    (1, "fma", "conv 32 3 64 3 1 weight", 1.30),
    (1, "fma", "conv 32 64 128 1 2 forward", 1.30),
    (1, "fma", "conv 32 64 128 1 2 input", 1.30),
    (1, "fma", "conv 32 64 128 1 2 weight", 1.30),
    (1, "fma", "conv 8 256 512 1 2 forward", 1.30),
    (1, "fma", "conv 8 256 512 1 2 input", 1.30),
    (1, "fma", "conv 8 256 512 1 2 weight", 1.30),
    (1, "fma", "conv 32 64 64 3 1 forward", None),
    (1, "fma", "conv 32 64 64 3 1 input", None),
    (1, "fma", "conv 32 64 64 3 1 weight", None),
    (1, "fma", "conv 4 512 512 3 1 forward", None),
    (1, "fma", "conv 4 512 512 3 1 input", None),
]


def resnet34(torch, width):
    """The network of tools/bench.c: 3x3 stem, basic blocks 3, 4, 6, 3."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, c, oc, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(c, oc, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(oc)
            self.conv2 = nn.Conv2d(oc, oc, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(oc)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or c != oc:
                self.downsample = nn.Sequential(nn.Conv2d(c, oc, 1, stride, bias=False), nn.BatchNorm2d(oc))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    layers = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    c = width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            layers.append(Block(c, width << stage, 2 if stage > 0 and block == 0 else 1))
            c = width << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, CLASSES))


def torch_resnet(torch, width, train, memory_format):
    model = resnet34(torch, width).to(memory_format=memory_format).train(train)
    x = torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=memory_format)
    labels = torch.arange(BATCH) % CLASSES
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    loss = torch.nn.CrossEntropyLoss()

    def step():
        sgd.zero_grad(set_to_none=True)
        loss(model(x), labels).backward()
        sgd.step()

    def forward():
        with torch.no_grad():
            model(x)

    return step if train else forward


def torch_conv(torch, size, c, oc, k, stride, direction, memory_format):
    x = torch.randn(BATCH, c, size, size).contiguous(memory_format=memory_format)
    weight = torch.randn(oc, c, k, k).contiguous(memory_format=memory_format)
    with torch.no_grad():
        y = torch.nn.functional.conv2d(x, weight, None, stride, k // 2).contiguous(memory_format=memory_format)

    def forward():
        with torch.no_grad():
            torch.nn.functional.conv2d(x, weight, None, stride, k // 2)

    def backward():
        mask = [direction == "input", direction == "weight", False]
        torch.ops.aten.convolution_backward(y, x, weight, None, [stride] * 2, [k // 2] * 2, [1, 1], False, [0, 0], 1,
                                            mask)

    return forward if direction == "forward" else backward


def torch_work(torch, work, memory_format):
    words = work.split()
    layout = getattr(torch, memory_format + "_format" if memory_format == "contiguous" else memory_format)
    if words[0] == "resnet":
        return torch_resnet(torch, int(words[1]), words[2] == "train", layout)
    return torch_conv(torch, *map(int, words[1:6]), words[6], layout)


def images(work):
    return BATCH if work.startswith("resnet") else 1


class Ddome:
    """`bench work` as a process of its own; its threads go to the given cores."""

    def __init__(self, bench, threads, arith, work, cores):
        self.process = subprocess.Popen([bench, "work", str(threads), arith] + work.split(), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        for core, thread in zip(cores, sorted(map(int, os.listdir(f"/proc/{self.process.pid}/task")))):
            os.sched_setaffinity(thread, {core})

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def peak_mebibytes(self):
        peak = float(self.process.communicate()[0].split()[-1])
        return peak


def seconds_of(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(torch, bench, rounds, threads, arith, work, goal, cores):
    ours = Ddome(bench, threads, arith, work, cores)
    theirs = {name: torch_work(torch, work, name) for name in FORMATS}
    for function in theirs.values():
        function()
    repeats = max(1, round(SAMPLE_SECONDS / max(ours.seconds(), 1e-6)))
    samples = {name: [] for name in ("ddome",) + FORMATS}
    for _ in range(rounds):
        samples["ddome"].append(sum(ours.seconds() for _ in range(repeats)) / repeats)
        for name, function in theirs.items():
            samples[name].append(sum(seconds_of(function) for _ in range(repeats)) / repeats)
    ours.peak_mebibytes()
    best = min(FORMATS, key=lambda name: statistics.median(samples[name]))
    ratios = sorted(b / a for a, b in zip(samples["ddome"], samples[best]))
    speed = {name: images(work) / statistics.median(times) for name, times in samples.items()}
    ratio = statistics.median(ratios)
    verdict = "" if goal is None else f"  goal {goal:.2f} {'reached' if ratio >= goal else 'MISSED'}"
    print(f"{threads} {arith:4}{work:28}{speed['ddome']:9.1f}{speed['channels_last']:9.1f}{speed['contiguous']:9.1f}"
          f"{ratio:8.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f}){verdict}", flush=True)


def peak_of_torch(memory_format):
    """Peak resident memory of a few training steps in a process of their own, in MiB."""
    import torch
    torch.set_num_threads(1)
    step = torch_work(torch, "resnet 64 train", memory_format)
    for _ in range(3):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def compare_memory(bench):
    theirs = [float(subprocess.run([sys.executable, __file__, "--peak", name], stdout=subprocess.PIPE, text=True,
                                   check=True).stdout) for name in FORMATS]
    ours = Ddome(bench, 1, "fma", "resnet 64 train", [])
    for _ in range(3):
        ours.seconds()
    peak = ours.peak_mebibytes()
    part = peak / min(theirs)
    print(f"peak memory, resnet 64 train, 1 thread [MiB]: ddome {peak:.0f}, channels_last {theirs[0]:.0f}, "
          f"contiguous {theirs[1]:.0f}: {part:.2f} of the leaner  goal 0.60 {'reached' if part <= 0.6 else 'MISSED'}")


def section(bench, rounds, threads):
    """All comparisons of one number of threads, in a process whose OpenMP is set to it."""
    cores = sorted(os.sched_getaffinity(0))[:threads]  # before OpenMP binds this thread to one of them
    os.sched_setaffinity(0, set(cores))
    import torch
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    for entry in STEPS + LAYERS:
        if entry[0] == threads:
            compare(torch, bench, rounds, *entry, cores)


def main():
    if sys.argv[1] == "--peak":
        return peak_of_torch(sys.argv[2])
    bench, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7
    if len(sys.argv) > 3:
        return section(bench, rounds, int(sys.argv[3]))
    try:
        import torch
    except ImportError:
        print("skipped the comparison: PyTorch is missing for this python3 (Debian: python3-torch)")
        return None
    print(f"PyTorch {torch.__version__}; images/s of networks, calls/s of convolutions; medians of {rounds} interleaved "
          f"rounds\n{'threads, profile, work':33}{'ddome':>9}{'ch.last':>9}{'contig.':>9}{'ratio':>8} (spread)", flush=True)
    for threads in (1, 2):
        if threads <= len(os.sched_getaffinity(0)):
            pinned = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_PROC_BIND="true")
            subprocess.run([sys.executable, __file__, bench, str(rounds), str(threads)], env=pinned, check=True)
    compare_memory(bench)
    return None


if __name__ == "__main__":
    main()
