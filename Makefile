# dvgface: `make` builds, `make demo` shows, `make test` tests. MODE=release|debug|sanitize chooses the build; V=1 shows the commands.
MAKEFLAGS += --no-builtin-rules -j$(shell nproc)
MODE ?= release
BUILD := build/$(MODE)
Q := $(if $(V),,@)
.DEFAULT_GOAL := all

# ---- dependencies: pkg-config name, Debian package
DEPENDENCIES := ompi-c:libopenmpi-dev openblas:libopenblas-dev hdf5:libhdf5-dev libpng:libpng-dev \
  libjpeg:libjpeg62-turbo-dev libcrypto:libssl-dev libarchive:libarchive-dev \
  libcjson:libcjson-dev cunit:libcunit1-dev
PKGS := $(foreach d,$(DEPENDENCIES),$(firstword $(subst :, ,$(d))))
GOALS_WITHOUT_LIBRARIES := deps clean distclean help
NEEDS_LIBRARIES := $(filter-out $(GOALS_WITHOUT_LIBRARIES),$(or $(MAKECMDGOALS),all))

# `make demo` and `make test` install what is missing before anything asks for it.
ifneq ($(filter demo test test-sanitize ci,$(MAKECMDGOALS)),)
  INSTALLED := $(shell jobs/install-dependencies >&2 && echo yes)
  ifneq ($(INSTALLED),yes)
    $(error the packages named above are missing)
  endif
endif
ifneq ($(NEEDS_LIBRARIES),)
  MISSING := $(foreach d,$(DEPENDENCIES),$(shell pkg-config --exists $(firstword $(subst :, ,$(d))) || echo $(lastword $(subst :, ,$(d)))))
  ifneq ($(strip $(MISSING)),)
    $(foreach m,$(MISSING),$(info missing: $(m)))
    $(error install with: apt-get install $(strip $(MISSING)) (or run `make deps`))
  endif
  LIBRARY_CFLAGS := $(shell pkg-config --cflags $(PKGS))
  LIBRARY_LIBS := $(shell pkg-config --libs $(PKGS))
endif

# ---- flags
CC := $(if $(filter fuzz,$(MODE)),clang,gcc)
VERSION := 0.1.0
WARNINGS := -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-format-truncation -Werror
CFLAGS_release := -O3 -g
CFLAGS_debug := -O0 -g3
CFLAGS_sanitize := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# clang, for the fuzz targets alone; it doesn't know all of gcc's warnings and pragmas.
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
WARNINGS_fuzz := -Wno-unknown-warning-option -Wno-unknown-pragmas
# -fno-math-errno lets lrint and sqrt be one instruction; -ffast-math is out: it compiles NaN checks away.
ALL_CFLAGS := -std=gnu11 $(CFLAGS_$(MODE)) -fno-math-errno -ffp-contract=off $(WARNINGS) $(WARNINGS_$(MODE)) -I. $(LIBRARY_CFLAGS) -DDVG_VERSION='"$(VERSION)"' $(CFLAGS)
ALL_LIBS := $(LIBRARY_LIBS) -lm -pthread $(LDFLAGS)

# ---- what there is
LIBRARY_SOURCES := $(wildcard common/*/*.c mpi/*.c io/*.c stages/*.c) $(filter-out %/main.c,$(wildcard stages/*/*.c))
LIBRARY_SOURCES := $(filter-out common/nn/winograd_kernels.c,$(LIBRARY_SOURCES))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libdvg.a
STAGES := $(patsubst stages/%/main.c,%,$(wildcard stages/*/main.c))
PROGRAMS := $(foreach s,$(STAGES),$(BUILD)/bin/dvg-$(subst _,-,$(s)))
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*.c))
MPI_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/mpi/*.c))
TEST_TOOLS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/reference/*.c tests/bench/*.c))
TEST_LIBRARIES := $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/fail/*.c))
FUZZ_TARGETS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
KERNELS := $(foreach v,generic avx2 avx512 avx512_bf16,$(BUILD)/common/nn/winograd_kernels_$(v).o)

.PHONY: all tests test test-sanitize test-slurm test-hosts install fuzz fuzzers soak demo bench deps clean distclean help ci
all: $(PROGRAMS)
tests: all $(UNIT_TESTS) $(MPI_TESTS) $(TEST_TOOLS) $(TEST_LIBRARIES)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(FLAGS_$(notdir $*)) -MMD -MP -c -o $@ $<

# One source, three instruction sets and one of them with products in bfloat16; common/nn/conv.c picks at run time. gcc contracts a*b+c to FMA here on purpose.
ifeq ($(shell uname -m),x86_64)
  KERNEL_FLAGS_avx2 := -mavx2 -mfma
  KERNEL_FLAGS_avx512 := -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512
  KERNEL_FLAGS_avx512_bf16 := $(KERNEL_FLAGS_avx512) -mavx512bf16
endif
# ASan's checks as calls: inline, at each of thousands of unrolled loads, they double what gcc needs. The same is checked.
KERNEL_FLAGS_sanitize := --param asan-instrumentation-with-call-threshold=0
$(BUILD)/common/nn/winograd_kernels_%.o: common/nn/winograd_kernels.c
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) -ffp-contract=fast $(KERNEL_FLAGS_$*) $(KERNEL_FLAGS_$(MODE)) -DDVG_KERNELS=$* -MMD -MP -c -o $@ $<

$(LIBRARY): $(LIBRARY_OBJECTS) $(KERNELS)
	@rm -f $@
	@echo "  ar   $@"
	$(Q)ar rcs $@ $^

$(PROGRAMS): $(BUILD)/bin/dvg-%: $(LIBRARY)
	@mkdir -p $(@D) $(BUILD)/stages
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $(BUILD)/stages/$(@F).d -o $@ stages/$(subst -,_,$*)/main.c $(LIBRARY) $(ALL_LIBS)

$(UNIT_TESTS): $(BUILD)/%: %.c tests/check.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< tests/check.c $(LIBRARY) $(ALL_LIBS)
$(TEST_TOOLS): $(BUILD)/%: %.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIBRARY) $(ALL_LIBS)
# Loaded into programs with LD_PRELOAD, so without a sanitizer of its own.
$(TEST_LIBRARIES): $(BUILD)/%.so: %.c
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) -std=gnu11 -O2 -g -fPIC -shared $(WARNINGS) -MMD -MP -MF $@.d -o $@ $< -ldl
$(MPI_TESTS): $(BUILD)/%: %.c tests/check.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) -DDVG_CHECK_MPI -MMD -MP -MF $@.d -o $@ $< tests/check.c $(LIBRARY) $(ALL_LIBS)
# The convolution kernels need gcc: a fuzz target may use all the rest.
FUZZ_LIBRARY := $(BUILD)/libdvgfuzz.a
$(FUZZ_LIBRARY): $(LIBRARY_OBJECTS)
	@rm -f $@
	@echo "  ar   $@"
	$(Q)ar rcs $@ $^
$(FUZZ_TARGETS): $(BUILD)/%: %.c tests/fuzz/driver.c $(FUZZ_LIBRARY)
	@mkdir -p $(@D)
	@echo "  cc   $@"
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< tests/fuzz/driver.c $(FUZZ_LIBRARY) $(ALL_LIBS)

-include $(LIBRARY_OBJECTS:.o=.d) $(KERNELS:.o=.d) $(UNIT_TESTS:=.d) $(MPI_TESTS:=.d) $(TEST_TOOLS:=.d) $(TEST_LIBRARIES:=.d) $(PROGRAMS:$(BUILD)/bin/%=$(BUILD)/stages/%.d) $(FUZZ_TARGETS:=.d)

# ---- what people run
test: tests
	tests/run $(BUILD)
test-sanitize:
	$(MAKE) MODE=sanitize tests && tests/run build/sanitize
# The pipeline through sbatch, on a Slurm of two nodes on this machine.
test-slurm: tests
	-jobs/install-dependencies slurm-wlm munge
	tests/slurm/pipeline.sh $(BUILD)
# The same with mpirun over ssh, on two hosts made of namespaces; as root.
test-hosts: tests
	-jobs/install-dependencies iproute2 openssh-client openssh-server
	tests/hosts/pipeline.sh $(BUILD)
# Each target for FUZZ_SECONDS (60); what they find lands in build/fuzz/found.
fuzzers: $(FUZZ_TARGETS)
fuzz:
ifeq ($(shell command -v clang),)
	@echo "skipped: fuzzing needs clang with libFuzzer (apt-get install clang libclang-rt-14-dev)"
else
	$(MAKE) MODE=fuzz BUILD=build/fuzz fuzzers && tests/fuzz/run build/fuzz $(ONLY)
endif
# Kills, a disk that fails at every write, a set of 100,000 shards: hours on two cores.
KILLS ?= 500
SEED ?= 1
soak: tests
	KILLS=$(KILLS) SEED=$(SEED) tests/soak/run $(BUILD)
# Programs, jobs, man pages, completion, module file. Nothing outside of DESTDIR and PREFIX is touched.
PREFIX ?= /usr/local
SHARE := $(DESTDIR)$(PREFIX)/share
install: all
	jobs/install/docs $(BUILD)/bin $(BUILD)/docs
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(SHARE)/dvgface/modulefiles/dvgface $(SHARE)/dvgface/jobs/slurm
	install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(BUILD)/docs/man1/*.1 $(SHARE)/man/man1
	for p in $(notdir $(PROGRAMS)); do install -m 644 $(BUILD)/docs/completion/dvgface $(SHARE)/bash-completion/completions/$$p || exit 1; done
	sed 's|@PREFIX@|$(PREFIX)|g; s|@VERSION@|$(VERSION)|g' jobs/install/modulefile.in >$(SHARE)/dvgface/modulefiles/dvgface/$(VERSION)
	install jobs/pipeline jobs/plan $(SHARE)/dvgface/jobs
	install -m 644 jobs/README.md jobs/common.sh jobs/pipeline.conf $(SHARE)/dvgface/jobs
	install jobs/slurm/* $(SHARE)/dvgface/jobs/slurm
demo: all
	jobs/quick-start $(BUILD)
bench: tests
	tests/bench/run $(BUILD)
deps:
	jobs/install-dependencies
clean:
	rm -rf build
help:
	@echo "make            build the programs into $(BUILD)/bin"
	@echo "make demo       install what is missing, build, run the pipeline on the toy world, show its result"
	@echo "make test       install what is missing, build, run all tests"
	@echo "make test-sanitize  the same under the address and the undefined-behaviour sanitizer"
	@echo "make test-slurm runs the pipeline through sbatch, on a Slurm of two nodes on this machine (installs it)"
	@echo "make test-hosts runs it with mpirun over ssh on two hosts made of namespaces, and cuts the cable between them (root; installs sshd)"
	@echo "make fuzz       feed the readers of foreign files with broken ones (clang; FUZZ_SECONDS=60 for each, ONLY=SUBSTRING)"
	@echo "make soak       kills real runs KILLS (500) times at random instants, fails the disk at every write; makes 100,000 shards, a million pairs"
	@echo "make bench      speed, as ratios to this machine's peak and to PyTorch; whole stages on 1 and 2 ranks (ROUNDS=1 for a shorter one)"
	@echo "make install    programs, jobs, man pages, completion and module file below PREFIX (/usr/local), in DESTDIR"
	@echo "make deps       install the Debian packages"
