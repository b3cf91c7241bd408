"""Both ends of a sealed link, written from protocol/sealed/README.md on an independent implementation of Noise
(Debian's python3-dissononce), and never from our own code."""
import base64
import os
import socket
import struct
import threading

from clients import connect
from harness import DEADLINE, Failure

try:
    from dissononce.cipher.chachapoly import ChaChaPolyCipher
    from dissononce.dh.x25519.x25519 import X25519DH
    from dissononce.dh.x25519.private import PrivateKey
    from dissononce.dh.x25519.public import PublicKey
    from dissononce.exceptions.decrypt import DecryptFailedException
    from dissononce.hash.blake2b import Blake2bHash
    from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
    from dissononce.processing.impl.cipherstate import CipherState
    from dissononce.processing.impl.handshakestate import HandshakeState
    from dissononce.processing.impl.symmetricstate import SymmetricState
except ImportError as error:  # listing the tests needs none of it
    MISSING = error
else:
    MISSING = None

PROLOGUE = b"ekeyd sealed 1"
NO_ADVICE = 255


def key_pair(secret=None):
    if MISSING:
        raise Failure(f"python3-dissononce is not installed (tests/run installs it): {MISSING}")
    return X25519DH().generate_keypair(PrivateKey(secret) if secret else None)


def public_text(pair):
    return base64.b64encode(pair.public.data).decode()


def identity_file(run, name, pair):
    """A file as ekeydctl keygen writes it."""
    return run.write(name, base64.b64encode(pair.private.data).decode() + "\n")


def hello(path=(), hop_limit=8, credit=NO_ADVICE):
    return struct.pack("BBBB", 1, hop_limit, credit, len(path)) + b"".join(path)


def frame(message):
    return struct.pack(">H", len(message)) + message


class Stream:
    """Messages of a socket, each with its length before it."""

    def __init__(self, made, seconds=DEADLINE):
        self.socket = made
        self.socket.settimeout(seconds)
        self._kept = b""

    def exactly(self, size):
        while len(self._kept) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError(f"the other side closed after {len(self._kept)} of {size} bytes")
            self._kept += chunk
        out, self._kept = self._kept[:size], self._kept[size:]
        return out

    def message(self):
        return self.exactly(struct.unpack(">H", self.exactly(2))[0])

    def closed(self):
        """Waits until the other side closes; what it sends before, and of that how much is no message."""
        try:
            while chunk := self.socket.recv(65536):
                self._kept += chunk
        except ConnectionError:
            pass
        return self._kept


class Direction:
    """One direction's cipher. REKEY of the specification: 32 bytes of key, and the nonce goes on (dissononce's own
    rekey() takes all 48 bytes, and begins again at 0)."""

    def __init__(self, state, rekeying):
        self._state = state
        self._rekeying = rekeying

    def _after(self):
        if self._rekeying:
            nonce = self._state._nonce
            self._state.initialize_key(self._state.cipher.encrypt(self._state._key, 2**64 - 1, b"", bytes(32))[:32])
            self._state.set_nonce(nonce)

    def seal(self, plaintext):
        sealed = self._state.encrypt_with_ad(b"", plaintext)
        self._after()
        return frame(sealed)

    def open(self, message):
        plaintext = self._state.decrypt_with_ad(b"", message)
        self._after()
        return plaintext


def handshake_state(initiator, prologue, own, other=None):
    state = HandshakeState(SymmetricState(CipherState(ChaChaPolyCipher()), Blake2bHash()), X25519DH())
    state.initialize(IKHandshakePattern(), initiator, prologue, s=own, rs=other)
    return state


class SealedClient:
    """A client. With `plain` it speaks Noise and EGD, and nothing of this project."""

    def __init__(self, address, own, server, plain=False, payload=b"", seconds=DEADLINE):
        self.stream = Stream(connect(address, seconds), seconds)
        self._plain = plain
        self._state = handshake_state(True, b"" if plain else PROLOGUE, own, PublicKey(base64.b64decode(server)))
        opening = bytearray()
        self._state.write_message(payload, opening)
        self.opening = frame(bytes(opening))
        self._got = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.socket.close()

    def shake_hands(self):
        """Returns the server's payload."""
        self.stream.socket.sendall(self.opening)
        payload = bytearray()
        sending, receiving = self._state.read_message(self.stream.message(), payload)
        self.sending, self.receiving = Direction(sending, not self._plain), Direction(receiving, not self._plain)
        return bytes(payload)

    def send(self, plaintext):
        self.stream.socket.sendall(self.sending.seal(plaintext))

    def receive(self, size):
        while len(self._got) < size:
            self._got += self.receiving.open(self.stream.message())
        out, self._got = self._got[:size], self._got[size:]
        return out

    def read(self, size):
        self.send(bytes([2, size]))
        return self.receive(size)


class SealedServer:
    """Serves `data` to one client after the other, message by message: what EGD asks for with blocking reads.
    `alter` may change the list of messages of each answer before they are sent, and everything after counts as
    altered."""

    def __init__(self, own, clients, data=os.urandom, payload=None, alter=None):
        self.own = own
        self.clients = clients  # public keys
        self.data = data
        self.payload = hello([own.public.data]) if payload is None else payload
        self.alter = alter
        self.asked = 0       # bytes
        self.sent = 0        # bytes of honest messages, before anything was altered
        self.connections = 0
        self.payloads = []   # of clients
        self.ended = threading.Event()  # a client has closed
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self._listening.close()

    def _run(self):
        while True:
            try:
                made, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with made:
                try:
                    self._serve(Stream(made, 60))
                except (EOFError, OSError, DecryptFailedException):
                    self.ended.set()

    def _serve(self, stream):
        state = handshake_state(False, PROLOGUE, self.own)
        payload = bytearray()
        state.read_message(stream.message(), payload)
        if state.rs.data not in self.clients:
            return
        self.payloads.append(bytes(payload))
        answer = bytearray()
        receiving, sending = state.write_message(self.payload, answer)
        stream.socket.sendall(frame(bytes(answer)))
        sending, receiving = Direction(sending, True), Direction(receiving, True)
        pending = b""
        while True:
            pending += receiving.open(stream.message())
            while len(pending) >= 2:
                command, count = pending[:2]
                pending = pending[2:]
                if command != 2:
                    raise Failure(f"a command that this server does not have: {command}")
                self.asked += count
                if not self._answer(stream, sending, self.data(count)):
                    stream.closed()
                    self.ended.set()
                    return

    def _answer(self, stream, sending, data):
        """False when the answer was altered."""
        honest = [sending.seal(data[i:i + 100]) for i in range(0, len(data), 100)]
        messages = self.alter(list(honest)) if self.alter else honest
        stream.socket.sendall(b"".join(messages))
        for ours, theirs in zip(honest, messages):
            if ours != theirs:
                break
            self.sent += len(ours) - 18
        return messages == honest
