"""What is in the memory of a running program, and where."""
import re

from harness import Skip, sanitized


def plain_build():
    """Figures are for what is shipped; sanitizers have others."""
    if sanitized():
        raise Skip("built with sanitizers, whose memory is not ours")


def regions(pid):
    """(begin, end, readable, name, flags) of every region of a process's memory."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as lines:
        for line in lines:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if head:
                found.append([int(head[1], 16), int(head[2], 16), head[3][0] == "r", head[4].strip(), set()])
            elif line.startswith("VmFlags:"):
                found[-1][4] = set(line.split()[1:])
    return found


def memory_of(pid):
    """(name, flags, bytes) of every region that can be read."""
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except PermissionError:
        raise Skip("the memory of another process cannot be read here (CAP_SYS_PTRACE)") from None
    with memory:
        for begin, end, readable, name, flags in regions(pid):
            if readable and name not in ("[vvar]", "[vsyscall]"):
                memory.seek(begin)
                try:
                    yield name or "anonymous", flags, memory.read(end - begin)
                except OSError:
                    continue


def places(pid, secret):
    """Where a secret lies: [(region, whether it is locked and left out of core dumps)]."""
    return [(name, {"lo", "dd"} <= flags) for name, flags, content in memory_of(pid) if secret in content]
