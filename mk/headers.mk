# What takes longest of a build, done once or not at all.

# To optimize what reads a command line takes longer than to compile all of
# epoll's model, and it runs once.
COMMAND_LINES := $(BUILD)/obj/program/options.o $(BUILD)/obj/bench/load/options.o
$(COMMAND_LINES): private CXXFLAGS += -O0

# Half the time of most sources goes into the standard library's headers: these
# are read once. Not for the coverage, and not by `make tidy`: there each source
# shows that it includes what it uses. Of strings that come from there g++ 12
# says what is not so (GCC's bug 105651).
ifneq ($(filter release asan tsan,$(MODE)),)
STANDARD := $(BUILD)/obj/program/standard.hpp
STANDARD_OBJECTS := $(filter-out $(COMMAND_LINES) $(MODEL_TESTS), \
  $(call objects,$(PARTS) $(MODELS) bench/load))
$(STANDARD_OBJECTS): private CXXFLAGS += -include $(STANDARD) \
  $(if $(findstring clang,$(CXX)),,-Wno-restrict -Wno-array-bounds \
  -Wno-stringop-overflow)
$(STANDARD_OBJECTS): $(STANDARD).gch
$(STANDARD).gch: program/standard.hpp $(FLAGS_FILE)
	@mkdir -p $(@D) && cp $< $(STANDARD)
	$(call show,compile,$<)
	$Q$(COMPILE) -w -x c++-header $< -o $@
endif

# Tests spend their time in compiling, not in running: half of it is -O2, and a
# third what they all include.
COMMON := $(BUILD)/obj/tests/tools/common.hpp
TEST_OBJECTS := $(call objects,$(wildcard tests/*)) $(MODEL_TESTS)
$(COMMON).gch $(TEST_OBJECTS): private CXXFLAGS += -O0 -g1
$(TEST_OBJECTS): private CXXFLAGS += -include $(COMMON)
$(TEST_OBJECTS): $(COMMON).gch
$(COMMON).gch: tests/tools/common.hpp $(FLAGS_FILE)
	@mkdir -p $(@D) && cp $< $(COMMON)
	$(call show,compile,$<)
	$Q$(COMPILE) -w -x c++-header $< -o $@
