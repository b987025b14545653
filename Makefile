# What is built, and how: the lines that compile and link are part of the
# lesson. `make` says in a short line what it does, `make V=1` the whole.
# `make help` lists what can be asked for. What is not the lesson stands in mk/.

# ---- The lists --------------------------------------------------------------

# Servers, model:variant:kind; a model's first is its default (its source is
# <model>/server.cpp, the others' <model>/server_<variant>.cpp). The kind says
# by what rules the source is measured: thread, level (readiness, reported as
# long as it lasts), readiness (any other) or completion.
SERVERS := \
  blocking:thread:thread blocking:iterative:thread \
  blocking:fork:thread blocking:pool:thread \
  nonblocking:spin:level \
  select:select:level select:poll:level \
  epoll:level:level epoll:edge:readiness epoll:oneshot:level \
  sigio:queue:readiness sigio:classic:readiness sigio:signalfd:readiness \
  aio:posix:completion aio:thread:completion aio:signal:completion \
  aio:libaio:completion \
  iouring:multishot:completion

# Those that serve too few at once to be a node among others: run shows one.
ALONE := blocking-iterative blocking-fork blocking-pool

# Clients, model:variant, likewise.
CLIENTS := \
  blocking:thread \
  nonblocking:spin \
  select:select select:poll \
  epoll:level \
  sigio:queue \
  aio:posix aio:libaio \
  iouring:completion

# By which clients the load may be generated: the first that can run here, or one
# that is named. The cheapest first: what the load takes, it cannot ask. (libaio's
# last: its slots are all programs'.)
LOAD_CLIENTS := iouring:completion epoll:level select:poll select:select \
  blocking:thread nonblocking:spin aio:libaio

# What a model links with, and the package that brings it: without that it is left
# out, and said to be. LIBS_<model>-<variant> and NEED_ say it of one variant.
LIBS_iouring := -luring
NEED_iouring := liburing-dev
LIBS_aio-libaio := -laio
NEED_aio-libaio := libaio-dev

# Parts in the order in which their archives are linked: each may use those
# behind it. The linker thus keeps the arrows of ARCHITECTURE.md.
PARTS := program net node dht protocol

# ---- The compiler -----------------------------------------------------------

# release, asan (with UBSan), tsan, coverage, fuzz (clang++-19 only)
MODE ?= release
ifneq ($(filter coverage fuzz,$(MAKECMDGOALS)),)
MODE := $(firstword $(filter coverage fuzz,$(MAKECMDGOALS)))
endif
BUILD := build/$(MODE)
BIN := $(BUILD)/bin

FLAGS_release := -O2
# The check of vptr asks a pipe whether memory is there: without a descriptor
# left it finds fault with everything.
FLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize=vptr \
  -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan := -O1 -fsanitize=thread
FLAGS_coverage := -O0 -DNDEBUG --coverage -fprofile-update=atomic
FLAGS_fuzz := -O1 -fsanitize=fuzzer-no-link,address,undefined \
  -fno-sanitize-recover=all
ifeq ($(FLAGS_$(MODE)),)
$(error MODE=$(MODE) is none of: release asan tsan coverage fuzz)
endif
ifeq ($(MODE),fuzz)
CXX := clang++-19
endif

# What a sanitizer prints has lines, and no variables.
DEBUG := $(if $(filter asan tsan,$(MODE)),-g1,-g)
CXXFLAGS := -std=c++23 $(FLAGS_$(MODE)) $(DEBUG) -Wall -Wextra -Wpedantic \
  -Werror -I.
COMPILE = $(CXX) $(CXXFLAGS)
LINK = $(CXX) $(FLAGS_$(MODE)) -pthread

# As many at once as there are processors, unless -j says how many. (A make that
# is called by another one shares in what that one has.)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

# $(call show,compile,what) before a command, and $Q before the command itself.
Q := $(if $(filter-out 0,$(V)),,@)
show = $(if $Q,@printf '  %-8s %s\n' $1 $(or $2,$@))

all:  ## build every program; V=1 shows the commands

# What the machine has, and what follows from the lists.
include mk/machine.mk mk/lists.mk mk/headers.mk

# ---- Compiling and linking --------------------------------------------------

all: $(PROGRAMS)

$(BUILD)/obj/%.o: %.cpp $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(call show,compile,$<)
	$Q$(COMPILE) -MMD -MP -c $< -o $@

# Every part is an archive. program/server.cpp, client.cpp and ring.cpp are
# mains, the rest is shared.
MAINS := $(foreach m,server client ring,$(BUILD)/obj/program/$m.o)
.SECONDEXPANSION:
$(ARCHIVES): $(BUILD)/lib/%.a: $$(filter-out $(MAINS),$$(call objects,$$*))
	@mkdir -p $(@D) && rm -f $@
	$(call show,archive)
	$Qar rcs $@ $^

# One server: its own file, the client of its variant or else of its model (by
# which it asks other nodes), and what all servers share. $* is its name, epoll-level.
$(SERVER_NAMES:%=$(BIN)/%-server): $(BIN)/%-server: \
    $(BUILD)/obj/program/server.o $$(call object,server,$$*) \
    $$(call its_client,$$*) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ $(call libs,$*) -lcrypto -o $@

# One client, and the tool that starts many servers.
$(CLIENT_NAMES:%=$(BIN)/%-client): $(BIN)/%-client: \
    $(BUILD)/obj/program/client.o $$(call object,client,$$*) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ $(call libs,$*) -lcrypto -o $@

$(BIN)/ring: $(BUILD)/obj/program/ring.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -lcrypto -o $@

# A model's own name stands for its default.
$(MODELS:%=$(BIN)/%-server): $(BIN)/%-server: \
    $(BIN)/$$(call default,$$*,SERVERS)-server
	@ln -sf $(<F) $@
$(MODELS:%=$(BIN)/%-client): $(BIN)/%-client: \
    $(BIN)/$$(call default,$$*,CLIENTS)-client
	@ln -sf $(<F) $@

# ---- Running ----------------------------------------------------------------

## run-<model>[-<variant>]: a ring of its servers echoes, stores and looks up
$(SERVER_NAMES:%=run-%): run-%: $(BIN)/ring $(BIN)/%-server \
    $(BIN)/$$(call model,$$*)-client
	$< --servers $(BIN)/$*-server --client $(BIN)/$(call model,$*)-client \
	  $(if $(filter $*,$(ALONE)),--alone,--count 8)

## serve-<model>[-<variant>]: one server; ARGS="--port 7000 ..."
$(SERVER_NAMES:%=serve-%): serve-%: $(BIN)/%-server
	$< $(ARGS)

## trace-<model>[-<variant>]: what its threads do during a request, drawn
$(SERVER_NAMES:%=trace-%): trace-%: $(BIN)/%-server $$(call traced,$$*)
	@bench/timeline $* $(ARGS)
trace-compare: $$(foreach n,$(A) $(B),$(BIN)/$$n-server $$(call traced,$$n))  ## two on the same time scale: A=epoll B=iouring
	$(if $(and $(A),$(B)),,$(error trace-compare wants two names: make trace-compare A=epoll B=iouring))
	@bench/timeline $(A) $(B) $(ARGS)

$(foreach g,run serve trace,$(MODELS:%=$g-%)): \
    $$(call goal,$$@)-$$(call default,$$(call goals_model,$$@),SERVERS)

# A variant's own file, else its model's.
SIDE ?= server
source_file = $(firstword $(wildcard $(subst -,/$(SIDE)_,$1).cpp \
  $(call model,$1)/$(SIDE).cpp))
# Exactly two of them.
wanted = $(or $(filter-out $(NAMES),$1),$(if $(word 2,$1),,two names),$(word 3,$1))
diff:  ## two side by side: A=blocking B=epoll; SIDE=client
	$(if $(call wanted,$(A) $(B)),$(error make diff A=blocking B=epoll: \
	  $(call wanted,$(A) $(B))? There are: $(NAMES)))
	@python3 -B tests/tools/side_by_side.py $(call source_file,$(A)) \
	  $(call source_file,$(B))

include mk/bench.mk mk/tests.mk mk/developing.mk

# Of a name that is none; make prefers the rules above.
run-% serve-% trace-% test-%:
	@echo "make: no model $*; there are: $(MODELS) $(SERVER_NAMES)" >&2; exit 2

clean:  ## remove build/
	rm -rf build

FORCE:
.PHONY: all diff clean FORCE trace-compare \
  $(foreach n,$(MODELS) $(SERVER_NAMES),run-$n serve-$n trace-$n)
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

-include $(wildcard $(foreach d,obj/*/*.d obj/*/*/*.d,$(BUILD)/$d))
