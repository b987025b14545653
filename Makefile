# Everything is built here; the lines that compile and link are part of the
# lesson. `make help` lists what can be asked for.

# ---- The lists --------------------------------------------------------------

# Servers, model:variant:kind; a model's first is its default (its source is
# <model>/server.cpp, the others' <model>/server_<variant>.cpp). The kind says
# by what rules the source is measured: thread, level (readiness, reported as
# long as it lasts), readiness (any other) or completion.
SERVERS := \
  blocking:thread:thread \
  epoll:level:level \
  iouring:multishot:completion

# Clients, model:variant, likewise.
CLIENTS := \
  blocking:thread \
  epoll:level \
  iouring:completion

# By which clients the load may be generated; the first that can run here is
# taken, unless one is called by its name.
# The cheapest first: what the load takes, it cannot ask.
LOAD_CLIENTS := iouring:completion epoll:level blocking:thread

# What a model links with, and the package that brings it. Without the package
# the model is left out, and said to be.
LIBS_iouring := -luring
NEED_iouring := liburing-dev

# What the servers are measured beside (bench/peers), what each links with, and
# the package that brings it; without it the peer is left out.
PEERS := bare-echo libuv-echo libevent-echo asio-echo
LIBS_libuv-echo := -luv
NEED_libuv-echo := libuv1-dev
LIBS_libevent-echo := -levent_core
NEED_libevent-echo := libevent-dev
NEED_asio-echo := libasio-dev

# By what loads on several hosts talk; without it they are left out.
MPI_FLAGS = $(subst -I,-isystem ,$(shell mpicxx --showme:compile)) \
  -DOMPI_SKIP_MPICXX
MPI_LIBS = $(filter -L% -lmpi,$(shell mpicxx --showme:link))
NEED_load-mpi := libopenmpi-dev

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

# Whether make is only asked (-n, -q, -t): then nothing is changed here either.
# The letters come first in MAKEFLAGS, if there are any.
LETTERS := $(firstword -$(MAKEFLAGS))
ASKED := $(strip $(foreach letter,n q t,$(findstring $(letter),$(LETTERS))))

# ---- What the machine has ---------------------------------------------------

# package=what shows that it is there: a header, or a program.
RUN_PACKAGES := g++=$(notdir $(firstword $(CXX))) make=make \
  liburing-dev=liburing.h libaio-dev=libaio.h libcli11-dev=CLI/CLI.hpp \
  libssl-dev=openssl/evp.h
TEST_PACKAGES := libgtest-dev=gtest/gtest.h redis-tools=redis-benchmark \
  strace=strace valgrind=valgrind gcovr=gcovr python3=python3
PEER_PACKAGES := libuv1-dev=uv.h libevent-dev=event2/bufferevent.h \
  libasio-dev=asio.hpp
HOSTS_PACKAGES := libopenmpi-dev=mpicxx openmpi-bin=mpirun
BENCH_PACKAGES := redis-tools=redis-benchmark python3=python3 \
  gnuplot-nox=gnuplot $(PEER_PACKAGES)
REPORT_PACKAGES := chromium=chromium gnuplot-nox=gnuplot nodejs=node npm=npm
DEV_PACKAGES := clang-19=clang++-19 libclang-rt-19-dev=clang++-19 \
  clang-tidy-19=clang-tidy-19 clang-format-19=clang-format-19 python3=python3 $(PEER_PACKAGES) \
  $(HOSTS_PACKAGES)

PLACES := $(subst :, ,$(PATH):$(CPATH)) /usr/include /usr/local/include
there = $(wildcard $(addsuffix /$(word 2,$(subst =, ,$1)),$(PLACES)))
absent = $(foreach p,$1,$(if $(call there,$p),,$(word 1,$(subst =, ,$p))))

GOALS := $(or $(MAKECMDGOALS),all)
RUNS := $(filter run-% serve-% trace-% test test-% check bench bench-% race coverage,$(GOALS))
TESTS := $(filter test test-% check coverage,$(GOALS))
BENCHES := $(filter bench bench-%,$(GOALS))
TRACES := $(filter trace-%,$(GOALS))
BUILDS := $(filter-out help clean deps deps-% doctor format diff,$(GOALS))
MISSING := $(call absent,$(RUN_PACKAGES)) \
  $(if $(TESTS),$(call absent,$(TEST_PACKAGES))) \
  $(if $(BENCHES),$(call absent,$(BENCH_PACKAGES))) \
  $(if $(TRACES)$(filter race,$(GOALS)),$(call absent,python3=python3))

# Who wants to run or test gets what is missing: make makes the makefiles that
# it includes before anything else, and then reads all of them anew. What could
# not be installed is tried again only if nothing goes without it.
MISSING := $(strip $(MISSING))
STOPS := $(filter g++ libcli11-dev libssl-dev \
  $(if $(TESTS),libgtest-dev),$(MISSING))
TRIED := $(or $(MAKE_RESTARTS),$(if $(STOPS),,$(filter \
  $(subst $() ,_,NOT_THERE := $(MISSING)),$(subst $() ,_,$(file \
  <build/installed)))))
ifneq ($(and $(RUNS),$(MISSING),$(if $(TRIED)$(ASKED),,now)),)
include build/installed
build/installed: FORCE
	@tests/tools/install.sh $(MISSING)
	@mkdir -p $(@D) && echo "NOT_THERE := $(MISSING)" >$@
else ifneq ($(if $(ASKED),,$(BUILDS)),)
$(if $(STOPS),$(error missing: $(STOPS); type: \
  sudo apt-get install -y $(STOPS)))
TOLD := yes
endif

# ---- What follows from the lists --------------------------------------------

field = $(word $1,$(subst :, ,$2))
models = $(foreach v,$1,$(call field,1,$v))
names = $(foreach v,$1,$(call field,1,$v)-$(call field,2,$v))
of_model = $(filter $1:%,$2)

# MODELS, as it is given: who takes part in a race.
RACERS := $(MODELS)
override MODELS := $(shell printf '%s\n' $(call models,$(SERVERS)) | uniq)
LEFT_OUT := $(foreach m,$(MODELS),$(if $(filter $(NEED_$m),$(MISSING)),$m))
override MODELS := $(filter-out $(LEFT_OUT),$(MODELS))
SERVERS := $(filter-out $(LEFT_OUT:%=%:%),$(SERVERS))
CLIENTS := $(filter-out $(LEFT_OUT:%=%:%),$(CLIENTS))
LOAD_CLIENTS := $(filter-out $(LEFT_OUT:%=%:%),$(LOAD_CLIENTS))
$(if $(TOLD),$(foreach m,$(LEFT_OUT),$(info SKIP $m: $(NEED_$m) is \
  missing (make deps))))

SERVER_NAMES := $(call names,$(SERVERS))
CLIENT_NAMES := $(call names,$(CLIENTS))
MPI_LEFT_OUT := $(if $(strip $(call absent,$(HOSTS_PACKAGES))),load-mpi)
# OpenMPI itself was not made with the sanitizers, and leaks.
MPI_LOADS := $(if $(MPI_LEFT_OUT)$(filter asan tsan,$(MODE)),,load-mpi \
  $(CLIENT_NAMES:%=load-%-mpi))
LOADS := $(BIN)/load $(BIN)/record-cost $(CLIENT_NAMES:%=$(BIN)/load-%) \
  $(MPI_LOADS:%=$(BIN)/%)
PROGRAMS := $(BIN)/ring $(LOADS) \
  $(SERVER_NAMES:%=$(BIN)/%-server) $(CLIENT_NAMES:%=$(BIN)/%-client) \
  $(MODELS:%=$(BIN)/%-server) $(MODELS:%=$(BIN)/%-client)
ARCHIVES := $(PARTS:%=$(BUILD)/lib/%.a)
ABSENT_PEERS := $(call absent,$(PEER_PACKAGES))
PEERS_LEFT_OUT := $(foreach p,$(PEERS),$(if $(filter \
  $(NEED_$p),$(ABSENT_PEERS)),$p))
PEERS := $(filter-out $(PEERS_LEFT_OUT),$(PEERS))
PEER_PROGRAMS := $(PEERS:%=$(BIN)/%)

# Test binaries: one per part that has files, one per fuzz target, one per
# server.
parts_with_tests = $(foreach p,$1,$(if $(wildcard tests/$p/*.cpp),$p))
FUZZ := $(patsubst tests/fuzz/%.cpp,fuzz-%,$(wildcard tests/fuzz/*.cpp))
UNIT_SUITES := $(call parts_with_tests,protocol dht node net program load) $(FUZZ)
STYLE_SUITES := $(call parts_with_tests,style)
MODEL_SUITES := $(SERVER_NAMES:%=model-%)
BLACK_BOX_SUITES := $(call parts_with_tests,conformance)
BENCH_SUITES := $(call parts_with_tests,bench)
README_SUITES := $(call parts_with_tests,readme)
TOOLS := $(patsubst tests/tools/%.cpp,$(BUILD)/tests/tools/%, \
  $(filter-out %/fuzz_smoke.cpp %/allocations.cpp,$(wildcard tests/tools/*.cpp)))

# ---- Compiling and linking --------------------------------------------------

all: $(PROGRAMS)  ## build every program

objects = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(wildcard $(1:%=%/*.cpp)))

# Another compiler or other flags: everything is built anew.
FLAGS_FILE := $(BUILD)/flags
FLAGS := $(COMPILE)
ifneq ($(file <$(FLAGS_FILE)),$(FLAGS))
$(FLAGS_FILE): FORCE
endif
$(FLAGS_FILE):
	@mkdir -p $(@D) && echo '$(FLAGS)' >$@

# Tests spend their time in compiling, not in running: half of it is -O2, and a
# third what they all include, which is read once.
COMMON := $(BUILD)/obj/tests/tools/common.hpp
TEST_OBJECTS := $(call objects,$(wildcard tests/*)) \
  $(MODELS:%=$(BUILD)/obj/%/test.o)
$(COMMON).gch $(TEST_OBJECTS): private CXXFLAGS += -O0 -g1
$(TEST_OBJECTS): private CXXFLAGS += -include $(COMMON)
$(TEST_OBJECTS): $(COMMON).gch
$(COMMON).gch: tests/tools/common.hpp $(FLAGS_FILE)
	@mkdir -p $(@D) && cp $< $(COMMON)
	$(COMPILE) -w -x c++-header $< -o $@

# To optimize what reads a command line takes longer than to compile all of
# epoll's model, and it runs once.
COMMAND_LINES := $(BUILD)/obj/program/options.o $(BUILD)/obj/bench/load/options.o
$(COMMAND_LINES): private CXXFLAGS += -O0

# Half the time of most others goes into the standard library's headers: these
# too are read once. Not where something is looked for: there each source shows
# that it includes what it uses. Of strings that come from there g++ 12 says what
# is not so (GCC's bug 105651).
ifeq ($(MODE),release)
STANDARD := $(BUILD)/obj/program/standard.hpp
STANDARD_OBJECTS := $(filter-out $(COMMAND_LINES) %/test.o, \
  $(call objects,$(PARTS) $(MODELS) bench/load))
$(STANDARD_OBJECTS): private CXXFLAGS += -include $(STANDARD) \
  $(if $(findstring clang,$(CXX)),,-Wno-restrict -Wno-array-bounds \
  -Wno-stringop-overflow)
$(STANDARD_OBJECTS): $(STANDARD).gch
$(STANDARD).gch: program/standard.hpp $(FLAGS_FILE)
	@mkdir -p $(@D) && cp $< $(STANDARD)
	$(COMPILE) -w -x c++-header $< -o $@
endif

$(BUILD)/obj/%.o: %.cpp $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c $< -o $@

# program/server.cpp, client.cpp and ring.cpp are mains, the rest is shared.
MAINS := $(foreach m,server client ring,$(BUILD)/obj/program/$m.o)
define PART
$(BUILD)/lib/$1.a: $(filter-out $(MAINS),$(call objects,$1))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach p,$(PARTS),$(eval $(call PART,$p)))

# The load is linked with one client, and measures any server; either alone or
# with others, by MPI.
LOAD := $(BUILD)/lib/load.a
$(LOAD): $(filter-out %/main.o %/record_cost.o %/alone.o %/mpi.o, \
    $(call objects,bench/load))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(BIN)/record-cost: $(BUILD)/obj/bench/load/record_cost.o $(LOAD)
	@mkdir -p $(@D)
	$(LINK) $^ -o $@

$(BUILD)/obj/bench/load/mpi.o: COMPILE += $(MPI_FLAGS)

$(BIN)/load $(BIN)/load-mpi: bench/load/load.sh Makefile
	@mkdir -p $(@D)
	sed -e 's/@CLIENTS@/$(call names,$(LOAD_CLIENTS))/' \
	  -e 's/@WITH@/$(patsubst load%,%,$(@F))/' $< >$@ && chmod +x $@

# With what a timeline of one of the model's servers is made.
traced = $(BIN)/$1-client $(BIN)/load-$(firstword \
  $(call names,$(call of_model,$1,$(CLIENTS))))

# One server: its own file, its model's default client (by which the node asks
# other nodes), and what all servers share.
source_of = $(BUILD)/obj/$1/$2$(if $(filter $3,$(firstword \
  $(call of_model,$1,$4))),,_$(call field,2,$3)).o
default_client = $(call source_of,$1,client,$(firstword \
  $(call of_model,$1,$(CLIENTS))),$(CLIENTS))
define SERVER_RULES
$(BIN)/$1-$2-server: $(BUILD)/obj/program/server.o \
    $(call source_of,$1,server,$3,$(SERVERS)) $(call default_client,$1) \
    $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(LIBS_$1) -lcrypto -o $$@
$(BUILD)/tests/model-$1-$2: $(BUILD)/obj/$1/test.o $(call objects,tests/model) \
    $(call objects,tests/model) \
    $(call source_of,$1,server,$3,$(SERVERS)) $(call default_client,$1) \
    $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(LINK) $$^ -lgtest_main -lgtest $$(LIBS_$1) -lcrypto -o $$@
run-$1-$2: $(BIN)/ring $(BIN)/$1-$2-server $(BIN)/$1-client
	$$< --servers $(BIN)/$1-$2-server --client $(BIN)/$1-client --count 8
serve-$1-$2: $(BIN)/$1-$2-server
	$$< $$(ARGS)
trace-$1-$2: $(BIN)/$1-$2-server $(call traced,$1)
	@bench/timeline $1-$2 $$(ARGS)
endef
define CLIENT_RULES
$(BIN)/$1-$2-client: $(BUILD)/obj/program/client.o \
    $(call source_of,$1,client,$3,$(CLIENTS)) $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(LIBS_$1) -lcrypto -o $$@
$(BIN)/load-$1-$2: $(BUILD)/obj/bench/load/main.o \
    $(BUILD)/obj/bench/load/alone.o \
    $(call source_of,$1,client,$3,$(CLIENTS)) $(LOAD) $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(LIBS_$1) -lcrypto -o $$@
$(BIN)/load-$1-$2-mpi: $(BUILD)/obj/bench/load/main.o \
    $(BUILD)/obj/bench/load/mpi.o \
    $(call source_of,$1,client,$3,$(CLIENTS)) $(LOAD) $(ARCHIVES)
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(LIBS_$1) $$(MPI_LIBS) -lcrypto -o $$@
endef
define MODEL_RULES
$(BIN)/$1-server: $(BIN)/$2-server
	ln -sf $$(<F) $$@
$(BIN)/$1-client: $(BIN)/$3-client
	ln -sf $$(<F) $$@
run-$1: run-$2
serve-$1: serve-$2
trace-$1: trace-$2
test-$1: programs tests
	@$$(SUITES) $(patsubst %,model-%,$(call names,$(call \
	  of_model,$1,$(SERVERS)))) $(BLACK_BOX_SUITES)
test-$1: export SERVERS = $(call names,$(call of_model,$1,$(SERVERS)))
test-$1: export CLIENTS = $(call names,$(call of_model,$1,$(CLIENTS)))
endef
first = $(firstword $(call names,$(call of_model,$1,$2)))
$(foreach v,$(SERVERS),$(eval $(call \
  SERVER_RULES,$(call field,1,$v),$(call field,2,$v),$v)))
$(foreach v,$(CLIENTS),$(eval $(call \
  CLIENT_RULES,$(call field,1,$v),$(call field,2,$v),$v)))
$(foreach m,$(MODELS),$(eval $(call \
  MODEL_RULES,$m,$(call first,$m,$(SERVERS)),$(call first,$m,$(CLIENTS)))))

# A model that was left out can be asked for, and says why not (exit code 77).
$(foreach m,$(LEFT_OUT),run-$m serve-$m trace-$m):
	@exit 77
$(foreach m,$(LEFT_OUT),test-$m):
	@tests/tools/suites.sh $(BUILD)

$(BIN)/ring: $(BUILD)/obj/program/ring.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK) $^ -lcrypto -o $@

# ---- Tests ------------------------------------------------------------------

# Unit tests are linked with all parts; the others look from outside.
define SUITE
$(BUILD)/tests/$1: $(call objects,tests/$1) $2
	@mkdir -p $$(@D)
	$$(LINK) $$^ -lgtest_main -lgtest -lcrypto -o $$@
endef
$(foreach s,$(filter-out fuzz-%,$(UNIT_SUITES)),$(eval $(call \
  SUITE,$s,$(if $(filter load,$s),$(LOAD)) $(ARCHIVES))))
$(foreach s,$(STYLE_SUITES) $(BENCH_SUITES) $(README_SUITES),$(eval $(call SUITE,$s)))
# Those that count what is allocated.
$(foreach s,protocol dht node,$(BUILD)/tests/$s): $(BUILD)/obj/tests/tools/allocations.o

# Who looks from outside needs no sanitizer of its own.
ifneq ($(filter asan tsan,$(MODE)),)
$(BLACK_BOX_SUITES:%=$(BUILD)/tests/%): FORCE
	@mkdir -p $(@D)
	$(MAKE) MODE=release build/release/tests/$(@F)
	ln -f build/release/tests/$(@F) $@
else
$(foreach s,$(BLACK_BOX_SUITES),$(eval $(call SUITE,$s)))
endif

# With clang++ a fuzz target is a program of its own (MODE=fuzz); everywhere
# else it is a test over a fixed sequence of inputs.
ifeq ($(MODE),fuzz)
$(BUILD)/tests/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(LOAD) $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK) -fsanitize=fuzzer $^ -lcrypto -o $@
else
$(BUILD)/tests/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o \
    $(BUILD)/obj/tests/tools/fuzz_smoke.o $(LOAD) $(ARCHIVES)
	@mkdir -p $(@D)
	$(LINK) $^ -lgtest_main -lgtest -lcrypto -o $@
endif

$(BUILD)/tests/tools/%: $(BUILD)/obj/tests/tools/%.o
	@mkdir -p $(@D)
	$(LINK) $^ -o $@

define PEER
$(BIN)/$1: $(BUILD)/obj/bench/peers/$(subst -,_,$1).o
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(LIBS_$1) -o $$@
endef
$(foreach p,$(PEERS),$(eval $(call PEER,$p)))

ALL_SUITES := $(UNIT_SUITES) $(STYLE_SUITES) $(BENCH_SUITES) \
  $(README_SUITES) $(MODEL_SUITES) $(BLACK_BOX_SUITES)
programs: $(PROGRAMS) $(PEER_PROGRAMS)
tests: $(ALL_SUITES:%=$(BUILD)/tests/%) $(TOOLS)

# What the suites know of the build. They read the lists of programs from
# here, and a program that is missing is a failure.
SUITES := tests/tools/suites.sh $(BUILD)
export SPLIT_SUITES := $(BLACK_BOX_SUITES) $(BENCH_SUITES)
# Those who measure, or take all memory, are alone; others need not wait for it.
export LONE_TESTS := $(subst $() ,:,*.AllBuffersTogetherKeepTheirLimit/* \
  $(foreach t,compare hosts load namespaces race timeline trust,*/test_$t))
export BIN := $(BIN)
export MODE
export STYLE_ROOT := $(CURDIR)
export LEFT_OUT_REASONS := $(foreach m,$(LEFT_OUT) \
  $(if $(SERVER),,$(PEERS_LEFT_OUT) $(MPI_LEFT_OUT)),$m:$(NEED_$m))
export ASAN_OPTIONS := halt_on_error=1:detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS := halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1
ifneq ($(filter asan tsan,$(MODE)),)
export SAMPLED := 1
endif

BENCH_GOALS := bench bench-quick bench-all bench-cpu race
test check test-all $(BENCH_GOALS): export SERVERS := $(SERVER_NAMES)
test check test-all: export CLIENTS := $(CLIENT_NAMES)

# A program of one's own, and how much of the contract it is held to. Its path
# may have blanks.
ifneq ($(filter test,$(GOALS)),)
quoted = '$(subst ','\'',$1)'
LEVELS := echo store limits ring
ifneq ($(SERVER),)
OWN := $(shell tests/tools/own.sh \
  $(call quoted,$(or $(PWD),$(CURDIR))) $(call quoted,$(SERVER)))
$(if $(OWN),,$(error SERVER=$(SERVER): there is no such program (a path to a \
  file that may be run, without arguments)))
override SERVER := $(OWN)
endif
ifneq ($(LEVEL),)
$(if $(SERVER),,$(error LEVEL=$(LEVEL) is asked of a program of your own: \
  make test SERVER=./mine LEVEL=$(LEVEL)))
$(if $(filter 1-1,$(words $(LEVEL))-$(words $(filter \
  $(LEVELS),$(LEVEL)))),,$(error LEVEL=$(LEVEL) is none of: $(LEVELS)))
endif
export SERVER LEVEL
endif

ifeq ($(SERVER),)
test: programs tests  ## all tests; SERVER=./mine LEVEL=echo: of that program
	@$(SUITES) $(ALL_SUITES)
else
test: $(BLACK_BOX_SUITES:%=$(BUILD)/tests/%) $(TOOLS)
	@$(SUITES) $(BLACK_BOX_SUITES)
endif
## test-<model>: the tests of one model

# Without a sanitizer one variant will do. With one, every model is tried,
# sampled; TSan has nothing to see in the parts that know no thread.
ifeq ($(SAMPLED),)
CHECKED := $(firstword $(filter epoll-%,$(SERVER_NAMES)) $(SERVER_NAMES))
check: export SERVERS := $(CHECKED)
check: export CLIENTS := $(firstword $(filter $(CHECKED),$(CLIENT_NAMES)) \
  $(CLIENT_NAMES))
check: export SAMPLED := 1
CHECK_SUITES := $(UNIT_SUITES) $(STYLE_SUITES) $(BLACK_BOX_SUITES)
CHECK_PROGRAMS := programs
else
CHECK_SUITES := $(UNIT_SUITES) $(MODEL_SUITES) $(BLACK_BOX_SUITES)
CHECK_PROGRAMS := $(filter-out $(LOADS),$(PROGRAMS))
endif
ifeq ($(MODE),tsan)
CHECK_SUITES := $(filter-out protocol dht load $(FUZZ),$(CHECK_SUITES))
endif
check: $(CHECK_PROGRAMS) $(CHECK_SUITES:%=$(BUILD)/tests/%) $(TOOLS)  ## what every commit passes, a minute once it is built
	@$(SUITES) $(CHECK_SUITES)

test-all: export EVERYTHING := 1
test-all: programs tests  ## nothing sampled, the sanitizers, and coverage
	@$(SUITES) $(ALL_SUITES)
	env -u EVERYTHING $(MAKE) test MODE=asan
	env -u EVERYTHING $(MAKE) test MODE=tsan
	$(MAKE) coverage

coverage: export SUITES_AT_ONCE := 1
coverage: $(UNIT_SUITES:%=$(BUILD)/tests/%)  ## branches of the pure parts that the unit tests reach
	@find $(BUILD) -name '*.gcda' -delete
	@$(SUITES) $(UNIT_SUITES)
	gcovr --root . --object-directory $(BUILD) --branches \
	  --exclude-throw-branches --exclude-unreachable-branches \
	  --filter protocol/ --filter node/ --filter dht/ \
	  --fail-under-branch 100 $(BUILD)

FUZZ_TIME ?= 60
fuzz: $(FUZZ:%=$(BUILD)/tests/%)  ## fuzz each parser for FUZZ_TIME=60 seconds
	@mkdir -p $(FUZZ:%=$(BUILD)/corpus/%)
	set -e; for target in $(FUZZ); do \
	  $(BUILD)/tests/$$target -max_total_time=$(FUZZ_TIME) -timeout=5 \
	    $(BUILD)/corpus/$$target $(wildcard tests/fuzz/corpus); \
	done

REPORT := build/report
bench-quick: programs  ## compare the models, 3 minutes; page in build/report
	bench/compare --quick --report $(REPORT) $(ARGS)
bench: programs  ## and with Redis, 24 minutes; ARGS="--help"
	bench/compare --full --report $(REPORT) $(ARGS)
bench-all: programs  ## everything; HOURS= allows it, RESUME=FILE goes on
	bench/compare $(if $(RESUME),--resume $(RESUME),--all) --report $(REPORT) \
	  $(ARGS)
bench-cpu: programs  ## CPU per request and memory, beside a bare echo
	bench/run $(ARGS); code=$$?; bench/memory && exit $$code
race: programs  ## one after the other, 20 s; MODELS="epoll iouring"
	bench/race $(RACERS) $(ARGS)

# ---- Running ----------------------------------------------------------------

## run-<model>[-<variant>]: a ring of its servers echoes, stores and looks up
## serve-<model>[-<variant>]: one server; ARGS="--port 7000 ..."

## trace-<model>[-<variant>]: what its threads do during a request, drawn
COMPARED = $(foreach n,$(A) $(B),$(BIN)/$n-server \
  $(call traced,$(firstword $(subst -, ,$n))))
trace-compare: $(COMPARED)  ## two on the same time scale: A=epoll B=iouring
	$(if $(and $(A),$(B)),,$(error trace-compare wants two names: make trace-compare A=epoll B=iouring))
	@bench/timeline $(A) $(B) $(ARGS)

# Of a name that is none; make prefers the rules above.
run-% serve-% trace-% test-%:
	@echo "make: no model $*; there are: $(MODELS) $(SERVER_NAMES)" >&2; exit 2

# A variant's own file, else its model's.
SIDE ?= server
source_file = $(firstword $(wildcard $(subst -,/$(SIDE)_,$1).cpp \
  $(firstword $(subst -, ,$1))/$(SIDE).cpp))
NAMES := $(sort $(MODELS) $(LEFT_OUT) $(SERVER_NAMES) $(CLIENT_NAMES))
# Exactly two of them.
wanted = $(or $(filter-out $(NAMES),$1),$(if $(word 2,$1),,two names),$(word 3,$1))
diff:  ## two side by side: A=blocking B=epoll; SIDE=client
	$(if $(call wanted,$(A) $(B)),$(error make diff A=blocking B=epoll: \
	  $(call wanted,$(A) $(B))? There are: $(NAMES)))
	@python3 -B tests/tools/side_by_side.py $(call source_file,$(A)) \
	  $(call source_file,$(B))

# ---- The machine ------------------------------------------------------------

deps: deps-run deps-test  ## install what running and testing need
deps-run:
	@tests/tools/install.sh $(call absent,$(RUN_PACKAGES))
deps-test:
	@tests/tools/install.sh $(call absent,$(TEST_PACKAGES))
deps-hosts:  ## and what loads on several hosts talk by: OpenMPI
	@tests/tools/install.sh $(call absent,$(HOSTS_PACKAGES))
BROWSER := build/browser
deps-report:  ## and the report and its tests: gnuplot, Chromium
	@tests/tools/install.sh $(call absent,$(REPORT_PACKAGES))
	@mkdir -p $(BROWSER) && cp tests/browser/package*.json $(BROWSER)
	@npm ci --prefix $(BROWSER) --no-audit --no-fund --loglevel=error || \
	  echo "missing: playwright-core; its test will be skipped" >&2
deps-dev: deps  ## and what developing needs: clang 19, tidy, format
	@tests/tools/install.sh $(call absent,$(DEV_PACKAGES))
doctor:  ## what works on this machine, what not, and a remedy
	@tests/tools/doctor.sh $(BIN) "$(CXX)" $(SERVER_NAMES) \
	  $(foreach m,$(LEFT_OUT),$m:$(NEED_$m))

# ---- The sources ------------------------------------------------------------

SOURCES := $(wildcard *.cpp $(foreach d,$(PARTS) $(MODELS) bench/load bench/peers \
  tests/*,$d/*.cpp))
HEADERS := $(wildcard $(foreach d,$(PARTS) $(MODELS) bench/load bench/peers \
  tests/*,$d/*.hpp))

format:  ## clang-format, in place
	clang-format-19 -i $(SOURCES) $(HEADERS)
tidy:  ## clang-tidy
	@printf '%s\n' $(SOURCES) | xargs -P $$(nproc) -n 4 sh -c \
	  'clang-tidy-19 --quiet --warnings-as-errors="*" "$$@" -- -std=c++23 -I. $(MPI_FLAGS)' \
	  tidy

define ENTRY
  {"directory": "$(CURDIR)", "file": "$1",
   "command": "$(COMPILE) -c $1"}$2
endef
define newline


endef
comma := ,
compile_commands.json: FORCE  ## for clangd and its like
	$(file >$@,[$(foreach s,$(SOURCES),$(newline)$(call ENTRY,$s,$(if \
	  $(filter $s,$(lastword $(SOURCES))),,$(comma))))$(newline)])
	@echo "$@: $(words $(SOURCES)) files"

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@awk '/^[a-z_.-]+:.*  ## / { name = text = $$0; \
	    sub(/:.*/, "", name); sub(/.*  ## /, "", text) } \
	  /^## / { name = text = substr($$0, 4); \
	    sub(/: .*/, "", name); sub(/^[^:]*: /, "", text) } \
	  name { printf "%-26s %s\n", name, text; name = "" }' \
	  $(firstword $(MAKEFILE_LIST))

FORCE:
.PHONY: all programs tests test check test-all coverage fuzz diff deps \
  $(BENCH_GOALS) \
  deps-run deps-test deps-hosts deps-report deps-dev doctor format tidy clean help FORCE \
  $(foreach n,$(MODELS) $(SERVER_NAMES),run-$n serve-$n trace-$n test-$n) \
  trace-compare
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

-include $(wildcard $(foreach d,obj/*/*.d obj/*/*/*.d,$(BUILD)/$d))
