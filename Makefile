# SPDX-License-Identifier: MIT
# Targets: `make help`. GNU make, a C99 compiler and a POSIX shell are all it needs.

# gcc where it is, else what the system calls cc
ifeq ($(origin CC),default)
CC := $(shell command -v gcc >/dev/null 2>&1 && echo gcc || echo cc)
endif
AR = ar
OPT = -O3
CFLAGS_EXTRA =
# posix, or c99 where there is nothing but the C library
OS = posix
# 1: with POSIX threads (how many is --threads N of a run); 0: without, as plain C99 always is
THREADS = 1
ifeq ($(OS),c99)
override THREADS = 0
endif
# 1: kernels for every instruction set the compiler knows, chosen at run time; 0: portable C alone
SIMD = 1
BUILD = build
ifeq ($(patsubst %/,%,$(BUILD)),.)
$(error BUILD is a folder of its own, found $(BUILD))
endif
# How the compiler lists the headers that a file includes; empty for one that cannot (tcc)
DEPENDENCIES = -MMD -MP
# V=1 prints whole commands
Q = $(if $(V),,@)
PREFIX = /usr/local

# The machine that the compiler builds for
MACHINE := $(firstword $(subst -, ,$(shell $(CC) $(CFLAGS_EXTRA) -dumpmachine 2>/dev/null)))

# What the bits need (SPEC 2.2); the rest are warnings. AltiVec's vectors flush subnormals, the
# newer ones of VSX do not.
ifneq ($(filter powerpc powerpc64 ppc ppc64,$(MACHINE)),)
SUBNORMALS := $(shell $(CC) $(CFLAGS_EXTRA) -dM -E -x c /dev/null | grep -q VSX || echo -mno-altivec)
endif
ARITHMETIC = -ffp-contract=off $(SUBNORMALS)
# Files above 2 GiB where a long is too short for them. (Elsewhere it would only rename calls.)
LARGE_FILES := $(shell $(CC) $(CFLAGS_EXTRA) -dM -E -x c /dev/null 2>/dev/null | grep -q 'SIZEOF_LONG__ 4' && \
                       echo -D_FILE_OFFSET_BITS=64)
WARNINGS = -pedantic -Wall -Wextra -Wconversion -Wshadow
THREADING = $(if $(filter 0,$(THREADS)),,-pthread)
CFLAGS = -std=c99 $(OPT) $(WARNINGS) $(ARITHMETIC) $(THREADING) $(CFLAGS_EXTRA)
LDLIBS = -lm $(THREADING)

# The instruction sets of the machine that the compiler builds for, as far as it takes their
# flags and knows vectors.
ISA_x86_64 = sse2 avx2 avx512
ISA_aarch64 = neon
ISA_amd64 = $(ISA_x86_64)
ISA_arm64 = $(ISA_aarch64)
FLAGS_avx2 = -mavx2 -mfma
FLAGS_avx512 = -mavx512f -mprefer-vector-width=512
VECTORS = typedef float vec __attribute__((vector_size(16))); vec twice(vec a) { return 2.0f * a; }
takes = $(shell echo '$(VECTORS)' | $(CC) $(CFLAGS_EXTRA) $(FLAGS_$(1)) -fsyntax-only -x c - 2>/dev/null && echo $(1))
ifneq ($(SIMD),0)
KERNELS := $(foreach isa,$(ISA_$(MACHINE)),$(call takes,$(isa)))
endif

# tests/fuzz/arena: each allocation a malloc of its own, for sanitizers
ARENA = nn/arena
NN = base invariant hash finite fmath rng selftest selftest_kernels os_$(OS) $(if $(filter posix,$(OS)),os_posix_lock os_posix_spill) \
     team_$(if $(THREADING),threads,alone) kernels_c \
     $(KERNELS:%=kernels_%) kernels sum chain gemm linear conv conv_axis conv_weight norm group_norm \
     pool act loss mixture graph ops param optim resnet mlp case variant variant_call variant_sum \
     variant_product variant_norm variant_loss variant_point
DATA = invariant dataset files exclude cifar idx synth batch json safetensors safetensors_write value vectors \
       vectors_value \
       partition partition_labels partition_skew partition_dirichlet partition_quantity \
       partition_shards partition_file partition_check
FL = invariant text config config_table config_value trace trace_file trace_tape trace_model nonfinite model task trainee \
     config_controls control cluster schedule correction store variates common gate wire sample client \
     ifca server crew eval eval_mixture predict metrics checkpoint rundir files sums table baselines record watch \
     watch_signs run_controls run_round run_keep saved identity bounds state_walk state origin run finish plan \
     plan_text entry verify
LIB_OBJECTS = $(BUILD)/$(ARENA).o $(NN:%=$(BUILD)/nn/%.o) $(DATA:%=$(BUILD)/data/%.o) \
              $(FL:%=$(BUILD)/fl/%.o) $(BUILD)/ddome.o
FUZZ_SOURCES = tests/fuzz/fuzz.c $(wildcard tests/fuzz/read_*.c)
TEST_SOURCES = $(wildcard tests/*.c) $(FUZZ_SOURCES)
TEST_OBJECTS = $(TEST_SOURCES:%.c=$(BUILD)/%.o)
# What the test runner links, too
PURE = compare compare_values compare_tolerances compare_report compare_run compare_run_models compare_run_report \
       compare_table compare_config compare_model compare_levels compare_vectors compare_trace compare_trace_case \
       trace_read compare_explain compare_causes output signals probe_tree probe_text probe_name \
       report_csv report_read report_rounds
TOOLS = main options settings commands resume partition data report report_rows \
        report_count report_text report_html report_export help progress probe_set probe_write probe_read $(PURE)
# Sources with rules of nn/invariant.h, for the runner, which looks at them
CHECKED = $(shell grep -l INVARIANT nn/*.c data/*.c fl/*.c)
CHECKED_OBJECTS := $(CHECKED:%.c=$(BUILD)/checked/%.o)
TOOL_OBJECTS = $(TOOLS:%=$(BUILD)/tools/%.o)
PURE_OBJECTS = $(PURE:%=$(BUILD)/tools/%.o)

all: ddome libddome.a ## build ./ddome and libddome.a (default)

help: ## list the targets
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{printf "%-20s %s\n", $$1, $$2}'
	@echo "  variables: CC=clang OPT=-O2 SEED=N ARITH=fma CFLAGS_EXTRA=... OS=c99 THREADS=0 SIMD=0 BUILD=dir DDOME_DATA=dir PYTHON=python3"

$(BUILD)/bin/ddome: $(TOOL_OBJECTS) $(BUILD)/libddome.a
	@mkdir -p $(@D)
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(TOOL_OBJECTS) $(BUILD)/libddome.a $(LDLIBS)

$(BUILD)/libddome.a: $(LIB_OBJECTS)
	@rm -f $@
	@echo "  $(AR) $@"
	$(Q)$(AR) rcs $@ $(LIB_OBJECTS)

# Those of this BUILD, whichever was made last.
ddome: $(BUILD)/bin/ddome always
	$(Q)cmp -s $< $@ || cp $< $@

libddome.a: $(BUILD)/libddome.a always
	$(Q)cmp -s $< $@ || cp $< $@

# Objects come before the library's of the same sources.
$(BUILD)/tests/runner: $(TEST_OBJECTS) $(PURE_OBJECTS) $(CHECKED_OBJECTS) $(BUILD)/libddome.a
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(TEST_OBJECTS) $(PURE_OBJECTS) $(CHECKED_OBJECTS) $(BUILD)/libddome.a $(LDLIBS)

$(TEST_OBJECTS) $(CHECKED_OBJECTS): CFLAGS += -DDDOME_INVARIANTS

$(foreach isa,$(KERNELS),$(eval $(BUILD)/nn/kernels_$(isa).o: CFLAGS += $(FLAGS_$(isa))))
$(BUILD)/tests/guard.o $(BUILD)/tests/death.o: CFLAGS += $(if $(filter c99,$(OS)),-DTEST_GUARD_NONE)
$(BUILD)/nn/os_posix.o $(BUILD)/nn/os_posix_lock.o $(BUILD)/nn/os_posix_spill.o: CFLAGS += $(LARGE_FILES)
$(BUILD)/nn/kernels.o: CFLAGS += $(KERNELS:%=-DNN_HAVE_%)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  $(CC) $<"
	$(Q)$(CC) $(CFLAGS) $(DEPENDENCIES) -c -o $@ $<

$(BUILD)/checked/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  $(CC) $< with its invariants"
	$(Q)$(CC) $(CFLAGS) $(DEPENDENCIES) -c -o $@ $<

# Objects of other flags are never mixed in.
$(BUILD)/flags: always
	@mkdir -p $(BUILD)
	@echo '$(CC) $(CFLAGS) $(KERNELS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS) $(KERNELS)' > $@

run: all ## the demo: common expert, FedAvg and DDOME on generated data
	@rm -rf runs/demo
	@$(MAKE) --no-print-directory -j2 -f tools/experiment.mk OUT=runs/demo SEED=$(SEED) ARITH=$(ARITH)

cifar10: all ## the same on real CIFAR-10 (folder in DDOME_DATA), some minutes
	@mkdir -p runs
	@$(MAKE) --no-print-directory -j2 -f tools/experiment.mk OUT=runs/cifar10 PRESET=tools/presets/cifar10.toml \
	    RATES="0.003 0.01" EVAL=exclude=tools/presets/cifar10_exclude.txt

test: all $(BUILD)/tests/runner $(BUILD)/vectors $(BUILD)/deviate $(BUILD)/theorem ## all tests that need only a compiler
	@sh tests/all.sh $(BUILD)

# SPEC 19.2: every level of tests/vectors, and the answers of the real functions to vectors of others
VECTOR_PARTS = conv data draw elementary evaluation federation fill flags gate layers level loss model \
               run run_draw run_layers run_loss run_sums sums write
VECTOR_OBJECTS = $(BUILD)/tools/vectors.o $(VECTOR_PARTS:%=$(BUILD)/tools/vectors_%.o)
$(BUILD)/vectors: $(VECTOR_OBJECTS) $(BUILD)/libddome.a
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(VECTOR_OBJECTS) $(BUILD)/libddome.a $(LDLIBS)

vectors: $(BUILD)/vectors ## make tests/vectors anew; the last line is its root hash
	@rm -f tests/vectors/[0-9]*.json tests/vectors/[0-9]*.safetensors tests/vectors/manifest.json
	@$(BUILD)/vectors tests/vectors

check-vectors: $(BUILD)/vectors ## does this build make tests/vectors byte for byte? (part of test)
	@sh tests/vectors.sh $(BUILD)/vectors $(BUILD)/vectors-scratch

# A program that deviates (SPEC 19.5), for the tests of `ddome compare --explain`
$(BUILD)/deviate: $(BUILD)/tools/deviate.o $(BUILD)/libddome.a
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(BUILD)/tools/deviate.o $(BUILD)/libddome.a $(LDLIBS)

# Theorem 1 of the paper by numbers; tests/theorem.sh looks at small ones
$(BUILD)/theorem: $(BUILD)/tools/theorem.o $(BUILD)/libddome.a
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(BUILD)/tools/theorem.o $(BUILD)/libddome.a $(LDLIBS)

theorem: $(BUILD)/theorem ## experts and gate trained one after the other, against joint training (docs/theorem.md)
	@$(BUILD)/theorem

# Not a test: speed on this machine, beside PyTorch when python3 has it
BENCH_OBJECTS = $(BUILD)/tools/bench.o $(BUILD)/tools/bench_work.o $(BUILD)/tools/bench_kernels.o
$(BUILD)/bench: $(BENCH_OBJECTS) $(BUILD)/libddome.a
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $(BENCH_OBJECTS) $(BUILD)/libddome.a $(LDLIBS)

bench: $(BUILD)/bench ## speed: peak, layers, training steps, and PyTorch's when it is there (some minutes)
	@$(BUILD)/bench peak
	@$(BUILD)/bench kernels
	@$(BUILD)/bench layers 64
	@$(BUILD)/bench steps
	@$(BUILD)/bench clients
	@python3 tools/bench_torch.py $(BUILD)/bench

# Which python3: one that has torch, torchvision and safetensors; what it lacks is skipped
PYTHON = python3
interop: all $(BUILD)/vectors ## training steps and operations against PyTorch and ONNX; model files to and from their libraries
	@$(PYTHON) tests/outside/interop.py ./ddome
	@$(PYTHON) tests/outside/pytorch.py ./ddome
	@$(PYTHON) tests/outside/onnx_nodes.py $(BUILD)/vectors

check-port: all ## the port in Python and numpy: three rounds, all vectors, wrong ports and their causes
	@$(PYTHON) tests/port.py $(CURDIR)/ddome tests/vectors

check-scale: all ## 10,000 clients, 1,000 rounds: memory, files, time to resume (some minutes)
	@$(PYTHON) tests/scale.py ./ddome

# The program on failing files, memory and threads: every source sees tests/faults/shim.h first.
# A part: FAULT_ARGS="--part 1/4"; one: FAULT_ARGS="--only train/io:3:EIO"
FAULT_FLAGS = -g -fsanitize=address,undefined -fno-sanitize-recover=all -include tests/faults/shim.h
FAULT_OBJECTS = $(BUILD)/tests/faults/shim.o $(BUILD)/tests/faults/journal.o
ifneq ($(findstring tests/faults/shim.h,$(CFLAGS_EXTRA)),)
$(BUILD)/nn/arena.o: CFLAGS += -DFAULT_ARENA
$(FAULT_OBJECTS): CFLAGS += -DFAULT_SHIM
endif
$(BUILD)/ddome: $(TOOL_OBJECTS) $(LIB_OBJECTS) $(FAULT_OBJECTS)
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

check-faults: all ## every I/O call, allocation and thread failing in turn, full disks, kills at any moment (minutes)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/faults SIMD=0 OPT=-O1 CFLAGS_EXTRA='$(CFLAGS_EXTRA) $(FAULT_FLAGS)' \
	    $(BUILD)/faults/ddome
	@$(PYTHON) tests/faults.py ./ddome $(BUILD)/faults/ddome $(FAULT_ARGS)

# A part: STATIC="clang cppcheck"
check-static: ## gcc -fanalyzer, clang --analyze, clang-tidy, cppcheck, shellcheck: nothing may be found (minutes)
	@sh tests/static.sh $(STATIC)

check-memory: ## MSan, Valgrind, thread and integer sanitizers on tests and runs (many minutes)
	@sh tests/memory.sh $(MEMORY)

check-all: ## the same bits from gcc, clang, -O0 to -O3, other processors, C99 alone; tests under sanitizers; MPFR
	@sh tests/matrix.sh

cover: ## branch coverage of nn/, data/, fl/ under the tests, by file (gcc, gcov, python3; many minutes)
	@sh tests/cover.sh $(BUILD)/cover

# A part: PLATFORMS="aarch64 s390x i386" LEVELS=-O2 COMPILERS=gcc
check-platforms: ## the same bits on other processors, emulated by qemu-user: the table of PLATFORMS.md (many minutes)
	@PLATFORMS="$(PLATFORMS)" LEVELS="$(LEVELS)" COMPILERS="$(COMPILERS)" sh tests/platforms.sh

# exp, log, rsqrt, sqrt against MPFR (libmpfr-dev): the proof, and the maker of tests/golden/hard_*.txt
$(BUILD)/fmath_%: tools/fmath_%.c nn/fmath.c nn/fmath.h nn/base.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $< nn/base.c -lmpfr -lgmp $(LDLIBS)

exhaustive: $(BUILD)/fmath_exhaustive ## all 2^32 inputs of exp, log, rsqrt, sqrt against MPFR (some minutes)
	$(BUILD)/fmath_exhaustive proof
	$(BUILD)/fmath_exhaustive 0 80000000
	$(BUILD)/fmath_exhaustive 80000000 100000000

# One program a reader of tests/fuzz/readers.h; tests/fuzz/run.sh says with which compiler and flags.
$(BUILD)/fuzz/%: tests/fuzz/libfuzzer.c $(FUZZ_SOURCES:%.c=$(BUILD)/%.o) $(PURE_OBJECTS) $(LIB_OBJECTS)
	@mkdir -p $(@D)
	@echo "  $(CC) -o $@"
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer -DFUZZ_READER=$* -o $@ $^ $(LDLIBS)

# SECONDS: of each reader; READER="json trace": those alone
fuzz: ## libFuzzer on every reader of files, 30 s each: make fuzz SECONDS=30 READER=json
	@sh tests/fuzz/run.sh "$(or $(SECONDS),30)" $(READER)

# MUTATE="--only fl/server.c" for a part, MUTATE=--report for what is known; tests/mutate.py --help
mutate: ## small changes of nn/ and fl/: does a test see each? COUNT=200 SEED=1 (hours; goes on where it stopped)
	@nice -n 15 $(PYTHON) tests/mutate.py --count $(or $(COUNT),200) --seed $(or $(SEED),1) $(MUTATE)

lint: ## direction of includes, line and file length, formatting
	@sh tools/lint.sh

install: all ## ddome, libddome.a and ddome.h under PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include
	install -m 755 ddome $(DESTDIR)$(PREFIX)/bin/ddome
	install -m 644 libddome.a $(DESTDIR)$(PREFIX)/lib/libddome.a
	install -m 644 ddome.h $(DESTDIR)$(PREFIX)/include/ddome.h

clean: ## remove what was built
	rm -rf $(BUILD) ddome libddome.a

-include $(LIB_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) $(TOOL_OBJECTS:.o=.d) $(CHECKED_OBJECTS:.o=.d)

-include $(BENCH_OBJECTS:.o=.d) $(VECTOR_OBJECTS:.o=.d) $(BUILD)/tools/deviate.d $(BUILD)/tools/theorem.d

-include $(FAULT_OBJECTS:.o=.d)

.PHONY: all help bench theorem interop check-port check-scale check-faults check-static check-memory exhaustive run cifar10 test vectors check-vectors check-all \
        check-platforms cover fuzz mutate lint install clean always
