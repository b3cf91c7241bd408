#!/usr/bin/python3
"""A benchmark: how soon a guest without randomness has it, by each way; prints the table of contrib/doc/how-we-know.md.
The guest is emulated and the machine may be busy, so the rows are for comparison with each other."""
from boot_cases import IN_VAIN, Host, boot
from harness import main, test

ROWS = [
    ("nothing", False, "nothing, and no process waits in `getrandom()`"),
    ("nothing", True, "nothing, and a process waits: the kernel's own jitter"),
    ("pollinate", False, "pollinate, from a pollen on the host"),
    ("haveged", False, "haveged"),
    ("ekeyd-egd-linux", False, "ekeyd-egd-linux 1.1.5, over TCP, from ekeyd"),
    ("virtio-rng", False, "virtio-rng, from ekeyd"),
    ("tcp", False, "egd-push over TCP, `--credit 8`"),
    ("sealed", False, "egd-push over a sealed link"),
    ("vsock", False, "egd-push over vsock (ekeyd in the same guest)"),
]


def text(times, event):
    return f"{times[event]:.2f} s" if event in times else "-"


@test("table of the time until a guest's kernel is ready")
def table(run):
    host = Host(run)
    lines = [f"| {title} | {text(times, 'begun')} | {text(times, 'done')} | {text(times, 'init')} |"
             for method, waiter, title in ROWS for times in [boot(run, method, waiter, host)]]
    print(f"In vain: for at least {IN_VAIN // 2} s.")
    print("| way | begun | its bytes are in | crng init done |", "|---|---|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
