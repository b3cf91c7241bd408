#!/usr/bin/python3
"""usage: wire.py DELAY_SECONDS LOSS SEED INTERFACE INTERFACE [INTERFACE INTERFACE...]

Wires between pairs of interfaces of this network namespace: every frame that comes in at one of a pair goes out at the other
DELAY_SECONDS later, or, with probability LOSS, never. On every kernel, with or without tc's netem. Says "ready", and on
SIGTERM how many frames it carried and lost.
"""
import heapq
import random
import select
import signal
import socket
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4  # linux/if_packet.h: our own frames, as they leave


def interface(name):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    made.bind((name, ETH_P_ALL))
    made.setblocking(False)
    return made


def main():
    delay, loss, lots = float(sys.argv[1]), float(sys.argv[2]), random.Random(sys.argv[3])
    ends = [interface(name) for name in sys.argv[4:]]
    other = {end: ends[n ^ 1] for n, end in enumerate(ends)}
    carried = lost = number = 0
    travelling = []  # due time, number, end, frame

    def stop(*_):
        print(f"carried {carried} lost {lost}", flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    while True:
        wait = max(0, travelling[0][0] - time.monotonic()) if travelling else None
        for end in select.select(ends, [], [], wait)[0]:
            frame, address = end.recvfrom(65536)
            if address[2] == PACKET_OUTGOING:
                continue
            if lots.random() < loss:
                lost += 1
                continue
            number += 1
            heapq.heappush(travelling, (time.monotonic() + delay, number, other[end], frame))
        while travelling and travelling[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(travelling)
            end.send(frame)
            carried += 1


main()
