"""usage: pass_descriptors.py FD[,FD...] NAME[:NAME...] [LISTEN_PID] PROGRAM ARGUMENT...
Becomes PROGRAM, with these descriptors as sd_listen_fds(3) passes them. LISTEN_PID is a number, if not its own."""
import fcntl
import os
import sys

descriptors = [int(number) for number in sys.argv[1].split(",")]
command = sys.argv[3:]
process = os.getpid()
if command[0].isdigit():
    process = command.pop(0)
# First out of the way of where they are to go.
moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + len(descriptors)) for fd in descriptors]
for number, fd in enumerate(moved):
    os.dup2(fd, 3 + number)
os.closerange(3 + len(descriptors), max([*moved, *descriptors]) + 1)
os.environ.update(LISTEN_PID=str(process), LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=sys.argv[2])
os.execv(command[0], command)
