# What measures: the load, the peers that servers stand beside, the comparisons.

# By what loads on several hosts talk; without it they are left out. OpenMPI
# itself was not made with the sanitizers, and leaks.
MPI_FLAGS = $(subst -I,-isystem ,$(shell mpicxx --showme:compile)) \
  -DOMPI_SKIP_MPICXX
MPI_LIBS = $(filter -L% -lmpi,$(shell mpicxx --showme:link))
NEED_load-mpi := libopenmpi-dev
MPI_LEFT_OUT := $(if $(strip $(call absent,$(HOSTS_PACKAGES))),load-mpi)
MPI_LOADS := $(if $(MPI_LEFT_OUT)$(filter asan tsan,$(MODE)),,load-mpi \
  $(CLIENT_NAMES:%=load-%-mpi))
LOADS := $(BIN)/load $(BIN)/record-cost $(CLIENT_NAMES:%=$(BIN)/load-%) \
  $(MPI_LOADS:%=$(BIN)/%)
all: $(LOADS)

# The load is linked with one client, and measures any server; either alone or
# with others, by MPI.
LOAD := $(BUILD)/lib/load.a
$(LOAD): $(filter-out %/main.o %/record_cost.o %/alone.o %/mpi.o, \
    $(call objects,bench/load))
	@mkdir -p $(@D) && rm -f $@
	$(call show,archive)
	$Qar rcs $@ $^

$(CLIENT_NAMES:%=$(BIN)/load-%): $(BIN)/load-%: \
    $(BUILD)/obj/bench/load/main.o $(BUILD)/obj/bench/load/alone.o \
    $$(call object,client,$$*) $(LOAD) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ $(call libs,$*) -lcrypto -o $@
$(CLIENT_NAMES:%=$(BIN)/load-%-mpi): $(BIN)/load-%-mpi: \
    $(BUILD)/obj/bench/load/main.o $(BUILD)/obj/bench/load/mpi.o \
    $$(call object,client,$$*) $(LOAD) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ $(call libs,$*) $(MPI_LIBS) -lcrypto -o $@
$(BUILD)/obj/bench/load/mpi.o: COMPILE += $(MPI_FLAGS)

$(BIN)/load $(BIN)/load-mpi: bench/load/load.sh Makefile
	@mkdir -p $(@D)
	$(call show,make)
	$Qsed -e 's/@CLIENTS@/$(call names,$(LOAD_CLIENTS))/' \
	  -e 's/@WITH@/$(patsubst load%,%,$(@F))/' $< >$@ && chmod +x $@

$(BIN)/record-cost: $(BUILD)/obj/bench/load/record_cost.o $(LOAD)
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ -o $@

# With what a timeline of one of a model's servers is made.
traced = $(BIN)/$(call model,$1)-client \
  $(BIN)/load-$(call default,$(call model,$1),CLIENTS)

# What the servers are measured beside (bench/peers),
# each with what it links with and the package that brings it.
PEERS := bare-echo libuv-echo libevent-echo asio-echo
LIBS_libuv-echo := -luv
NEED_libuv-echo := libuv1-dev
LIBS_libevent-echo := -levent_core
NEED_libevent-echo := libevent-dev
NEED_asio-echo := libasio-dev

ABSENT_PEERS := $(call absent,$(PEER_PACKAGES))
PEERS_LEFT_OUT := $(foreach p,$(PEERS),$(if $(filter \
  $(NEED_$p),$(ABSENT_PEERS)),$p))
PEERS := $(filter-out $(PEERS_LEFT_OUT),$(PEERS))
PEER_PROGRAMS := $(PEERS:%=$(BIN)/%)
$(PEER_PROGRAMS): $(BIN)/%: $(BUILD)/obj/bench/peers/$$(subst -,_,$$*).o
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $^ $(LIBS_$*) -o $@

# A server with a known fault: it is dearer than another one, to see whether
# bench/compare finds that.
DEAR_SERVER := epoll-level
$(BUILD)/lib/dear.so: COMPILE += -fPIC
$(BUILD)/lib/dear.so: $(BUILD)/obj/bench/peers/dear.o
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) -shared $^ -o $@
$(BIN)/dear-server: bench/peers/dear.sh $(BUILD)/lib/dear.so \
    $(BIN)/$(DEAR_SERVER)-server
	@mkdir -p $(@D)
	$(call show,make)
	$Qsed 's/@SERVER@/$(DEAR_SERVER)/' $< >$@ && chmod +x $@
DEAR := $(if $(filter release coverage,$(MODE)),$(BIN)/dear-server)

# What reads a file in one way each, and what makes that file (bench/files).
DISK_WAYS := pread threads posix libaio uring
LIBS_disk-libaio := -laio
NEED_disk-libaio := libaio-dev
LIBS_disk-uring := -luring
NEED_disk-uring := liburing-dev
DISK_WAYS := $(foreach w,$(DISK_WAYS),$(if $(filter \
  $(NEED_disk-$w),$(MISSING)),,$w))
DISK_PROGRAMS := $(BIN)/disk-file $(DISK_WAYS:%=$(BIN)/disk-%)
$(DISK_WAYS:%=$(BIN)/disk-%): $(BUILD)/obj/bench/disk/main.o
$(DISK_PROGRAMS): $(BIN)/disk-%: $(BUILD)/obj/bench/disk/%.o $(BUILD)/lib/net.a
	@mkdir -p $(@D)
	$(call show,link)
	$Q$(LINK) $(filter %.o,$^) $(filter %.a,$^) $(LIBS_disk-$*) -o $@

programs: $(PROGRAMS) $(LOADS) $(PEER_PROGRAMS) $(DISK_PROGRAMS) $(DEAR)

REPORT := build/report
bench-quick: programs  ## the models, 3 to 8 minutes; a page in build/report
	bench/compare --quick --report $(REPORT) $(ARGS)
bench: programs  ## more of it, and Redis, half an hour; ARGS="--help"
	bench/compare --full --report $(REPORT) $(ARGS)
bench-all: programs  ## everything; HOURS= allows it, RESUME=FILE goes on
	bench/compare $(if $(RESUME),--resume $(RESUME),--all) --report $(REPORT) \
	  $(ARGS)
bench-cpu: programs  ## CPU per request and memory, beside a bare echo
	bench/run $(ARGS); code=$$?; bench/memory && exit $$code
counts: $(SERVER_NAMES:%=$(BIN)/%-server)  ## calls and switches of a request, into the READMEs
	bench/counts $(ARGS)
race: programs  ## one after the other, 20 s; MODELS="epoll iouring"
	bench/race $(RACERS) $(ARGS)

BENCH_GOALS := bench bench-quick bench-all bench-cpu counts race
$(BENCH_GOALS): export SERVERS := $(SERVER_NAMES)
.PHONY: programs $(BENCH_GOALS)
