# What the machine has, and how to get what it lacks.

# Whether make is only asked (-n, -q, -t): then nothing is changed here either.
# The letters come first in MAKEFLAGS, if there are any.
LETTERS := $(firstword -$(MAKEFLAGS))
ASKED := $(strip $(foreach letter,n q t,$(findstring $(letter),$(LETTERS))))

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
  clang-tidy-19=clang-tidy-19 clang-format-19=clang-format-19 python3=python3 \
  $(PEER_PACKAGES) $(HOSTS_PACKAGES)

PLACES := $(subst :, ,$(PATH):$(CPATH)) /usr/include /usr/local/include
there = $(wildcard $(addsuffix /$(word 2,$(subst =, ,$1)),$(PLACES)))
absent = $(foreach p,$1,$(if $(call there,$p),,$(word 1,$(subst =, ,$p))))

GOALS := $(or $(MAKECMDGOALS),all)
RUNS := $(filter run-% serve-% trace-% test test-% check bench bench-% counts race coverage,$(GOALS))
TESTS := $(filter test test-% check coverage,$(GOALS))
BENCHES := $(filter bench bench-%,$(GOALS))
TRACES := $(filter trace-%,$(GOALS))
BUILDS := $(filter-out help clean deps deps-% doctor format diff,$(GOALS))
MISSING := $(strip $(call absent,$(RUN_PACKAGES)) \
  $(if $(TESTS),$(call absent,$(TEST_PACKAGES))) \
  $(if $(BENCHES),$(call absent,$(BENCH_PACKAGES))) \
  $(if $(TRACES)$(filter counts race,$(GOALS)),$(call absent,python3=python3)))

# Who wants to run or test gets what is missing: make makes the makefiles that
# it includes before anything else, and then reads all of them anew. What could
# not be installed is tried again only if nothing goes without it.
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
	  $(foreach n,$(LEFT_OUT),$n:$(call needs,$n))

.PHONY: deps deps-run deps-test deps-hosts deps-report deps-dev doctor
