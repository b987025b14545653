# The tests, and how they are chosen and run.

# Test binaries: one per part that has files, one per fuzz target, one per
# server.
parts_with_tests = $(foreach p,$1,$(if $(wildcard tests/$p/*.cpp),$p))
FUZZ := $(patsubst tests/fuzz/%.cpp,fuzz-%,$(wildcard tests/fuzz/*.cpp))
PART_SUITES := $(call parts_with_tests,protocol dht node net program load)
UNIT_SUITES := $(PART_SUITES) $(FUZZ)
STYLE_SUITES := $(call parts_with_tests,style)
MODEL_SUITES := $(SERVER_NAMES:%=model-%) $(CLIENT_NAMES:%=client-%)
BLACK_BOX_SUITES := $(call parts_with_tests,conformance)
PYTHON_SUITES := $(patsubst test_%.py,python-%,$(notdir \
  $(wildcard bench/test_*.py tests/tools/test_*.py)))
README_SUITES := $(call parts_with_tests,readme)
ALL_SUITES := $(UNIT_SUITES) $(STYLE_SUITES) $(PYTHON_SUITES) \
  $(README_SUITES) $(MODEL_SUITES) $(BLACK_BOX_SUITES)
TOOLS := $(patsubst tests/tools/%.cpp,$(BUILD)/tests/tools/%, \
  $(filter-out %/fuzz_smoke.cpp %/allocations.cpp,$(wildcard tests/tools/*.cpp)))
tests: $(ALL_SUITES:%=$(BUILD)/tests/%) $(TOOLS)

# Unit tests are linked with all parts, and some count what is allocated; the
# others look from outside.
linked_with = $(if $(filter protocol dht node,$1),$(ALLOCATIONS)) \
  $(if $(filter load,$1),$(LOAD)) $(if $(filter $1,$(PART_SUITES)),$(ARCHIVES))
ALLOCATIONS := $(BUILD)/obj/tests/tools/allocations.o
OUTSIDE := $(STYLE_SUITES) $(README_SUITES)
# Who looks from outside needs no sanitizer of its own.
ifneq ($(filter asan tsan,$(MODE)),)
$(BLACK_BOX_SUITES:%=$(BUILD)/tests/%): FORCE
	@mkdir -p $(@D)
	@$(MAKE) MODE=release build/release/tests/$(@F)
	@ln -f build/release/tests/$(@F) $@
else
OUTSIDE += $(BLACK_BOX_SUITES)
endif
$(patsubst %,$(BUILD)/tests/%,$(PART_SUITES) $(OUTSIDE)): $(BUILD)/tests/%: \
    $$(call objects,tests/$$*) $$(call linked_with,$$*)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -lgtest_main -lgtest -lcrypto -o $@

# Those of one server, as it is linked; and of one client, whom its model's
# default server answers.
$(SERVER_NAMES:%=$(BUILD)/tests/model-%): $(BUILD)/tests/model-%: \
    $$(call tests_of,$$*) $(call objects,tests/model) \
    $$(call object,server,$$*) $$(call its_client,$$*) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -lgtest_main -lgtest $(call libs,$*) -lcrypto -o $@

$(CLIENT_NAMES:%=$(BUILD)/tests/client-%): $(BUILD)/tests/client-%: \
    $(call objects,tests/client) $$(call object,client,$$*) \
    $$(call object,server,$$(call default,$$(call model,$$*),SERVERS)) \
    $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -lgtest_main -lgtest $(call libs,$*) -lcrypto -o $@

# With clang++ a fuzz target is a program of its own (MODE=fuzz); everywhere
# else it is a test over a fixed sequence of inputs.
ifeq ($(MODE),fuzz)
$(BUILD)/tests/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(LOAD) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) -fsanitize=fuzzer $^ -lcrypto -o $@
else
$(BUILD)/tests/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o \
    $(BUILD)/obj/tests/tools/fuzz_smoke.o $(LOAD) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -lgtest_main -lgtest -lcrypto -o $@
endif

# What is written in Python, the measuring and some tools of make, has its tests
# beside it, in Python too.
$(PYTHON_SUITES:%=$(BUILD)/tests/%): $(BUILD)/tests/python-%:
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec python3 -B tests/tools/python_suite.py test_%s "$$@"\n' \
	  $* >$@ && chmod +x $@

$(BUILD)/tests/tools/%: $(BUILD)/obj/tests/tools/%.o
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -o $@

# What the suites know of the build. They read the lists of programs from
# here, and a program that is missing is a failure.
SUITES := tests/tools/suites.sh $(BUILD)
export SPLIT_SUITES := $(BLACK_BOX_SUITES)
# Those who measure, or take all memory, are alone; others need not wait for it.
export LONE_TESTS := *.AllBuffersTogetherKeepTheirLimit/*
export LONE_SUITES := $(foreach t,compare hosts load namespaces race timeline \
  trust,python-$t)
export BIN := $(BIN)
export MODE
export STYLE_ROOT := $(CURDIR)
export LEFT_OUT_REASONS := $(foreach n,$(LEFT_OUT),$n:$(call why,$n)) \
  $(if $(SERVER),,$(foreach p,$(PEERS_LEFT_OUT) $(MPI_LEFT_OUT),$p:$(NEED_$p)))
export ASAN_OPTIONS := halt_on_error=1:detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS := halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1
ifneq ($(filter asan tsan,$(MODE)),)
export SAMPLED := 1
endif
test check test-all: export SERVERS := $(SERVER_NAMES)
test check test-all: export CLIENTS := $(CLIENT_NAMES)
ifeq ($(SERVER),)
export ALONE
endif
# Who never sleeps naps in the black-box tests that are not about that.
export NAPS := nonblocking-spin=--nap=50
# Of the live tests a part, by a seed that is printed: SAMPLE=1234 make test
# repeats it, SAMPLE=0 leaves nothing out (as test-all and test-<model> do).
ifeq ($(origin SAMPLE),undefined)
SAMPLE := $(shell date +%s)
endif
test check: export SAMPLE := $(SAMPLE)

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
of_model = $(call names,$(filter $1:%,$2))
$(MODELS:%=test-%): test-%: programs tests
	@SERVERS="$(call of_model,$*,$(SERVERS))" \
	  CLIENTS="$(call of_model,$*,$(CLIENTS))" $(SUITES) \
	  $(filter model-$*-% client-$*-%,$(MODEL_SUITES)) $(BLACK_BOX_SUITES)

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
CHECK_PROGRAMS := $(PROGRAMS)
endif
ifeq ($(MODE),tsan)
CHECK_SUITES := $(filter-out protocol dht load $(FUZZ),$(CHECK_SUITES))
endif
check: $(CHECK_PROGRAMS) $(CHECK_SUITES:%=$(BUILD)/tests/%) $(TOOLS)  ## what every commit passes, a minute once it is built
	@$(SUITES) $(CHECK_SUITES)

test-all: export EVERYTHING := 1
test-all: export SAMPLE := 0
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

.PHONY: tests test check test-all coverage fuzz \
  $(foreach n,$(MODELS) $(SERVER_NAMES),test-$n)
