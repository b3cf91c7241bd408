"""A running udevd with our rules: access without root, the key's link, and arrivals told to libusb by udev."""
import os

from guest import PROGRAMS, USBIP_MODULES, Guest, attach_program, shared_libraries
from harness import check_contains, main, need, source_folder, test


def udev_files():
    """For `files`: udevd, which is udevadm under another name, our rules, and a group for them."""
    udevadm = os.path.realpath(need("udevadm"))
    paths = {"/bin/udevadm": udevadm, "/bin/systemd-udevd": udevadm,
             "/etc/udev/rules.d/60-ekeyd.rules": os.path.join(source_folder(), "udev/60-ekeyd.rules"),
             **{library: library for library in shared_libraries(udevadm)}}
    files = {"/etc/group": b"root:x:0:\nekeyd:x:990:\n",
             "/etc/passwd": b"root:x:0:0::/:/bin/sh\nekeyd:x:991:990::/:/bin/sh\n"}
    for name, path in paths.items():
        with open(path, "rb") as file:
            files[name] = file.read()
    return files


@test("udevd: the key's link, group and mode are there, and ekeyd, which is not root, is told by udev of each arrival")
def arrivals(run):
    guest = Guest(run, modules=USBIP_MODULES, programs=PROGRAMS, files={**attach_program(), **udev_files()})
    output = guest.run(r"""
. /test/functions.sh
start udevd systemd-udevd
wait_for 'udevd runs' 60 [ -S /run/udev/control ]
start softkey softkey --usbip 127.0.0.1:3240 --devices 2 --serial B5A/V1PUTh+uOWIQ --keyring /tmp/keyring --rate 200
wait_for 'softkey is ready' 60 logged softkey '^ready 127.0.0.1:3240/1-2 B5A/V1PUTh+uOWIR'
is() { # is MODE_AND_GROUP FILE
    [ "$(stat -c '%a %g' "$2")" = "$1" ]
}
node() { # node PLACE
    printf '/dev/bus/usb/%03d/%03d' "$(cat /sys/bus/usb/devices/$1/busnum)" "$(cat /sys/bus/usb/devices/$1/devnum)"
}
link_leads_to_tty() {
    case $(readlink -f /dev/entropykey/B5A_V1PUTh+uOWIQ) in /dev/ttyACM*) ;; *) return 1 ;; esac
}
check 'the first is attached' attach 0 1
wait_for 'its link leads to its tty' 60 link_leads_to_tty
tty=$(readlink -f /dev/entropykey/B5A_V1PUTh+uOWIQ)
check 'the tty is for the group ekeyd' is '660 990' $tty
check 'and so is the USB device' is '660 990' $(node $(ls /sys/bus/usb/devices | grep -- '-1$'))
ls -l /dev/entropykey $tty

daemon entropykey:usb --user ekeyd --group ekeyd
running() { # running COUNT
    [ "$(list | grep -c 'YES,Running OK')" = "$1" ]
}
check 'ekeyd is not root' [ "$(stat -c %u /proc/$ekeyd_pid)" = 991 ]
wait_for 'the first runs' 120 running 1
check 'ekeyd does not look for devices by itself' sh -c '! grep "looked for" /tmp/ekeyd.log'
check 'the second is attached' attach 1 2
wait_for 'udev tells ekeyd of it' 60 logged ekeyd 'USB device found.*B5A/V1PUTh+uOWIR'
wait_for 'both run' 120 running 2
list
check 'bytes are served' take 64 /tmp/bytes
end_daemon
wait_for 'the link is back' 60 link_leads_to_tty

# The same without USB: the link as the source.
daemon entropykey:/dev/entropykey/B5A_V1PUTh+uOWIQ --user ekeyd --group ekeyd
wait_for 'it runs by its link' 120 lists 'YES,Running OK,/dev/entropykey/B5A_V1PUTh+uOWIQ,B5A/V1PUTh+uOWIQ'
end_daemon
check 'no key was sent SET_CONTROL_LINE_STATE' sh -c '! grep CRASH /tmp/softkey.log'
cat /tmp/ekeyd.log
""", seconds=280)
    check_contains(output, r"YES,Running OK,entropykey:usb:B5A/V1PUTh\+uOWIR", "the list")


if __name__ == "__main__":
    main()
