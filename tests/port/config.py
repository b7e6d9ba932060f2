# SPDX-License-Identifier: MIT
"""Configuration: key = value files and words, decimals (SPEC 16)."""

import re
import types

import numpy as np

DEFAULTS = """
seed=1 algo="ddome" arith="ma" data="synth" exclude="" normalize="dataset"
cifar10_batches="1,2,3,4,5" synth_train=2000 synth_test=1000 synth_size=16 synth_domains=4
synth_shapes=3 synth_noise=24 partition="labels" partition_file="" clients=100
anchor_clients="auto" unseen_clients=5 holdout_clients=5 labels_per_client=4 label_group=1
anchor_labels=0 samples_per_client=0 unseen_samples=0 alpha=0.1 dialect="plain" min_size=10
max_draws=1000 shards_per_client=2 beta=0.5 arch="resnet34" stem="3x3" norm="batch" width=64
hidden=64 gn_channels=8
common="" pretrain_target=0.7 pretrain_lr=0.1 pretrain_momentum=0.9
pretrain_weight_decay=0.0005 pretrain_epochs=20 pretrain_batch=128 experts=5 top_k=2
init="random" gate_hidden=256 gate_lr=0.001 gate_momentum=0 anchor_gate_weight=1 mix="logits"
rounds=10 epochs=1 batch=256 last_batch="keep" sampling="strata" active_anchors=5
active_normal=5 lr=0.01
momentum=0.9 weight_decay=0 augment=false aggregate="samples" bn_stats="average"
eval_every=10 eval_scope="unseen" eval_also="none" mu=0.01 server_lr=1
local_budget="participation" ifca_noise=0.01 ifca_test="entropy" seen_samples=0 gate="learned"
anchors="label" cluster_iterations=100 test="argmax" order="joint" order_rounds=0 dropout=0
straggler=0 straggler_share=0.5 schedule="all" schedule_by="id" schedule_groups=5
schedule_rounds=200 common_every=0
"""
DECIMALS = set("""alpha beta pretrain_target pretrain_lr pretrain_momentum pretrain_weight_decay
gate_lr gate_momentum anchor_gate_weight lr momentum weight_decay mu server_lr ifca_noise dropout
straggler straggler_share""".split())


def decimal(text):
    """A decimal as (float)((double)D / (double)10^P) (SPEC 16.2)."""
    whole, _, fraction, power = re.fullmatch(r"(\d+)(\.(\d+))?(?:[eE]([+-]?\d+))?", text).groups()
    d, p = int(whole + (fraction or "")), len(fraction or "") - int(power or 0)
    while d and p > 0 and d % 10 == 0:
        d, p = d // 10, p - 1
    if d == 0:
        p = 0
    if p < 0:
        d, p = d * 10 ** -p, 0
    assert d < 10 ** 15 and p <= 22, text
    return np.float32(float(d) / float(10 ** p))


def value(key, text):
    """The value of a key's text (SPEC 16.1.3)."""
    text = text.strip('"')
    if key in DECIMALS:
        return decimal(text)
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else text


def scopes(c):
    """The kinds of clients that a run evaluates, that of `eval_scope` first (SPEC 13.1, 13.8)."""
    return [c.eval_scope] + [one for one in c.eval_also.split(",") if one != "none"]


def words(lines):
    """Pairs of key and value text in a file's lines (SPEC 16.1.2)."""
    for line in lines:
        found = re.match(r'[ \t]*([a-z0-9_]+)[ \t]*=[ \t]*("[^"]*"|[^ \t#"]+)', line)
        if found:
            yield found.groups()


def read(path, changes=()):
    """Defaults, then the file, then key=value words, as a namespace (SPEC 16.1.1)."""
    with open(path, encoding="utf-8") as file:
        pairs = list(words(file.read().splitlines()))
    return make(pairs + [tuple(word.split("=", 1)) for word in changes])


def make(pairs):
    """Defaults, then pairs of key and text, as a namespace (SPEC 16.1.1)."""
    config = types.SimpleNamespace()
    for key, text in list(words(DEFAULTS.split())) + list(pairs):
        setattr(config, key, value(key, text))
    if config.anchor_clients == "auto":
        config.anchor_clients = config.experts
    assert config.data == "synth" and not config.common and config.partition != "file"
    assert config.init != "file"  # nothing is read from other runs
    return config
