"""A real kernel's USB: the key enumerated, taken over through libusb, and given back."""
import os

from guest import FOLDER, PROGRAMS, Guest
from harness import check_contains, main, test

with open(os.path.join(FOLDER, "gadget.sh"), encoding="utf-8") as text:
    GADGET = ". /test/functions.sh\n" + text.read()

GADGET_MODULES = ["dummy_hcd num=3", "libcomposite", "usb_f_acm", "cdc-acm"]


def gadget_guest(run):
    return Guest(run, modules=GADGET_MODULES, programs=PROGRAMS)


KEYS = ["NwBvBlg3OTBJORFD", "pJsZEbdNbsHlxlNl", "B5A/V1PUTh+uOWIQ"]


def start_keys(count):
    """Shell: makes gadgets and plugs them in, with a softkey behind each."""
    lines = ["serials='" + " ".join(KEYS[:count]) + "'", "n=0", "for serial in $serials; do", "    make_gadget $n $serial",
             "    plug $n", "    start softkey$n softkey --tty /dev/ttyGS$n --serial $serial --keyring /tmp/keyring "
             "--rate 200", "    wait_for \"softkey $n is ready\" 20 logged softkey$n '^ready '", "    n=$((n + 1))", "done"]
    return "\n".join(lines) + "\n"


STOP = """
kill $ekeyd_pid
wait_for 'ekeyd ends' 20 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
"""


@test("USB: a key is found and taken over from cdc_acm, serves entropy, and is given back when ekeyd ends")
def one_key(run):
    output = gadget_guest(run).run(GADGET + start_keys(1) + """
wait_for 'the kernel makes a tty of the key' 10 [ -e /dev/ttyACM0 ]
check 'cdc_acm drives it' is_driven_by cdc_acm
daemon entropykey:usb
wait_for 'the key runs' 30 lists "Running OK.*entropykey:usb:$serial"
check 'libusb has it' is_driven_by usbfs
check 'bytes are served' take 256 /tmp/bytes
check 'all of them' [ "$(wc -c </tmp/bytes)" = 256 ]
list
ekeydctl --socket /tmp/control.sock stats 1
ls -l /proc/$ekeyd_pid/task | wc -l
""" + STOP + """
wait_for 'cdc_acm has it again' 5 is_driven_by cdc_acm
check 'and its tty' [ -e /dev/ttyACM0 ]
""")
    check_contains(output, rf"(?m)^1,YES,Running OK,entropykey:usb:{KEYS[0]},{KEYS[0]}$", "the list")


@test("USB: the same key by its tty, with cdc_acm in place, feeds the kernel's pool by egd-push")
def by_tty(run):
    gadget_guest(run).run(GADGET + start_keys(1) + """
wait_for 'the kernel makes a tty of the key' 10 [ -e /dev/ttyACM0 ]
daemon entropykey:/dev/ttyACM0
wait_for 'the key runs' 30 lists "Running OK,/dev/ttyACM0,$serial"
check 'cdc_acm drives it still' is_driven_by cdc_acm
check 'a push' egd-push --from unix:/tmp/egd.sock --to kernel --bytes 64 --once --timeout 60
""" + STOP)


@test("USB: three keys, one unplugged and plugged in again ten times: clients go on, nothing grows, the serial's totals stay")
def plug_cycles(run):
    output = gadget_guest(run).run(GADGET + start_keys(3) + """
figure() { # figure SOURCE NAME
    ekeydctl --socket /tmp/control.sock stats "$1" | sed -n "s/^$2=//p"
}
descriptors() {
    ls /proc/$ekeyd_pid/fd | wc -l
}
resident() {
    awk '/^VmRSS/ { print $2 }' /proc/$ekeyd_pid/status
}
running() { # running COUNT
    [ "$(list | grep -c 'YES,Running OK')" = "$1" ]
}
cycle() {
    unplug 1
    wait_for 'the key is missed' 10 lists "NO,Key closed. (Vanished?),entropykey:usb:$victim"
    before=$(figure $victim AllSessionsBytesRead)
    plug 1
    wait_for 'the key runs again' 30 lists "YES,Running OK,entropykey:usb:$victim"
    check 'its totals go on' [ "$(figure $victim AllSessionsBytesRead)" -gt "$before" ]
    check 'its connection begins anew' [ "$(figure $victim BytesRead)" -lt "$(figure $victim AllSessionsBytesRead)" ]
}
victim=$(echo $serials | cut -d' ' -f2)
daemon entropykey:usb
wait_for 'three keys run' 30 running 3
# A client that reads without end; it is given what the other keys send meanwhile.
start reader sh -c 'while egd-push --from unix:/tmp/egd.sock --to file:/tmp/read --bytes 64 --once --timeout 60; do wc -c </tmp/read; done'
cycle
wait_for 'three keys run' 30 running 3
descriptors_before=$(descriptors) resident_before=$(resident)
for i in 2 3 4 5 6 7 8 9 10; do
    cycle
done
wait_for 'three keys run' 30 running 3
no_more_descriptors() { # the reader comes and goes
    [ "$(descriptors)" -le "$descriptors_before" ]
}
wait_for 'no descriptor is left open' 10 no_more_descriptors
echo "resident: $resident_before kB after one cycle, $(resident) kB after ten"
check 'memory does not grow' [ $(($(resident) - resident_before)) -lt 200 ]
check 'the reader goes on' kill -0 $reader_pid
check 'sessions are counted' [ "$(figure $victim Sessions)" = 11 ]
check 'a source for each key' [ "$(list | grep -c entropykey:usb:)" = 3 ]
list
kill $reader_pid
""" + STOP, seconds=240)
    check_contains(output, "resident: ", "the figures")


if __name__ == "__main__":
    main()
