"""A real kernel's USB over USB/IP: vhci-hcd attaches software keys, and udev's rules are tried on them."""
import os

from guest import PROGRAMS, USBIP_MODULES, Guest, attach_program, shared_libraries
from harness import check_contains, main, need, source_folder, test

BEGIN = """. /test/functions.sh
start softkey softkey --usbip 127.0.0.1:3240 --devices 2 --serial B5A/V1PUTh+uOWIQ --keyring /tmp/keyring --rate 200 FAULTS
wait_for 'softkey is ready' 20 logged softkey '^ready 127.0.0.1:3240/1-2 B5A/V1PUTh+uOWIR'
check 'the first is attached' attach 0 1
check 'the second is attached' attach 1 2
driver() { # driver NAME
    [ "$(basename "$(readlink -f /sys/bus/usb/devices/*-$1:1.1/driver)")" = "$2" ]
}
running() { # running COUNT
    [ "$(list | grep -c 'YES,Running OK')" = "$1" ]
}
"""


@test("USB/IP: the kernel enumerates two software keys and binds cdc_acm; ekeyd drives them, both are unplugged and come back, none crashes")
def keys(run):
    output = Guest(run, modules=USBIP_MODULES, programs=PROGRAMS, files=attach_program()).run(
        BEGIN.replace("FAULTS", "--fault unplugged@300,1") + """
wait_for 'the kernel makes a tty of each' 20 [ -e /dev/ttyACM1 ]
check 'ids' [ "$(cat /sys/bus/usb/devices/*-1/idVendor):$(cat /sys/bus/usb/devices/*-1/idProduct)" = 20df:0001 ]
check 'serial number' [ "$(cat /sys/bus/usb/devices/*-1/serial)" = B5A/V1PUTh+uOWIQ ]
check 'cdc_acm drives them' driver 1 cdc_acm
daemon entropykey:usb
wait_for 'both run' 30 running 2
check 'libusb has them' driver 1 usbfs
check 'bytes are served' take 256 /tmp/bytes
check 'all of them' [ "$(wc -c </tmp/bytes)" = 256 ]
wait_for 'they are unplugged' 40 logged softkey 'fault unplugged@300,1 begins'
wait_for 'and missed' 20 lists 'NO,Key closed. (Vanished?)'
wait_for 'both are back at their ports' 40 sh -c '[ $(grep -c "plugged in again" /tmp/softkey.log) = 2 ]'
attach 2 1
attach 3 2
wait_for 'both run again' 40 running 2
list
check 'no key was sent SET_CONTROL_LINE_STATE' sh -c '! grep CRASH /tmp/softkey.log'
kill $ekeyd_pid
wait_for 'ekeyd ends' 20 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
""")
    check_contains(output, r"(?m)^\d+,YES,Running OK,entropykey:usb:B5A/V1PUTh\+uOWIQ,", "the list")


@test("udev rules: on a real kernel's Entropy Keys, udevadm gives group, mode, link, the systemd tag, and keeps ModemManager off")
def udev(run):
    udevadm = os.path.realpath(need("udevadm"))
    paths = {"/bin/udevadm": udevadm, "/etc/udev/rules.d/60-ekeyd.rules":
             os.path.join(source_folder(), "udev/60-ekeyd.rules")}
    paths.update({library: library for library in shared_libraries(udevadm)})
    files = {**attach_program(), "/etc/group": b"root:x:0:\nekeyd:x:990:\n",
             "/etc/passwd": b"root:x:0:0::/:/bin/sh\n"}
    for name, path in paths.items():
        with open(path, "rb") as file:
            files[name] = file.read()
    output = Guest(run, modules=USBIP_MODULES, programs=["softkey"], files=files).run(
        BEGIN.replace("FAULTS", "") + r"""
wait_for 'the kernel makes a tty of each' 20 [ -e /dev/ttyACM1 ]
try() { # try NAME SYSFS_PATH
    udevadm test "$2" >/tmp/$1.log 2>&1 || failed "udevadm test $2"
    for line in $(cat /tmp/$1.expected); do
        grep -q -- "$line" /tmp/$1.log || failed "udevadm test $2 does not say: $line"
    done
    ! grep -i 'invalid\|unknown\|failed' /tmp/$1.log | grep 60-ekeyd || failed "udev does not like a rule"
    echo "ok: $1"
}
printf '%s\n' 'DEVLINKS=.*/dev/entropykey/B5A_V1PUTh+uOWIQ' ID_MM_DEVICE_IGNORE=1 'TAGS=.*:systemd:' >/tmp/tty.expected
printf '%s\n' ID_MM_DEVICE_IGNORE=1 'TAGS=.*:systemd:' EKEYD_DONGLE=entropykey >/tmp/device.expected
for tty in /sys/class/tty/ttyACM*; do
    [ "$(cat $tty/device/../serial)" != B5A/V1PUTh+uOWIQ ] || try tty $tty
done
try device $(ls -d /sys/bus/usb/devices/*-1 | head -n 1)
[ -s /tmp/tty.log ] || failed 'no tty has the serial number'
grep -i 'group\|mode' /tmp/tty.log /tmp/device.log
""")
    for name in ("tty", "device"):
        check_contains(output, rf"{name}\.log:.*GROUP 990", f"the group of the {name}")


if __name__ == "__main__":
    main()
