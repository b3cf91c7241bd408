"""A key that anyone can make: the example script's USB gadget with softkey behind it, against ekey-rekey and ekeyd."""
import os

from guest import FOLDER, PROGRAMS, Guest
from harness import check_contains, main, source_folder, test

with open(os.path.join(source_folder(), "contrib/examples/entropy-key-gadget"), "rb") as script:
    FILES = {"/bin/entropy-key-gadget": script.read()}
with open(os.path.join(FOLDER, "gadget.sh"), encoding="utf-8") as text:
    GADGET = ". /test/functions.sh\n" + text.read()

# The guest's /dev/hwrng, as a board would have one.
GENERATOR = ["-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-pci,rng=rng"]

BEGIN = GADGET + """
check 'a card is made' sh -c 'softkey --new-card /tmp/card >/tmp/printed'
check 'it is printed as it is kept' cmp /tmp/card /tmp/printed
check 'its owner alone reads it' [ "$(stat -c %a /tmp/card)" = 600 ]
serial=$(sed -n 's/^Serial //p' /tmp/printed)
check 'the example makes the gadget' entropy-key-gadget start /tmp/card
key() { # key NAME OPTION...: softkey at the gadget's tty
    log=$1
    shift
    start $log softkey --tty /dev/ttyGS0 --card /tmp/card --state /tmp/state "$@"
    wait_for "$log is ready" 20 logged $log "^ready /dev/ttyGS0 $serial"
}
end() { # end PID
    kill $1
    # (A gadget's tty with unsent bytes, whose host has gone, is closed after 15 s: GS_CLOSE_TIMEOUT in u_serial.c.)
    wait_for "it ends" 30 sh -c "! kill -0 $1 2>/dev/null"
}
rekey() {
    # The master key as it is printed, typed at the prompt.
    sed -n 's/^Master key //p' /tmp/printed | ekey-rekey --keyring /tmp/keyring "$@"
}
is() { # is FILE WORD: of the device
    [ "$(cat /sys/bus/usb/devices/1-1/$1)" = "$2" ]
}
served() {
    check 'bytes are served' take 256 /tmp/bytes
    check 'all of them' [ "$(wc -c </tmp/bytes)" = 256 ]
}
"""


def own_key_guest(run):
    return Guest(run, modules=["dummy_hcd", "libcomposite", "usb_f_acm", "cdc-acm", "virtio_pci", "virtio-rng"],
                 programs=PROGRAMS + ["ekey-rekey"], files=FILES, qemu=GENERATOR, memory=512)


@test("own key: a gadget by the example script is an Entropy Key to the kernel, to ekey-rekey, to ekeyd through libusb and by its tty")
def lives(run):
    output = own_key_guest(run).run(BEGIN + """
key softkey --noise /dev/hwrng
wait_for 'the host makes a tty of the key' 20 [ -e /dev/ttyACM0 ]
check 'vendor' is idVendor 20df
check 'product' is idProduct 0001
check 'serial number' is serial "$serial"
check 'class' is bDeviceClass 02
check 'words' is product 'Entropy Key'
check 'cdc_acm drives it' is_driven_by cdc_acm
check 'a long-term key by the card' rekey
check 'the key keeps it' cmp /tmp/keyring /tmp/state
check 'for itself' [ "$(stat -c %a /tmp/state)" = 600 ]
daemon entropykey:usb
wait_for 'the key runs' 60 lists "YES,Running OK,entropykey:usb:$serial"
check 'libusb has it' is_driven_by usbfs
served
ekeydctl --socket /tmp/control.sock stats 1
end $ekeyd_pid
wait_for 'cdc_acm has it again' 10 is_driven_by cdc_acm

daemon entropykey:/dev/ttyACM0
wait_for 'the key runs by its tty' 60 lists "YES,Running OK,/dev/ttyACM0,$serial"
served
# The host goes and comes back, and then the whole gadget; softkey waits. ekeyd does, too.
gadget=/sys/kernel/config/usb_gadget/entropy-key
udc=$(cat $gadget/UDC)
echo >$gadget/UDC
wait_for 'the key is missed' 20 lists 'NO,Key closed. (Vanished?)'
echo $udc >$gadget/UDC
wait_for 'the key runs again' 60 lists "YES,Running OK,/dev/ttyACM0,$serial"
check 'the gadget is taken away' entropy-key-gadget stop
wait_for 'the key is missed' 20 lists 'NO,Key closed. (Vanished?)'
check 'the gadget is made again' entropy-key-gadget start /tmp/card
wait_for 'the key runs again' 60 lists "YES,Running OK,/dev/ttyACM0,$serial"
check 'softkey never ended' kill -0 $softkey_pid

end $softkey_pid
key restarted --noise /dev/hwrng
cp /tmp/bytes /tmp/before
wait_for 'the key runs with the long-term key that it has kept' 60 lists "YES,Running OK,/dev/ttyACM0,$serial"
check 'as before' cmp /tmp/keyring /tmp/state
served
check 'other bytes' sh -c '! cmp -s /tmp/bytes /tmp/before'
list
end $ekeyd_pid
end $restarted_pid
""", seconds=240)
    check_contains(output, r"(?m)^FipsFrameRate=", "the statistics")


@test("own key: as README.md has it, ekeyd runs and has the new key on USB when ekey-rekey is called: it lets go, and the key runs by itself afterwards")
def while_ekeyd_runs(run):
    own_key_guest(run).run(BEGIN + """
: >/tmp/keyring
key softkey --noise /dev/hwrng
daemon entropykey:usb,min-entropy=5
wait_for 'ekeyd misses its long-term key' 60 lists "NO,Serial unknown,entropykey:usb:$serial"
check 'libusb has it' is_driven_by usbfs
check 'a long-term key by the card' rekey --socket /tmp/control.sock
wait_for 'the key runs' 60 lists "YES,Running OK,entropykey:usb:$serial"
check 'it is there once' [ "$(list | grep -c "$serial")" = 1 ]
check 'libusb has it again' is_driven_by usbfs
served
check 'with the parameters that it had' sh -c 'ekeydctl --socket /tmp/control.sock health 1 | grep -x MinEntropyPerByte=5 ||
    ekeydctl --socket /tmp/control.sock health 2 | grep -x MinEntropyPerByte=5'
check 'another long-term key, while it runs' rekey --socket /tmp/control.sock "$serial"
wait_for 'the key runs again' 60 lists "YES,Running OK,entropykey:usb:$serial"
# It is still looked for on USB.
entropy-key-gadget stop
wait_for 'the key is missed' 20 lists 'NO,Key closed. (Vanished?)'
entropy-key-gadget start /tmp/card
wait_for 'the key runs once more' 60 lists "YES,Running OK,entropykey:usb:$serial"
check 'it is there once, still' [ "$(list | grep -c "$serial")" = 1 ]
""", seconds=240)


@test("own key: noise that turns bad is the original's failure code, and ekeyd shows it")
def bad_noise(run):
    output = own_key_guest(run).run(BEGIN + """
mkfifo /tmp/noise
start noise sh -c '(head -c 100000 /dev/urandom; head -c 50000 /dev/zero; cat /dev/urandom) >/tmp/noise'
key softkey --noise /tmp/noise --rate 200
wait_for 'the host makes a tty of the key' 20 [ -e /dev/ttyACM0 ]
check 'a long-term key by the card' rekey
daemon entropykey:usb
wait_for 'the key stops itself' 90 lists "NO,Key has self-stopped,entropykey:usb:$serial"
check 'it was good before' logged ekeyd 'passed its startup test'
check 'its code' logged softkey 'the noise has failed its tests at packet [1-9][0-9]*: code 1'
ekeydctl --socket /tmp/control.sock stats 1
ekeydctl --socket /tmp/control.sock health
""", seconds=180)
    check_contains(output, "(?m)^KeyShortBadness=efm_raw_left_bad$", "the statistics")


if __name__ == "__main__":
    main()
