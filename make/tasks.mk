# Records the commands of a Makefile as events of pytest-swarmtask. Include this file; `make tasks-help` prints this text.
#
# $(call task-run,ID,COMMAND)    run a command; record TASK_STARTED, then TASK_COMPLETED or TASK_FAILED
# $(call build-run,ID,COMMAND)   the same with BUILD_STARTED, BUILD_COMPLETED, BUILD_FAILED
# $(call deploy-run,ID,COMMAND)  the same with DEPLOYMENT_...
# $(call test-run,ID,COMMAND)    the same with TEST_STARTED, TEST_PASSED, TEST_FAILED
#
#     @$(call build-run,wheel,python -m build)
#
#   The end event has duration, exit code, signal and the last lines of the error output. The command keeps its exit code, output, input and
#   Ctrl-C. A further $(SHELL) runs it as it would run a recipe line: $$name is a shell variable, also one that the recipe has set before; functions
#   and arrays do not reach it. Parentheses must balance. The command may contain up to 61 commas; a variable may contain any number of commas. A
#   variable of several lines is one script, which stops at the first line that fails.
#
# $(call task-event,TYPE,ID,METADATA)  record one event, with metadata as JSON; ID and METADATA may be left out
#
#     @$(call task-event,TASK_STARTED,make_test,'{"action":"test","type":"all"}')
#
# You can use each of them at the start of a recipe line or in the middle of it. If ID or METADATA is already quoted for the shell, it is used as
# it is. If it contains $$name, it is put into double quotes, otherwise into single quotes. Recording never makes a recipe fail, never reads its
# standard input, and never waits for the network. With -n, -t and -q no event is recorded, except while make remakes an included
# makefile: it really runs that recipe.
#
#   TASKS_PYTHON  words for the shell: the Python that has pytest-swarmtask (default: the Python of the make above, else python3). If the first
#                 word is a relative path, also a quoted one, it counts from the folder where make runs, also after a cd.
#   TASKS_QUIET   1: print no notice on standard error when events cannot be recorded
#   TASKS_STANDARD_TARGETS   1, set before the include: defines the targets setup, test, test-verbose, test-coverage, test-single, build and
#                 deploy. They run these commands, which a project can set:
#   TASKS_INSTALL            setup: installs what the project needs, as a build
#   TASKS_DATABASE           setup: prepares the database, as a deployment (default: none)
#   TASKS_TEST               test, test-verbose, test-single TEST=...: runs the tests; takes --verbose, or files and tests
#   TASKS_TEST_COVERAGE      test-coverage: runs the tests under coverage
#   TASKS_BUILD              build
#   TASKS_DEPLOY_<name>      deploy if WORKFLOW_ENVIRONMENT is <name>
#   TASKS_DEPLOY             deploy to any other environment
#
# Works with GNU make 3.81 and later, in dash and bash. Names that start with "tasks-" are internal.

tasks-default-goal := $(.DEFAULT_GOAL)

# A fragment that is included elsewhere may include this file, too. The second time nothing is defined again.
ifndef tasks-file
tasks-file := $(lastword $(MAKEFILE_LIST))

tasks-default-python := $(if $(value TASKS_PYTHON_ABOVE),$(value TASKS_PYTHON_ABOVE),python3)
# A bare `export` of the make above passes its TASKS_PYTHON on, whose relative path is one of another folder.
ifneq ($(if $(value TASKS_PYTHON_ABOVE),$(filter environment,$(origin TASKS_PYTHON))),)
TASKS_PYTHON := $(tasks-default-python)
endif
TASKS_PYTHON ?= $(tasks-default-python)
# One call of a shell is enough. Else make would call it for each use, and make 4.4 for each $(shell) of the project, too.
ifneq ($(findstring shell ,$(value TASKS_PYTHON)),)
TASKS_PYTHON := $(TASKS_PYTHON)
endif
TASKS_QUIET ?=

# All events below one make belong to one run. TRACEPARENT (W3C Trace Context) passes the run on. If it is not set, this make starts the run. A
# parent id that begins with zeros is not a real span: it only distinguishes this make from others. Where /proc tells, the ids follow from the
# process: its number, start and namespace, and the start of the machine. So they stay when make starts itself anew, having remade a makefile.
ifndef TRACEPARENT
export TRACEPARENT := $(shell { set -f; set -- $$PPID $$(readlink /proc/$$PPID/ns/pid && sed 's/^.*(.*) //' /proc/sys/kernel/random/boot_id \
  /proc/$$PPID/stat); [ "$${23}" ] && echo "$$1 $$2 $$3 $${23}" | sha1sum || od -An -v -N20 -tx1 /dev/urandom | tr -d ' \n'; } 2>/dev/null | \
  sed 's/^\(.\{32\}\)\(.\{8\}\).*/00-\1-00000000\2-01/')
endif

task-event = $(if $(tasks-idle),:,$(call tasks-emit,$(call tasks-arguments,$(1),$(value 2),$(tasks-metadata))))
task-run = $(call tasks-run,task,$(1),$(tasks-command),)
build-run = $(call tasks-run,build,$(1),$(tasks-command),)
deploy-run = $(call tasks-run,deployment,$(1),$(tasks-command),)
test-run = $(call tasks-run,test,$(1),$(tasks-command),)

tasks-idle = $(call tasks-runs-nothing,$(firstword -$(MAKEFLAGS)))
# The first word of MAKEFLAGS, here with a hyphen before it, contains the one-letter options. In make 3.81 it may also be "NAME=value".
tasks-runs-nothing = $(if $(findstring =,$(1))$(filter --%,$(1)),,$(findstring n,$(1))$(findstring t,$(1))$(findstring q,$(1)))

# The program that recipes start. Python starts it fastest by its path. The path is searched for when it is first needed. If the search fails, the
# next call searches again, since a recipe may have installed the package.
tasks-program-file :=
tasks-program = $(if $(tasks-program-file),,$(eval tasks-program-file := $$(shell $$(tasks-python) -c \
  'from pytest_swarmtask import recipe; print(recipe.__file__)' 2>/dev/null </dev/null)))$(if $(tasks-program-file),-S $(call \
  tasks-quote,$(tasks-program-file)))

# --- one event ---

# Exit status 2 means that the call is wrong. Any other status except 0 means that there is no emitter, which gets one notice in each run of make.
# make expands a whole recipe before it runs the first line. That line may install the emitter, so the emitter is started even if it was not found.
tasks-emitter = $(tasks-python) $(if $(tasks-program),$(tasks-program) emit,-m pytest_swarmtask.emit) $(1) </dev/null
tasks-emit = $(if $(tasks-is-quiet),{ $(tasks-emitter) >/dev/null 2>&1 || :; },{ \
  tasks_said=$$($(tasks-emitter) 2>&1 >/dev/null) || [ $$? = 2 ] || tasks_said=$(tasks-notice); \
  [ -z "$$tasks_said" ] || printf 'tasks.mk: %s\n' "$$tasks_said" >&2 || :; })
tasks-notice = $(if $(TASKS_NOTICED),,$(eval export TASKS_NOTICED := 1)"no events: $$tasks_said (TASKS_QUIET=1 hides this)")
tasks-is-quiet = $(filter-out 0,$(TASKS_QUIET))
TASKS_NOTICED ?=

# --- a command between two events ---

# $(1) kind, $(2) id, $(3) command, $(4) metadata as a word for the shell, or nothing. The result is a simple command. Unless TASKS_PYTHON, the id or
# variables of the recipe need a shell, make starts it without one, so it gets the signals that make sends.
tasks-run = $(if $(strip $(3)),$(if $(tasks-idle),$(tasks-unwatched),$(if $(tasks-program),$(tasks-reported),$(tasks-unreported))),$(error \
  tasks.mk: $(1) $(2): found no command, expected one after the id))
tasks-reported = $(call tasks-pass,$(call tasks-variables,$(3)))$(tasks-python) $(tasks-program) run --kind=$(1) $(if $(strip $(2)),--id=$(call tasks-word,$(2)) )$(if \
  $(4),--metadata=$(4) )-- $(tasks-in-shell)
tasks-unreported = $(if $(tasks-is-quiet)$(TASKS_NOTICED),$(tasks-unwatched),$(eval export TASKS_NOTICED := 1){ printf '%s\n' $(call \
  tasks-quote,tasks.mk: no events: $(tasks-not-installed) (TASKS_QUIET=1 hides this)) >&2 || :; $(tasks-unwatched); })
tasks-not-installed = $(TASKS_PYTHON) has no pytest-swarmtask
tasks-unwatched = $(call tasks-pass,$(call tasks-variables,$(3)))$(call tasks-shell,$(3),$(call tasks-take,$(call tasks-variables,$(3))))
tasks-in-shell = $(call tasks-shell,$(3))
tasks-shell = $(SHELL) $(if $(call tasks-is-script,$(1)),-e )$(tasks-shell-flags) $(call tasks-text,$(2)$(if $(call \
  tasks-is-plain,$(1)),exec )$(1))
tasks-shell-flags = $(if $(filter undefined,$(origin .SHELLFLAGS)),-c,$(.SHELLFLAGS))
tasks-is-script = $(findstring $(tasks-newline),$(subst \$(tasks-newline),,$(1)))

# make starts a plain command without a shell, so its signals reach the command. A wrapped plain command replaces its shell for the same reason: dash
# would stay and get the signals in its place. bash replaces itself, and its `exec` would change the $0 of a script. A command is plain under the
# conditions of make (construct_command_argv_internal in its job.c), unless it begins with a builtin or keyword of these shells.
tasks-shell-that-stays := $(filter dash ash busybox,$(notdir $(realpath /bin/sh)))
tasks-is-plain = $(and $(tasks-shell-that-stays),$(filter </bin/sh>,<$(strip $(SHELL))>),$(filter <-c> <-ec>,<$(strip $(tasks-shell-flags))>),$(call \
  tasks-is-program,$(subst ',,$(subst \,,$(firstword $(1))))),$(if $(call tasks-has-special,$(1)),,plain))
tasks-is-program = $(if $(findstring =,$(1)),,$(filter-out -% $(tasks-builtins),$(1)))
tasks-has-special = $(findstring $(tasks-newline),$(1))$(strip $(foreach tasks-sign,$(tasks-special),$(findstring $(tasks-sign),$(1))))
tasks-special := ! " $$ & ( ) * ; < > ? [ ] ^ ` { | } ~ \#
tasks-builtins := . : alias bg break case cd chdir command continue do done echo elif else esac eval exec exit export false fc fg fi for function \
  getopts hash help history if in jobs kill let local printf pwd read readonly return set shift source test then times trap true type ulimit \
  umask unalias unset until wait while

# A command runs in a shell of its own, so the variables of the recipe's shell that it uses are passed on, if they are set, under names with
# TASKS_SHELL_ before them. The shell of the command (or for it recipe.py) takes those that are not in the environment: in
# `NAME=x $(call task-run,...)` the x goes first.
tasks-pass = $(if $(1),env $(foreach tasks-name,$(1),$${$(tasks-name)+"TASKS_SHELL_$(tasks-name)=$$$(tasks-name)"} ))
tasks-take = $(foreach tasks-name,$(1),case $${TASKS_SHELL_$(tasks-name)+x} in (x) : "$${$(tasks-name)=$$TASKS_SHELL_$(tasks-name)}"; esac;)
# The names after a $ in the text of a command, without positional parameters such as $1.
tasks-variables = $(sort $(filter-out 0% 1% 2% 3% 4% 5% 6% 7% 8% 9% _,$(patsubst $$%,%,$(filter $$%,$(call tasks-split,$(subst $$, $$,$(subst \
  $${,$$,$(subst $(tasks-newline), ,$(1)))),$(tasks-signs))))))
tasks-split = $(if $(2),$(call tasks-split,$(subst $(firstword $(2)), ,$(1)),$(wordlist 2,99,$(2))),$(1))
tasks-signs := ! " % & ' ( ) * + , - . / : ; < = > ? @ [ \ ] ^ ` { | } ~ \#

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
# make ends a recipe line at a newline, also within quotes, so newlines are passed as \n through printf.
tasks-text = $(if $(findstring $(tasks-newline),$(1)),"$$(printf %b $(call tasks-quote,$(subst $(tasks-newline),\n,$(subst \,\\,$(1)))))",$(tasks-quote))
# `call` keeps the space after a comma, so it is removed here.
tasks-trim = $(if $(findstring <$(tasks-space),<$(1)),$(strip $(1)),$(1))

tasks-here := $(call tasks-quote,$(CURDIR))/
tasks-python = $(call tasks-locate,$(TASKS_PYTHON),$(call tasks-first-word,$(TASKS_PYTHON)))
tasks-locate = $(if $(filter /%,$(2)),$(subst $(CURDIR)/,$(tasks-here),$(1)),$(if $(call tasks-is-relative,$(2)),$(tasks-here))$(1))
tasks-is-relative = $(if $(filter ~%,$(1))$(filter /% $$% `%,$(subst ',,$(subst ",,$(1)))),,$(findstring /,$(1)))
# The first word as the shell splits words, still with its quotes, and with <space> for each space: the words up to the one that closes the quotes.
# Before quotes are counted, the two ways to write a single quote within single quotes are removed.
tasks-first-word = $(call tasks-close,$(subst '"'"',,$(subst '\'',,$(subst \$(tasks-space),<space>,$(1)))))
tasks-close = $(if $(and $(call tasks-is-open,$(firstword $(1))),$(word 2,$(1))),$(call tasks-close,$(firstword $(1))<space>$(wordlist \
  2,999,$(1))),$(firstword $(1)))
tasks-is-open = $(filter %1 %3 %5 %7 %9,$(words $(filter ',$(subst ', ' ,$(1)))) $(words $(filter ",$(subst ", " ,$(1)))))
# Below what it needs, and below the $(shell) above: make 4.4 expands what is exported for each $(shell).
export TASKS_PYTHON_ABOVE = $(tasks-python)

# --- join the pieces that `call` has split at commas ---

# Each piece is put between marks, so joining the pieces keeps their spaces. Arguments that were not given are empty pieces at the end. There are
# at most 62 of them: remove 32 if there are so many, then 16, 8, 4, 2 and 1.
tasks-numbers := 2 3 4 5 6 7 8 9 $(foreach ten,1 2 3 4 5 6,$(foreach one,0 1 2 3 4 5 6 7 8 9,$(ten)$(one)))
tasks-from-2 := $(wordlist 1,62,$(tasks-numbers))
tasks-from-3 := $(wordlist 2,63,$(tasks-numbers))
tasks-piece = <piece>$(value $(tasks-number))<end>
tasks-metadata = $(if $(call tasks-is-more,$(value 65)$(value 66)$(value 67)),$(warning tasks.mk: $(1) $(2): metadata left out: it has more than 61 \
  commas),$(call tasks-join,$(subst $(tasks-newline), ,$(foreach tasks-number,$(tasks-from-3),$(tasks-piece)))))
tasks-command = $(if $(call tasks-is-more,$(value 64)$(value 65)$(value 66)),$(error tasks.mk: $(1): the command has more than 61 commas: put it \
  into a variable),$(call tasks-join,$(foreach tasks-number,$(tasks-from-2),$(tasks-piece))))
tasks-is-more = $(strip $(1))
tasks-join = $(subst <first><piece>,,<first>$(subst <end><last>,,$(subst <end> <piece>,$(tasks-comma),$(call tasks-cut,1,$(call tasks-cut,2,$(call \
  tasks-cut,4,$(call tasks-cut,8,$(call tasks-cut,16,$(call tasks-cut,32,$(1)<last>)))))))))
tasks-cut = $(subst $(tasks-empty-$(1))<last>,<last>,$(2))
tasks-empty-1 := $(tasks-space)<piece><end>
tasks-empty-2 := $(tasks-empty-1)$(tasks-empty-1)
tasks-empty-4 := $(tasks-empty-2)$(tasks-empty-2)
tasks-empty-8 := $(tasks-empty-4)$(tasks-empty-4)
tasks-empty-16 := $(tasks-empty-8)$(tasks-empty-8)
tasks-empty-32 := $(tasks-empty-16)$(tasks-empty-16)

# --- targets ---

# Recipes are on the same line as their targets, because a project may have changed the recipe prefix from a tab.
.PHONY: tasks-help
tasks-help: ; @sed '/^$$/q;s/^# \{0,1\}//' $(call tasks-quote,$(tasks-file)) && printf '%s\n' $(call tasks-quote,$(if \
  $(tasks-program),Events are reported by $(tasks-program-file).,No events: $(tasks-not-installed).))

endif # of the definitions

# The switch is the project's own: a bare `export` of the make above would pass it on to a make whose targets are its own.
tasks-has-switch = $(filter file override command,$(firstword $(origin TASKS_STANDARD_TARGETS)))
ifndef tasks-tests
ifeq ($(if $(tasks-has-switch),$(value TASKS_STANDARD_TARGETS)),1)

TASKS_INSTALL ?= $(tasks-python) -m pip install $(if $(wildcard requirements.txt),-r requirements.txt,--editable .)
TASKS_DATABASE ?=
TASKS_TEST ?= $(tasks-python) -m pytest
TASKS_TEST_COVERAGE ?= $(tasks-python) -m coverage run -m pytest && $(tasks-python) -m coverage report
TASKS_BUILD ?= $(tasks-python) -m build
TASKS_DEPLOY ?=
export WORKFLOW_ENVIRONMENT

.PHONY: setup test test-verbose test-coverage test-single build deploy

setup: ; @$(call tasks-run,task,dev_setup,$(tasks-setup),$(call tasks-about,setup))

tasks-setup = $(call tasks-run,build,install_dependencies,$(TASKS_INSTALL),$(call tasks-about,installing_dependencies))$(if $(strip \
  $(TASKS_DATABASE)), && $(call tasks-run,deployment,setup_database,$(TASKS_DATABASE),$(call tasks-about,database_setup)))
tasks-about = '{"workflow":"development_environment_setup","action":"$(1)"}'

test: ; @$(call tasks-run,task,make_test,$(TASKS_TEST),$(call tasks-tests,all))

test-verbose: ; @$(call tasks-run,task,make_test_verbose,$(TASKS_TEST) --verbose,$(call tasks-tests,verbose))

test-coverage: ; @$(call tasks-run,task,make_test_coverage,$(TASKS_TEST_COVERAGE),$(call tasks-tests,coverage))

test-single: ; @$(call tasks-run,task,make_test_single,$(TASKS_TEST) $(call tasks-quote,$(if $(value TEST),$(TEST),$(error \
  which test? Say for example: make test-single TEST=tests/test_api.py, or TEST=FILE::NAME))),$(call tasks-tests,single))

tasks-tests = '{"action":"test","type":"$(1)"}'

build: ; @$(call tasks-run,build,make_build,$(TASKS_BUILD),'{"action":"build"}')

deploy: ; @$(call tasks-run,deployment,make_deploy,$(tasks-deploy),$(tasks-where))

tasks-where = '{"action":"deploy","environment":"$(WORKFLOW_ENVIRONMENT)"}'

tasks-deploy = $(if $(value WORKFLOW_ENVIRONMENT),$(or $($(if $(value TASKS_DEPLOY_$(WORKFLOW_ENVIRONMENT)),TASKS_DEPLOY_$(WORKFLOW_ENVIRONMENT),$(strip \
  TASKS_DEPLOY))),$(error how to deploy to $(WORKFLOW_ENVIRONMENT)? Set TASKS_DEPLOY_$(WORKFLOW_ENVIRONMENT) or TASKS_DEPLOY to a \
  command)),$(error which environment? Say for example: make deploy WORKFLOW_ENVIRONMENT=staging))

endif
endif

# Restore the default goal, so a bare `make` makes none of these targets.
.DEFAULT_GOAL := $(tasks-default-goal)
