# SPDX-License-Identifier: MIT
# One experiment: a common expert; DDOME, FedAvg with some learning rates and the common expert alone on the same
# clients and rounds. Finished runs are kept, so an interrupted experiment goes on where it stopped.
#   make -j2 -f tools/experiment.mk OUT=runs/x PRESET=FILE [SEED=N] [ARITH=fma] [RATES="0.01 0.05"]

PRESET = tools/presets/demo.toml
OUT = runs/demo
SEED =
# ma or fma; empty: as the preset says
ARITH =
RATES = 0.002 0.01 0.05
# what an evaluation needs besides the run: exclude=FILE where the preset has one
EVAL =

DDOME = ./ddome
SET = $(PRESET) $(if $(SEED),--seed $(SEED)) $(if $(ARITH),arith=$(ARITH))
TRAIN = $(DDOME) train $(SET) common=$(OUT)/pretrain/common.safetensors --quiet --out $(@D)
FEDAVG = $(RATES:%=$(OUT)/fedavg-%)
RUNS = $(OUT)/common $(FEDAVG) $(OUT)/ddome
LAST = SHA256SUMS

# Among the learning rates: the best mean accuracy on the held-out clients, the first among equals.
report: $(OUT)/ddome/$(LAST) $(FEDAVG:%=%/$(LAST)) $(OUT)/common/$(LAST)
	@for run in $(FEDAVG); do \
	    $(DDOME) eval $$run eval_scope=holdout $(EVAL) --quiet --json >$$run.holdout || exit 1; \
	    sed "s|.*\"accuracy_mean\": *\([0-9.]*\).*|\1 $$run|" $$run.holdout; \
	done >$(OUT)/holdout
	@sort -s -r -n -k 1,1 $(OUT)/holdout | sed -n "s/^\([^ ]*\) \(.*\)/best FedAvg on the held-out clients: \2 (\1 there)/p;q"
	@echo
	@$(DDOME) report $(RUNS) >$(OUT).log
	@cat $(OUT).log

# Other settings never find the runs of these: a new text here makes all runs anew.
$(OUT)/settings: always
	@mkdir -p $(OUT)
	@echo '$(SET) $(RATES)' | cmp -s - $@ || echo '$(SET) $(RATES)' > $@

$(OUT)/pretrain/$(LAST): $(PRESET) $(OUT)/settings
	@echo "common expert ..." >&2
	@mkdir -p $(OUT)
	@$(DDOME) pretrain $(SET) --quiet --out $(@D) --force >$(OUT)/pretrain.log

$(OUT)/ddome/$(LAST): $(OUT)/pretrain/$(LAST)
	@echo "DDOME ..." >&2
	@$(TRAIN) algo=ddome --force >$(@D).log

$(OUT)/fedavg-%/$(LAST): $(OUT)/pretrain/$(LAST)
	@echo "FedAvg, learning rate $* ..." >&2
	@$(TRAIN) algo=fedavg lr=$* --force >$(@D).log

$(OUT)/common/$(LAST): $(OUT)/pretrain/$(LAST)
	@echo "the common expert alone ..." >&2
	@$(TRAIN) algo=common --force >$(@D).log

.PHONY: report always
