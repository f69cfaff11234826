# Reports what make does, as events of pytest-swarmtask. Include this file and write, at the start of a recipe line or in the middle of one,
#
#     @$(call task-event,TASK_STARTED,make_test,'{"action":"test","type":"all"}')
#
# Arguments: event type, task id, metadata as JSON; id and metadata may be left out. An argument that is quoted for the shell goes there as it
# is, one that holds $$name is put into double quotes, any other into single quotes. Reporting never fails or feeds a recipe: the call expands
# to one command with status 0 that reads and prints nothing, and to an empty one under -n, -t and -q.
#
#   TASKS_PYTHON  words for the shell: the Python that has pytest-swarmtask (default: that of the make above, else python3). A relative path
#                 counts from the folder where make runs, also after a cd.
#   TASKS_QUIET   1: no notice on standard error where events cannot be reported
#
# Works with GNU make 3.81 and later, in dash and bash. Names that start with "tasks-" are for use in here.

tasks-default-python := $(if $(TASKS_PYTHON_ABOVE),$(TASKS_PYTHON_ABOVE),python3)
TASKS_PYTHON ?= $(tasks-default-python)
export TASKS_PYTHON_ABOVE = $(tasks-python)

# Everything below one make is one run. What began it says so in TRACEPARENT (W3C Trace Context); where nothing did, this make does.
ifndef TRACEPARENT
export TRACEPARENT := $(shell od -An -v -N24 -tx1 /dev/urandom 2>/dev/null | tr -d ' \n' | sed 's/^.\{32\}/00-&-/;s/$$/-01/')
endif

task-event = $(if $(call tasks-runs-nothing,$(firstword -$(MAKEFLAGS))),:,$(call tasks-emit,$(call tasks-arguments,$(1),$(2),$(tasks-metadata))))

# The first word of MAKEFLAGS, here with a hyphen before it, holds the one-letter options; in make 3.81 it may also be "NAME=value".
tasks-runs-nothing = $(if $(findstring =,$(1))$(filter --%,$(1)),,$(findstring n,$(1))$(findstring t,$(1))$(findstring q,$(1)))

# Exit status 2 means that the call is wrong, any other but 0 that there is no emitter: worth one notice in each run of make.
tasks-emitter = $(tasks-python) -m pytest_swarmtask.emit $(1) </dev/null
tasks-emit = $(if $(filter-out 0,$(TASKS_QUIET)),{ $(tasks-emitter) >/dev/null 2>&1 || :; },{ \
  tasks_said=$$($(tasks-emitter) 2>&1 >/dev/null) || [ $$? = 2 ] || tasks_said=$(tasks-notice); \
  [ -z "$$tasks_said" ] || printf 'tasks.mk: %s\n' "$$tasks_said" >&2 || :; })
tasks-notice = $(if $(tasks-noticed),,$(eval tasks-noticed := 1)"no events: $$tasks_said (TASKS_QUIET=1 hides this)")

# --- words for the shell ---

tasks-empty :=
tasks-space := $(tasks-empty) $(tasks-empty)
tasks-comma := ,
define tasks-newline


endef

tasks-arguments = $(call tasks-word,$(1))$(if $(strip $(2)$(3)), $(call tasks-word,$(2)))$(if $(strip $(3)), $(call tasks-word,$(3)))
tasks-word = $(call tasks-shell-word,$(call tasks-trim,$(subst $(tasks-newline), ,$(1))))
tasks-shell-word = $(if $(tasks-is-quoted),$(1),$(if $(findstring $$,$(1)),$(tasks-double-quote),$(tasks-quote)))
tasks-is-quoted = $(and $(filter '% "%,$(firstword $(1))),$(filter %' %",$(lastword $(1))))
tasks-double-quote = "$(subst ",\",$(subst \,\\,$(1)))"
tasks-quote = '$(subst ','\'',$(1))'
# `call` keeps a space after its commas.
tasks-trim = $(if $(findstring <$(tasks-space),<$(1)),$(strip $(1)),$(1))

tasks-here := $(call tasks-quote,$(CURDIR))/
tasks-python = $(call tasks-locate,$(TASKS_PYTHON),$(firstword $(TASKS_PYTHON)))
tasks-locate = $(if $(filter '% "% ~%,$(2)),$(1),$(if $(filter /%,$(2)),$(subst \
  $(CURDIR)/,$(tasks-here),$(1)),$(if $(findstring /,$(2)),$(tasks-here))$(1)))

# --- the metadata, which `call` has split at its commas ---

# tasks-pieces is "$(3),$(4),…,$(64)"; what follows should be empty.
tasks-numbers := 4 5 6 7 8 9 $(foreach ten,1 2 3 4 5 6,$(foreach one,0 1 2 3 4 5 6 7 8 9,$(ten)$(one)))
$(eval tasks-pieces = $$(3)$(subst $(tasks-space),,$(foreach number,$(wordlist 1,61,$(tasks-numbers)),,$$($(number)))))
$(eval tasks-excess = $(foreach number,$(wordlist 62,66,$(tasks-numbers)),$$($(number))))
tasks-metadata = $(if $(strip $(tasks-excess)),$(warning tasks.mk: $(1) $(2): metadata left out: it has more than 61 commas),$(call \
  tasks-join,$(subst $(tasks-newline), ,$(tasks-pieces))))

# Pieces that were not given leave commas at the end, 61 at most: take off 32 if they are there, then 16, 8, 4, 2 and 1. A newline marks the end.
tasks-join = $(subst $(tasks-newline),,$(call tasks-cut,1,$(call tasks-cut,2,$(call tasks-cut,4,$(call tasks-cut,8,$(call tasks-cut,16,$(call \
  tasks-cut,32,$(1)$(tasks-newline))))))))
tasks-cut = $(subst $(tasks-commas-$(1))$(tasks-newline),$(tasks-newline),$(2))
tasks-commas-1 := $(tasks-comma)
tasks-commas-2 := $(tasks-commas-1)$(tasks-commas-1)
tasks-commas-4 := $(tasks-commas-2)$(tasks-commas-2)
tasks-commas-8 := $(tasks-commas-4)$(tasks-commas-4)
tasks-commas-16 := $(tasks-commas-8)$(tasks-commas-8)
tasks-commas-32 := $(tasks-commas-16)$(tasks-commas-16)
