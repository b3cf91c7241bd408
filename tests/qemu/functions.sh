# shellcheck shell=dash
# Shell functions for what runs in the guest. A script begins with: . /test/functions.sh
set -eu

failed() {
    echo "FAILED: $*"
    for log in /tmp/*.log; do
        [ ! -e "$log" ] || { echo "--- $log"; tail -n 60 "$log"; }
    done
    echo "FAILED: $*" # again, because who shows the output may cut it to its end
    exit 1
}

# check WHAT COMMAND...: the command must succeed.
check() {
    what=$1
    shift
    "$@" || failed "$what ($*)"
    echo "ok: $what"
}

# wait_for WHAT SECONDS COMMAND...: asks ten times a second, until the command succeeds.
wait_for() {
    what=$1 tries=$(($2 * 10))
    shift 2
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || failed "waited in vain: $what ($*)"
        usleep 100000
    done
    echo "ok: $what"
}

# start NAME COMMAND...: in the background, output to /tmp/NAME.log, its process in $NAME_pid.
start() {
    name=$1
    shift
    : >"/tmp/$name.log" # now, not when the child gets its turn: the log of one before would be read for its own
    "$@" >"/tmp/$name.log" 2>&1 &
    eval "${name}_pid=$!"
}

logged() { # logged NAME PATTERN
    grep -q "$2" "/tmp/$1.log"
}

is_at_least() { # is_at_least NUMBER THAN
    [ "$1" -ge "$2" ]
}

# ---- ekeyd

daemon() { # daemon SOURCE [OPTION...]
    {
        printf '%s\n' 'listen = unix:/tmp/egd.sock' 'control = unix:/tmp/control.sock' 'pidfile = /tmp/ekeyd.pid' \
            'keyring = /tmp/keyring'
        echo "source = $1"
    } >/tmp/ekeyd.conf
    shift
    start ekeyd ekeyd --config /tmp/ekeyd.conf --foreground "$@"
    wait_for 'ekeyd is ready' 20 logged ekeyd ' ready'
    check 'it is in its sandbox' logged ekeyd 'sandbox' # the line tells of what
    grep sandbox /tmp/ekeyd.log
}
list() {
    ekeydctl --socket /tmp/control.sock list
}
lists() { # lists PATTERN
    list | grep -q "$1"
}
end_daemon() {
    kill "$ekeyd_pid"
    wait_for 'ekeyd ends' 20 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
}
take() { # take BYTES FILE
    egd-push --from unix:/tmp/egd.sock --to file:$2 --bytes "$1" --once --timeout 60
}
