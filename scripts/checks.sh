# Functions and variables of .ci/run and `make check-all`. Bash sources this file in the root of the repository.

set -euo pipefail
exec </dev/null

# Variables that the machine sets for other work must not change the checks.
for name in $(compgen -e); do
    case $name in
        AUTOMATION_* | COVERAGE_* | MAKEFLAGS | MAKELEVEL | MFLAGS | PYTEST_* | PYTHON* | SWARMTASK_* | TASK* | TRACE* | VIRTUAL_ENV | \
            WORKFLOW_ENVIRONMENT) unset "$name" ;;
    esac
done
export CI=true SWARMTASK_BROWSER=required PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# step COMMAND…: run the command, and print how long it took.
step() {
    local began=$SECONDS
    printf '\n=== %s\n' "$*"
    "$@"
    printf '=== done in %d s: %s\n' $((SECONDS - began)) "$*"
}

# The tests use real shells, a real make, a real browser, and npm for tools that are npm packages.
install_missing_commands() {
    local missing=() command
    for command in make git dash openssl npm chromium; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

# The oldest version of PostgreSQL that the history runs on. The newest one comes with the test requirements.
install_postgresql() {
    [[ -x /usr/lib/postgresql/15/bin/initdb ]] || install_packages postgresql-15
}

install_packages() {
    echo "installing $*"
    local as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq "$@"
}
