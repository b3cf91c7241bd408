#!/usr/bin/python3
"""For every fault of a dongle: no byte made from the faulty block reaches a client, and the daemon says what failed.

One client reads all that is served. What it got is compared with what softkey sealed: each output must be the hash of
tested noise (provenance.py), and none of that noise may lie in the faulty part.
"""
import re

from daemons import Ekeyd, Softkey
from fault_rig import MIN_ENTROPY, ROOM, Bystanders, Reader, record
from harness import check, check_contains, check_equal, main, test, wait_until
from provenance import BLOCK, OUTPUT, PACKET, bytes_from, explain, measure


class Case:
    """ekeyd on a softkey that does wrong, with one reader and bystanders."""

    def __init__(self, run, *faults, settings=(), rate=1000, transport="pty"):
        arguments = [part for fault in faults for part in ("--fault", fault)]
        self.key = Softkey(run, *arguments, rate=rate, transport=transport)
        self.daemon = Ekeyd(run, f"source = {self.key.source},min-entropy={MIN_ENTROPY}", ROOM, *settings,
                            keyring=self.key.keyring)
        self.reader = Reader(self.daemon.egd)
        self.bystanders = Bystanders(self.daemon)

    def wait_served(self, size):
        wait_until(lambda: len(self.reader.got) >= size, f"{size} bytes served; {len(self.reader.got)} were", seconds=60)

    def wait_served_from(self, position):
        """Until an output holds noise from behind that position: each takes a full measure of it."""
        self.wait_served((position // measure(MIN_ENTROPY) + 1) * OUTPUT)

    def wait_status(self, pattern):
        wait_until(lambda: matches(self.daemon.key(), pattern), f"a status like {pattern!r}; it is {self.daemon.key()}")

    def finish(self):
        """The pieces of the plaintext that served bytes were made of."""
        self.bystanders.ask_all()
        served = self.reader.stop()
        self.ends = []
        used = explain(served, self.key.plaintext(), MIN_ENTROPY, ends=self.ends)
        check(used, "nothing was served at all: the test shows nothing")
        return served, used

    def row(self, fault, says, used=(), begin=0, end=0, recovers_from=None, lasted=0):
        """A row of the table. No noise of begin..end may have been used. Time to recover is from the end of the fault,
        at `recovers_from` in the noise and `lasted` seconds after what softkey said last of it, to the first output that holds noise from behind it."""
        recovery = "as long as it lasts"
        if recovers_from is not None:
            first = next(i for i, e in enumerate(self.ends) if e > recovers_from)
            recovery = max(0, self.reader.times[first] - self.key.fault_time - lasted)
        bad = bytes_from(used, begin, end)
        print(f"{fault}: {len(used)} pieces of noise served, {bad} bytes of the faulty {end - begin}")
        lost = self.bystanders.lost + (["reader"] if self.reader.lost else [])
        record(fault, bad, len(lost), says, recovery)
        check_equal(lost, [], "clients that lost their connection")


def matches(key, pattern):
    return key and re.search(pattern, key["Status"])


def noise_that_fails(run, fault, health, log):
    """A fault of the noise that the device itself does not see, from packet 400 on."""
    case = Case(run, f"{fault}@400")
    begin = case.key.fault_began(fault)
    check_equal(begin, 400 * PACKET, "where the fault begins")
    case.wait_status(r"Health test failed")
    case.daemon.program.wait_output(log)
    failure = re.search(r"\bFailure=(.*)", check_contains(case.daemon.health(), health, "health")).group(1)
    check_equal(case.daemon.key()["OK"], "NO", "the OK column of the key")
    wait_until(lambda: len(case.key.plaintext()) > begin + 20 * BLOCK, "much more of the faulty noise")
    served, used = case.finish()
    case.row(f"dongle: {fault}", f"Health test failed, {failure}", used, begin,
             len(case.key.plaintext()))
    check(len(served) >= begin // measure(MIN_ENTROPY) * OUTPUT // 2, "the good part before was not served")


@test("promise 1: stuck noise (all zero): none of it is served, the key is not OK any more")
def stuck(run):
    noise_that_fails(run, "stuck", r"Failure=repetition", r"failure=\"?repetition")


@test("promise 1: the same 32 bytes again and again: none of it is served")
def stuck_block(run):
    noise_that_fails(run, "stuck-block", r"Failure=(adaptive|repetition|FIPS)", r"failure=\"?(adaptive|repetition|FIPS)")


@test("promise 1: noise with 75 % ones: none of it is served (1.1.5 served it as Running OK)")
def biased(run):
    noise_that_fails(run, "biased", r"Failure=(FIPS|adaptive)", r"failure=\"?(FIPS|adaptive)")


@test("promise 1: noise that is bad from the first byte on is never served")
def bad_from_the_start(run):
    for number, fault in enumerate(("stuck", "stuck-block", "biased")):
        key = Softkey(run, "--fault", f"{fault}@0", name=f"key{number}", keyring=run.path(f"keyring{number}"))
        daemon = Ekeyd(run, softkeys=[key], name=f"ekeyd{number}")
        with daemon.client() as client:
            client.ask(1)
            wait_until(lambda: matches(daemon.key(), "Health test failed"), f"{fault}: {daemon.key()}")
            check(client.silent_for(1), f"{fault}: a byte was served")
            check_equal(client_level(daemon), 0, f"{fault}: the level")
        daemon.program.stop()
        key.program.stop()


def client_level(daemon):
    with daemon.client() as client:
        return client.level()


@test("promise 1: a spell of stuck noise: what is good after it is served again, after a startup test")
def stuck_spell(run):
    case = Case(run, "stuck@400-600")
    begin = case.key.fault_began("stuck")
    case.wait_status(r"Health test failed")
    end = case.key.fault_ended("stuck")
    case.wait_status(r"Running OK")  # by itself, after the pause that a failed test costs
    case.wait_served_from(end)
    served, used = case.finish()
    case.row("dongle: stuck for 200 packets, then good again", "Health test failed, repetition", used, begin, end, end)
    check(max(e for _, e in used) > end, "nothing of the good noise after it was served")
    check_contains(case.daemon.health(), r"LastFailure=repetition", "health after recovery")


def frame_that_is_lost(run, fault, statistic, at_least=1):
    """A frame that must not count: the noise around it is served on, without it."""
    case = Case(run, f"{fault}@300")
    case.key.fault_began(fault.split("=")[0])
    wait_until(lambda: len(case.key.plaintext()) > 300 * PACKET + 3 * BLOCK, "noise after the fault")
    with case.daemon.controller() as control:
        wait_until(lambda: int(control.statistics("1")[statistic]) >= at_least, f"{statistic} counts the fault")
        numbers = control.statistics("1")
    case.wait_served_from(300 * PACKET + BLOCK)
    served, used = case.finish()
    check(all(before[1] == after[0] for before, after in zip(used, used[1:])), "more than the faulty frame was lost")
    print(f"{fault}: {len(served)} bytes served, all explained without the faulty frame; {statistic}={numbers[statistic]}")
    check(max(e for _, e in used) > 300 * PACKET + BLOCK, "the noise after the fault was not served")
    case.row(f"dongle: {fault}", f"{statistic}={numbers[statistic]}", recovers_from=300 * PACKET)


@test("promise 1: a frame with a wrong MAC is refused and counted, the noise around it is served on")
def bad_mac(run):
    frame_that_is_lost(run, "bad-mac", "PacketErrors")


@test("promise 1: a replayed frame is refused and counted (1.1.5 served it twice)")
def replay(run):
    frame_that_is_lost(run, "replay", "PacketsReplayed")


@test("promise 5: garbage between frames costs nothing but itself")
def garbage(run):
    frame_that_is_lost(run, "garbage", "FramingErrors")


@test("promise 5: 4,096 bytes of garbage that looks like frames costs nothing but itself")
def much_garbage(run):
    frame_that_is_lost(run, "garbage=4096", "FramingErrors")


@test("promise 5: a frame cut short costs that frame")
def short_frame(run):
    frame_that_is_lost(run, "short", "FramingErrors")


@test("promise 1: a lost frame is counted, the noise around it is served on")
def lost_frame(run):
    frame_that_is_lost(run, "drop", "PacketsMissed")


def device_that_stops(run, fault, kind, status, health, log, badness=None):
    """The device reports that it has failed: what was in flight is thrown away."""
    case = Case(run, f"{fault}@300")
    begin = case.key.fault_began(kind)
    case.wait_status(status)
    case.daemon.program.wait_output(log)
    check_contains(case.daemon.health(), health, "health")
    check_equal(case.daemon.key()["OK"], "NO", "the OK column of the key")
    if badness:
        with case.daemon.controller() as control:
            check_equal(control.statistics("1")["KeyShortBadness"], badness, "KeyShortBadness")
    served, used = case.finish()
    check_equal(begin, 300 * PACKET, "where the fault begins")
    # The block that was being filled had not passed: nothing of it may have gone out.
    case.row(f"dongle: {kind}", "Key has self-stopped, device", used, begin // BLOCK * BLOCK,
             max(begin, len(case.key.plaintext())))


@test("promise 1: the device's generators fail: 1.1.5's words, nothing in flight is served")
def generators_failed(run):
    device_that_stops(run, "generators-failed=1", "generators-failed", r"Key has self-stopped", r"Failure=device",
                      r"failure=device", "efm_raw_left_bad")


@test("promise 1: the device is too hot: 1.1.5's words, nothing in flight is served")
def temperature(run):
    device_that_stops(run, "temperature", "temperature", r"Key has self-stopped", r"Failure=device", r"failure=device",
                      "efm_temp_too_high")


@test("promise 1: a device that goes silent has failed; when it speaks again it is tested anew")
def silent(run):
    case = Case(run, "silent@300,4", settings=["silence = 1"])
    begin = case.key.fault_began("silent")
    case.wait_status(r"Silent")
    case.daemon.program.wait_output(r"failure=silence")
    check_contains(case.daemon.health(), r"Failure=silence", "health")
    case.wait_status(r"Running OK")
    case.wait_served_from(begin + BLOCK)
    served, used = case.finish()
    case.row("dongle: silent for four seconds", "Silent", used, begin // BLOCK * BLOCK, begin, begin, lasted=4)
    check(max(e for _, e in used) > begin + BLOCK, "nothing was served after it spoke again")


def pulled_out(run, transport):
    case = Case(run, "unplugged@300,2", transport=transport)
    begin = case.key.fault_began("unplugged")
    case.wait_status(r"Key closed|Vanished")
    check_contains(case.daemon.health(), r"Failure=silence", "health")
    case.wait_status(r"Running OK")
    case.wait_served_from(begin + BLOCK)
    _, used = case.finish()
    case.row(f"dongle: pulled out and back ({transport})", "Key closed. (Vanished?)", used, begin // BLOCK * BLOCK, begin,
             begin, lasted=2)
    check(max(e for _, e in used) > begin + BLOCK, "nothing was served after it came back")


@test("promise 8: a tty that is pulled out and put back: retried by itself, nothing in flight is served")
def unplugged_tty(run):
    pulled_out(run, "pty")


@test("promise 8: a socket that goes and comes back: retried by itself, nothing in flight is served")
def unplugged_socket(run):
    pulled_out(run, "unix")


@test("promise 8: session re-keys that stay unanswered are asked for again")
def no_answer(run):
    # The session ends after 4,096 packets; the next two requests for a key go unanswered.
    case = Case(run, "no-answer=2@4000", rate=4000)
    case.key.fault_began("no-answer")
    case.wait_served((4096 * PACKET + 4 * BLOCK) // measure(MIN_ENTROPY) * OUTPUT)
    case.finish()
    case.row("dongle: two requests for a session key unanswered", "Unknown, then No answer", recovers_from=4096 * PACKET)


@test("promise 1: a session lasts over re-keys: every byte served is explained, none is lost at the seam")
def rekeys(run):
    case = Case(run, rate=6000)
    case.wait_served((9000 * PACKET) // measure(MIN_ENTROPY) * OUTPUT)
    with case.daemon.controller() as control:
        numbers = control.statistics("1")
    served, used = case.finish()
    check(int(numbers["ConnectionRekeys"]) >= 2, f"ConnectionRekeys={numbers['ConnectionRekeys']}")
    check_equal([numbers[name] for name in ("PacketErrors", "FramingErrors")], ["0", "0"], "errors without a fault")
    check(all(before[1] == after[0] for before, after in zip(used, used[1:])), "noise was dropped")


@test("promise 1: a wrong long-term key: nothing is served and the status says so")
def wrong_key(run):
    key = Softkey(run)
    wrong = run.write("wrong", f"{key.serial} {'A' * 43}=\n")
    daemon = Ekeyd(run, softkeys=[key], keyring=wrong)
    wait_until(lambda: matches(daemon.key(), r"Long-Term-Key is bad"), "1.1.5's words for a wrong key")
    check_equal(daemon.key()["OK"], "NO", "the OK column")
    with daemon.client() as client:
        check_equal(client.read_now(64), b"", "bytes served under a wrong key")


@test("a key that the keyring does not know: the status says so, and Keyring(\"file\") mends it while running")
def unknown_key(run):
    key = Softkey(run)
    daemon = Ekeyd(run, softkeys=[key], keyring=run.write("empty", "# nothing\n"))
    wait_until(lambda: matches(daemon.key(), r"Serial"), f"a status about the serial; it is {daemon.key()}")
    check_equal(daemon.key()["SerialNo"], key.serial, "the serial number shown")
    with daemon.controller() as control:
        _, words = control.command(f'Keyring("{key.keyring}")')
        check_equal(words, "1", "keys read")
    check_equal(len(daemon.seeded()), 64, "bytes")


if __name__ == "__main__":
    main()
