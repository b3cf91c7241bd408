"""What a dongle on USB can do wrong, on a real kernel: each is a word in the list, and is got over."""
from guest import PROGRAMS, USBIP_MODULES, Guest, attach_program
from harness import check_contains, main, test

SERIAL = "B5A/V1PUTh+uOWIQ"


@test("USB faults: a STALL, a short read, broken frames, no answer, unplugged in mid-frame: named in the list, and got over")
def faults(run):
    output = Guest(run, modules=USBIP_MODULES, programs=PROGRAMS, files=attach_program()).run(""". /test/functions.sh
mkfifo /tmp/commands
: >/tmp/keyring
start softkey softkey --usbip 127.0.0.1:3240 --serial SERIAL --keyring /tmp/keyring --rate 100 --commands /tmp/commands
wait_for 'softkey is ready' 60 logged softkey '^ready '
attach 0 1
obeyed() {
    grep -c "done: " /tmp/softkey.log || true
}
tell() { # tell COMMAND...: waits until softkey has done it
    before=$(obeyed)
    echo "$*" >/tmp/commands
    wait_for "softkey obeys: $*" 60 is_more_than $before obeyed
    ! logged softkey 'not done' || failed "$*"
}
is_more_than() { # is_more_than NUMBER COMMAND
    [ "$($2)" -gt "$1" ]
}
figure() { # figure NAME
    ekeydctl --socket /tmp/control.sock stats SERIAL | sed -n "s/^$1=//p"
}
frames() {
    figure FramesOk
}
runs() {
    wait_for 'it runs' 120 lists 'YES,Running OK,entropykey:usb:SERIAL,SERIAL'
}
frames_go_on() {
    wait_for 'frames go on' 60 is_more_than $(($(frames) + 50)) frames
}
is_called() { # is_called WORD
    wait_for "it is called $1" 60 lists "NO,$1,entropykey:usb:SERIAL"
    list
}
daemon entropykey:usb
runs
descriptors=$(ls /proc/$ekeyd_pid/fd | wc -l)
resets=$(figure ConnectionResets)

echo '--- one STALL'
tell fault 1 stall=1
frames_go_on
check 'the session is the same' [ "$(figure Sessions):$(figure ConnectionResets)" = "1:$resets" ]

echo '--- short reads: a frame comes in four transfers'
tell fault 1 short-read=20
frames_go_on
check 'no frame is broken' [ "$(figure FramingErrors)" = 0 ]
lists 'YES,Running OK' || failed 'short reads disturb it'
check 'the session is the same' [ "$(figure Sessions):$(figure ConnectionResets)" = "1:$resets" ]
tell mend 1

echo '--- frames whose end is missing'
tell fault 1 short=40
is_called 'Framing errors'
tell mend 1
runs
frames_go_on

echo '--- STALL without end'
tell fault 1 stall
is_called Stalled
wait_for 'it is given up' 60 logged ekeyd 'it stalls every transfer'
is_called Stalled
tell mend 1
runs
check 'it was opened anew' [ "$(figure Sessions)" -gt 1 ]

echo '--- no answer'
tell fault 1 mute
is_called 'No answer'
tell mend 1
runs

echo '--- unplugged in the middle of a frame'
tell fault 1 unplugged=20
is_called 'Key closed. (Vanished?)'
tell plug 1
attach 1 1
runs

check 'bytes are served' take 64 /tmp/bytes
check 'no descriptor is left open' [ "$(ls /proc/$ekeyd_pid/fd | wc -l)" -le "$descriptors" ]
check 'no key was sent SET_CONTROL_LINE_STATE' sh -c '! grep CRASH /tmp/softkey.log'
end_daemon
""".replace("SERIAL", SERIAL), seconds=280)
    check_contains(output, r"NO,Stalled,", "the list")


@test("OneRNG and TrueRNG on USB and at their ttys: enumerated, taken over, started, served, given back")
def stream_dongles(run):
    output = Guest(run, modules=USBIP_MODULES, programs=PROGRAMS, files=attach_program()).run(r""". /test/functions.sh
: >/tmp/keyring
start onerng softkey --usbip 127.0.0.1:3240 --device onerng
start truerng softkey --usbip 127.0.0.1:3241 --device truerng
wait_for 'the OneRNG is ready' 60 logged onerng '^ready 127.0.0.1:3240/1-1 00'
wait_for 'the TrueRNG is ready' 60 logged truerng '^ready 127.0.0.1:3241/1-1 -'
attach 0 1 3240
wait_for 'the kernel makes a tty of the OneRNG' 60 [ -e /dev/ttyACM0 ]
attach 1 1 3241
wait_for 'and of the TrueRNG' 60 [ -e /dev/ttyACM1 ]
place_of() { # place_of ID
    for device in /sys/bus/usb/devices/*; do
        [ "$(cat $device/idVendor 2>/dev/null):$(cat $device/idProduct 2>/dev/null)" != "$1" ] || basename $device
    done
}
driver() { # driver PLACE NAME
    [ "$(basename "$(readlink -f /sys/bus/usb/devices/$1:1.1/driver)")" = "$2" ]
}
serves() { # serves ADDRESS PLACE
    daemon $1
    wait_for "$1 runs" 120 lists "^1,YES,Running OK,"
    list
    driver $2 $3 || failed "$2 is not driven by $3"
    check "$1 serves" take 64 /tmp/bytes
    check 'all of it' [ "$(wc -c </tmp/bytes)" = 64 ]
    end_daemon
    wait_for "cdc_acm has $2" 60 driver $2 cdc_acm
    rm /tmp/bytes
}
one=$(place_of 1d50:6086) true=$(place_of 04d8:f5fe)
check 'serial number' [ "$(cat /sys/bus/usb/devices/$one/serial)" = 00 ]
check 'no serial number' [ ! -e /sys/bus/usb/devices/$true/serial ]
serves onerng:usb $one usbfs
serves truerng:usb $true usbfs
serves onerng:/dev/ttyACM0 $one cdc_acm
serves truerng:/dev/ttyACM1 $true cdc_acm
""", seconds=280)
    check_contains(output, r"(?m)^1,YES,Running OK,onerng:usb:\d+-\d+,?$", "the list")
    check_contains(output, r"(?m)^1,YES,Running OK,truerng:usb:\d+-\d+,?$", "the list")


if __name__ == "__main__":
    main()
