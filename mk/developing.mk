# The sources as text, and `make help`.

FOLDERS := $(PARTS) $(MODELS) bench/load bench/peers bench/disk tests/*
SOURCES := $(wildcard *.cpp $(FOLDERS:%=%/*.cpp))
HEADERS := $(wildcard $(FOLDERS:%=%/*.hpp))

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

help:  ## this list
	@awk '/^[a-z_.-]+:.*  ## / { name = text = $$0; \
	    sub(/:.*/, "", name); sub(/.*  ## /, "", text) } \
	  /^## / { name = text = substr($$0, 4); \
	    sub(/: .*/, "", name); sub(/^[^:]*: /, "", text) } \
	  name { printf "%-26s %s\n", name, text; name = "" }' \
	  Makefile mk/*.mk

.PHONY: format tidy help
