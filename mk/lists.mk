# What follows from the Makefile's lists, and from what the machine has.

field = $(word $1,$(subst :, ,$2))
# epoll-level of epoll:level:level, and epoll of epoll-level.
names = $(foreach v,$1,$(call field,1,$v)-$(call field,2,$v))
model = $(firstword $(subst -, ,$1))
# $(call default,epoll,SERVERS) is epoll-level.
default = $(firstword $(call names,$(filter $1:%,$($2))))
# run-epoll is the goal run of the model epoll.
goal = $(firstword $(subst -, ,$1))
goals_model = $(lastword $(subst -, ,$1))

# What the C library does in threads of its own is unknown to ThreadSanitizer
# (of g++ 12 and clang 19): it crashes when one of these allocates memory, and
# they do, to make another one and to tell that something is done.
ifeq ($(MODE),tsan)
TSAN_LACKS := a_sanitizer_that_knows_glibc's_own_threads
$(foreach v,posix thread signal,$(eval NEED_aio-$v := $(TSAN_LACKS)))
endif

# Packages of a model, and of a variant; what of a list can be built with those
# that are there.
needs = $(NEED_$(call model,$1)) $(if $(findstring -,$1),$(NEED_$1))
libs = $(LIBS_$(call model,$1)) $(LIBS_$1)
lacks = $(filter $(call needs,$1),$(MISSING) $(TSAN_LACKS))
buildable = $(foreach v,$1,$(if $(call lacks,$(call names,$v)),,$v))

# MODELS, as it is given: who takes part in a race.
RACERS := $(MODELS)
ALL_SERVERS := $(SERVERS)
ALL_CLIENTS := $(CLIENTS)
ALL_NAMES := $(call names,$(SERVERS))
CLIENTS := $(call buildable,$(CLIENTS))
LOAD_CLIENTS := $(call buildable,$(LOAD_CLIENTS))
# A server asks other nodes by a client of its model.
SERVERS := $(foreach v,$(call buildable,$(SERVERS)),$(if \
  $(filter $(call field,1,$v):%,$(CLIENTS)),$v))
SERVER_NAMES := $(call names,$(SERVERS))
CLIENT_NAMES := $(call names,$(CLIENTS))
models = $(shell printf '%s\n' $(foreach n,$1,$(call model,$n)) | uniq)
override MODELS := $(call models,$(SERVER_NAMES))
# A model of which nothing is left, or single variants.
LEFT_OUT := $(filter-out $(MODELS),$(call models,$(ALL_NAMES)))
LEFT_OUT += $(foreach n,$(filter-out $(SERVER_NAMES),$(ALL_NAMES)),$(if \
  $(filter $(call model,$n),$(LEFT_OUT)),,$n))
LEFT_OUT := $(strip $(LEFT_OUT))
why = $(sort $(call needs,$1) $(foreach n,$(filter $1-%,$(ALL_NAMES) \
  $(call names,$(ALL_CLIENTS))),$(NEED_$n)))
$(if $(TOLD),$(foreach n,$(LEFT_OUT),$(info SKIP $n: $(subst _, ,$(call \
  why,$n)) is missing$(if $(filter $(MISSING),$(call why,$n)), (make deps)))))
NAMES := $(sort $(MODELS) $(LEFT_OUT) $(SERVER_NAMES) $(CLIENT_NAMES))

# What is left out can be asked for, and says why not (exit code 77).
$(foreach n,$(LEFT_OUT),run-$n serve-$n trace-$n):
	@exit 77
$(LEFT_OUT:%=test-%):
	@tests/tools/suites.sh $(BUILD)

# Tests of a model; a variant's own instead, if it has <model>/test_<variant>.cpp.
MODEL_TESTS := $(patsubst %.cpp,$(BUILD)/obj/%.o,$(wildcard \
  $(MODELS:%=%/test.cpp) $(MODELS:%=%/test_*.cpp)))
tests_of = $(or $(filter %/$(call model,$1)/test_$(call variant,$1).o, \
  $(MODEL_TESTS)),$(filter %/$(call model,$1)/test.o,$(MODEL_TESTS)))

objects = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(wildcard $(1:%=%/*.cpp)))
# The object of epoll-level's server: of epoll/server.cpp, since it is the
# model's first; of epoll-edge's: of epoll/server_edge.cpp.
lists_server := ALL_SERVERS
lists_client := ALL_CLIENTS
object = $(BUILD)/obj/$(call model,$2)/$1$(if $(filter $2,$(call \
  default,$(call model,$2),$(lists_$1))),,_$(call variant,$2)).o
variant = $(patsubst $(call model,$1)-%,%,$1)
# A node asks others by the client of its own variant, if there is one.
own_client = $(or $(filter $1,$(CLIENT_NAMES)),$(call default,$(call \
  model,$1),CLIENTS))
its_client = $(call object,client,$(call own_client,$1))

ARCHIVES := $(PARTS:%=$(BUILD)/lib/%.a)
PROGRAMS := $(BIN)/ring \
  $(SERVER_NAMES:%=$(BIN)/%-server) $(CLIENT_NAMES:%=$(BIN)/%-client) \
  $(MODELS:%=$(BIN)/%-server) $(MODELS:%=$(BIN)/%-client)

# Another compiler or other flags: everything is built anew.
FLAGS_FILE := $(BUILD)/flags
FLAGS := $(COMPILE)
ifneq ($(file <$(FLAGS_FILE)),$(FLAGS))
$(FLAGS_FILE): FORCE
endif
$(FLAGS_FILE):
	@mkdir -p $(@D) && echo '$(FLAGS)' >$@
