# shellcheck shell=dash
# A USB device made by the guest's own kernel: dummy_hcd joins a gadget to a host controller, the configfs ACM function
# is the device, and softkey speaks at its tty. To be read after functions.sh.

mount -t configfs configfs /sys/kernel/config

# plug NUMBER SERIAL [VENDOR PRODUCT]: plugs the gadget in; its tty is /dev/ttyGSn, n counting from 0 as gadgets are made.
make_gadget() {
    gadget=/sys/kernel/config/usb_gadget/g$1
    mkdir "$gadget"
    echo "${3:-0x20df}" >"$gadget/idVendor"
    echo "${4:-0x0001}" >"$gadget/idProduct"
    mkdir "$gadget/strings/0x409"
    echo "$2" >"$gadget/strings/0x409/serialnumber"
    echo "softkey, no hardware" >"$gadget/strings/0x409/product"
    mkdir "$gadget/configs/c.1" "$gadget/functions/acm.usb$1"
    ln -s "$gadget/functions/acm.usb$1" "$gadget/configs/c.1"
}

plug() {
    echo "dummy_udc.$1" >"/sys/kernel/config/usb_gadget/g$1/UDC"
}

unplug() {
    echo >"/sys/kernel/config/usb_gadget/g$1/UDC"
}

# driver_of INTERFACE_CLASS [VENDOR]: the kernel's driver of the first interface of that class of that vendor's device.
driver_of() {
    for interface in /sys/bus/usb/devices/*:*; do
        [ "$(cat "$interface/bInterfaceClass")" = "$1" ] || continue
        [ "$(cat "${interface%:*}/idVendor")" = "${2:-20df}" ] || continue
        basename "$(readlink "$interface/driver" || echo none)"
    done
}

is_driven_by() { # is_driven_by DRIVER: both interfaces of the Entropy Key
    [ "$(driver_of 02)" = "$1" ] && [ "$(driver_of 0a)" = "$1" ]
}
