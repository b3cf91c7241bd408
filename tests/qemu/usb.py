"""A real kernel's USB: the key enumerated, taken over through libusb, and given back."""
import os

from guest import FOLDER, PROGRAMS, Guest
from harness import check_contains, main, test

with open(os.path.join(FOLDER, "gadget.sh"), encoding="utf-8") as text:
    GADGET = ". /test/functions.sh\n" + text.read()

GADGET_MODULES = ["dummy_hcd num=3", "libcomposite", "usb_f_acm", "cdc-acm"]


def gadget_guest(run):
    return Guest(run, modules=GADGET_MODULES, programs=PROGRAMS)


@test("USB: a key is found and taken over from cdc_acm, serves entropy, and is given back when ekeyd ends")
def one_key(run):
    output = gadget_guest(run).run(GADGET + """
serial=NwBvBlg3OTBJORFD
make_gadget 0 $serial
plug 0
wait_for 'the kernel makes a tty of the key' 10 [ -e /dev/ttyACM0 ]
check 'cdc_acm drives it' is_driven_by cdc_acm
start softkey softkey --tty /dev/ttyGS0 --serial $serial --keyring /tmp/keyring --rate 200
wait_for 'softkey is ready' 20 logged softkey '^ready '
daemon entropykey:usb
wait_for 'the key runs' 30 lists "Running OK.*entropykey:usb:$serial"
check 'libusb has it' is_driven_by usbfs
check 'bytes are served' take 256 /tmp/bytes
check 'all of them' [ "$(wc -c </tmp/bytes)" = 256 ]
list
ekeydctl --socket /tmp/control.sock stats 1
ls -l /proc/$ekeyd_pid/task | wc -l
kill $ekeyd_pid
wait_for 'ekeyd ends' 5 sh -c "! kill -0 $ekeyd_pid 2>/dev/null"
wait_for 'cdc_acm has it again' 5 is_driven_by cdc_acm
check 'and its tty' [ -e /dev/ttyACM0 ]
cat /tmp/ekeyd.log
""")
    print(output)


if __name__ == "__main__":
    main()
