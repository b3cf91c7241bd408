#!/usr/bin/python3
"""A guest that starts with an empty pool is made ready by each way that leads to it over a network."""
from boot_cases import boot
from harness import check, main, test


def check_ready(times):
    check("init" in times and times["begun"] < times["init"], f"the kernel's generator was not made ready: {times}")


@test("in a guest without randomness, egd-push makes the pool ready over a sealed link, credited, from an ekeyd on its host")
def sealed(run):
    check_ready(boot(run, "sealed"))


@test("in a guest without randomness, egd-push over TCP makes the pool ready when it is told to credit that")
def tcp(run):
    check_ready(boot(run, "tcp"))


@test("in a guest without randomness, egd-push over TCP in clear is mixed in, and does not make the pool ready by itself")
def tcp_uncredited(run):
    times = boot(run, "tcp-uncredited")
    check("done" in times and "init" not in times, f"a push in clear was credited: {times}")


if __name__ == "__main__":
    main()
