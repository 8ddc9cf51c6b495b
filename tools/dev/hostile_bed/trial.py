"""One trial: starts the server or the client as a seed says, and judges what it does."""

import os
import random
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.dont_write_bytecode = True
import peer  # noqa: E402
from . import quirks  # noqa: E402

PATIENCE = 10.0  # A machine may be busy; what hangs hangs for longer.
SYSEXITS = range(64, 79)
# What a program under --exec sees of its start.
LOOK = (b"/bin/cat >/dev/null; /bin/grep -E '^Sig(Blk|Ign)' /proc/self/status; echo nofile=$(ulimit -Sn); "
        b"echo fds=$(echo /proc/self/fd/*); /usr/bin/env")


class Fault(Exception):
    pass


class Process:
    """A process that was started, with what it has written."""

    def __init__(self, start, path, arguments, kept=None, stdin=b""):
        self.pipes = [os.pipe(), os.pipe()]
        reading, writing = os.pipe()
        os.write(writing, stdin)
        os.close(writing)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                start.become(path, arguments, [reading, self.pipes[0][1], self.pipes[1][1]], kept)
            except BaseException as error:  # noqa: BLE001
                os.write(self.pipes[1][1], b"not started: %r\n" % (str(error),))
                os._exit(198)
        os.close(reading)
        for pair in self.pipes:
            os.close(pair[1])
        self.written = [b"", b""]
        self.status = None

    def read(self, seconds):
        """Reads for up to this time; False where nothing can come any more."""
        open_pipes = [n for n in (0, 1) if self.pipes[n] is not None]
        if not open_pipes:
            time.sleep(min(seconds, 0.005))
            return False
        ready, _, _ = select.select([self.pipes[n][0] for n in open_pipes], [], [], seconds)
        for n in open_pipes:
            if self.pipes[n][0] in ready:
                data = os.read(self.pipes[n][0], 65536)
                self.written[n] += data
                if not data:
                    os.close(self.pipes[n][0])
                    self.pipes[n] = None
        return True

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, what):
        deadline = time.monotonic() + PATIENCE
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise Fault(f"it did not end within {PATIENCE:g} s: {what}")
            self.read(0.01)
        while self.read(0.0) and any(self.pipes) and self.more():
            pass
        return self.status

    def more(self):
        ready, _, _ = select.select([pair[0] for pair in self.pipes if pair], [], [], 0)
        return ready

    def end(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for pair in self.pipes:
            if pair:
                os.close(pair[0])


def exchange(address, bodies):
    """Sends requests on one connection and returns their answers, or None where the server is busy."""
    family, place = address
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(place)
        hello = struct.pack(">BBHIIII", 1, 1, 0, 0, 0, 16384, 1 << 20)
        connection.sendall(peer.PREFACE + peer.encode(peer.HELLO, hello))
        data, answers = b"", []

        def take(count):
            nonlocal data
            while len(data) < count:
                more = connection.recv(65536)
                if not more:
                    raise Fault("the server closed a connection without a word")
                data += more
            taken, data = data[:count], data[count:]
            return taken

        if take(8) != peer.PREFACE:
            raise Fault("no preface")
        for number, body in enumerate(bodies, 1):
            connection.sendall(peer.encode(peer.REQUEST, body, id=number))
            whole = b""
            while True:
                length, kind, flags, _, _ = struct.unpack(">IBBHI", take(12))
                payload = take(length)
                if kind == peer.CLOSE:
                    code = struct.unpack(">IHHI", payload[:12])[1]
                    if code == peer.BUSY:
                        return None
                    raise Fault(f"CLOSE({peer.code_name(code)}): {payload[12:].decode(errors='replace')}")
                if kind == peer.FAILURE:
                    raise Fault(f"FAILURE: {payload[8:].decode(errors='replace')}")
                if kind == peer.PING:
                    connection.sendall(peer.encode(peer.PONG, payload + struct.pack(">QI", 0, 0)))
                if kind == peer.RESPONSE:
                    whole += payload
                    if not flags & peer.MORE:
                        break
            answers.append(whole)
        connection.sendall(peer.encode_close(peer.NORMAL))
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass
        return answers


def ask(address, bodies):
    """The same, and again while the server is busy: it reaps a moment later."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answers = exchange(address, bodies)
        if answers is not None:
            return answers
        if time.monotonic() > deadline:
            raise Fault("the server stays busy: it does not reap its children")
        time.sleep(0.01)


class Trial:
    def __init__(self, seed, side, binaries):
        self.seed, self.side, self.binaries = seed, side, binaries
        self.rng = random.Random(f"{side} {seed}")
        self.folder = tempfile.mkdtemp(prefix="lifeline-hostile-")
        self.start = quirks.Start(self.rng, self.folder, side)

    def run(self):
        """Returns what became of it, in a word; raises Fault."""
        try:
            outcome = self.server() if self.side == "server" else self.client()
            self.leftovers()
            return outcome
        finally:
            self.sweep()
            shutil.rmtree(self.folder, ignore_errors=True)

    def refused(self, process, has_errors):
        """Judges a process that has ended by itself with an error."""
        status = process.status
        said = process.written[1].decode(errors="replace")
        if status < 0:
            raise Fault(f"signal {-status} ended it; it wrote:\n{said[-2000:]}")
        if status == quirks.NOT_STARTED:
            return "not started by the kernel"
        if status not in SYSEXITS:
            raise Fault(f"status {status} is none of sysexits; it wrote:\n{said[-2000:]}")
        if has_errors and f"\n{self.side}: " not in "\n" + said:
            raise Fault(f"status {status} without a sentence; it wrote:\n{said[-2000:]}")
        self.no_files()
        return f"refused {status}"

    # The server.

    def server(self):
        rng, start = self.rng, self.start
        path = os.path.join(self.folder, "s")
        address = (socket.AF_UNIX, path)
        arguments = [b"--host", b"unix:" + path.encode(), b"--max-connections", b"2", b"--grace", b"3"]
        kind = rng.choice(("echo", "echo", "cat", "look"))
        if start.limits.get(quirks.resource.RLIMIT_NOFILE, (64,))[0] < 32:
            kind = "echo"  # A program gets the limit as it was, and may need more.
        if rng.random() < 0.2:
            arguments += [b"--pool", b"2:4"]
        if rng.random() < 0.3:
            arguments += [b"--control", os.path.join(self.folder, "c").encode()]
        if rng.random() < 0.3:
            arguments += [b"--pidfile", os.path.join(self.folder, "p").encode()]
        is_daemon = rng.random() < 0.15
        log = None
        if is_daemon or rng.random() < 0.2:
            log = os.path.join(self.folder, "l")
            arguments += [b"--log", log.encode()]
        if is_daemon:
            arguments += [b"--daemon"]
            if b"--pidfile" not in arguments:
                arguments += [b"--pidfile", os.path.join(self.folder, "p").encode()]
        kept, ready = None, None
        if rng.random() < 0.2:
            ready, theirs = os.pipe()
            kept = (theirs, rng.choice((3, 7, 30)))
            arguments += [b"--ready-fd", b"%d" % kept[1]]
        if rng.random() < 0.05:
            arguments += [start.noise(), start.noise()]
            arguments = [word for word in arguments if b"\0" not in word]
            start.say("with arguments of any bytes")
        if kind == "cat":
            arguments += [b"--exec", b"/bin/cat"]
        elif kind == "look":
            arguments += [b"--exec-per", b"request", b"--exec", b"/bin/sh", b"-c", LOOK]
        start.say("server %s", b" ".join(arguments).decode(errors="replace").replace(self.folder, "DIR"))
        process = Process(start, self.binaries["server"], arguments, kept)
        if kept:
            os.close(kept[0])
        try:
            return self.judge_server(process, address, kind, is_daemon, ready)
        finally:
            process.end()
            if ready is not None:
                os.close(ready)

    def judge_server(self, process, address, kind, is_daemon, ready):
        start = self.start
        has_errors = 2 not in start.streams
        deadline = time.monotonic() + PATIENCE
        while True:
            if process.poll() is not None and not (is_daemon and process.status == 0):
                process.wait("")
                # A start that has printed where it listens has served; to end then is to fail.
                return self.refused(process, has_errors)
            try:
                with socket.socket(address[0]) as probe:
                    probe.connect(address[1])
                break
            except OSError:
                process.read(0.005)
            if time.monotonic() > deadline:
                raise Fault(f"it neither serves nor ends; it wrote:\n{process.written[1].decode(errors='replace')}")
        pid = process.pid
        if is_daemon:
            if process.wait("the command that starts a daemon") != 0:
                return self.refused(process, has_errors)
            with open(os.path.join(self.folder, "p")) as file:
                pid = int(file.read())
        try:
            self.served(process, pid, address, kind, is_daemon)
        except (OSError, Fault) as error:
            time.sleep(0.01)
            if process.poll() is not None and process.status == 74 and 1 in start.streams:
                process.wait("")
                return self.refused(process, has_errors)  # It listened, and could not say so.
            raise Fault(f"{error}; it wrote:\n{process.written[1].decode(errors='replace')[-2000:]}")
        finally:
            if is_daemon:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except OSError:
                    pass
        if ready is not None and not os.read(ready, 100).startswith(b"listening on "):
            raise Fault("--ready-fd got nothing")
        return "served"

    def served(self, process, pid, address, kind, is_daemon):
        for _ in range(4):
            self.judge(kind, ask(address, [b"one", b"two"]))
        for name in self.rng.sample(quirks.UNUSED, 3):
            os.kill(pid, getattr(signal, "SIG" + name))
        kept = set() if is_daemon else self.start.ignored
        for number in (signal.SIGHUP, signal.SIGUSR1) + tuple(kept & {signal.SIGINT, signal.SIGQUIT}):
            os.kill(pid, number)
        self.judge(kind, ask(address, [b"three"]))
        os.kill(pid, signal.SIGTERM)
        if is_daemon:
            deadline = time.monotonic() + PATIENCE
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    raise Fault("the daemon does not end")
                time.sleep(0.005)
        elif process.wait("after SIGTERM") != 0:
            raise Fault(f"it ended with {process.status} after SIGTERM")
        self.no_files()

    def no_files(self):
        left = [name for name in ("s", "c", "p") if os.path.exists(os.path.join(self.folder, name))]
        if left:
            raise Fault(f"files are left: {left}")

    def judge(self, kind, answers):
        if kind != "look":
            if any(answer not in (b"one", b"two", b"three") for answer in answers):
                raise Fault(f"not the answer: {answers}")
            return
        lines = answers[0].split(b"\n")
        for name in (b"SigBlk", b"SigIgn"):
            line = [line for line in lines if line.startswith(name)]
            if not line or int(line[0].split()[1], 16) != 0:
                raise Fault(f"a program does not start clean: {line}")
        number = quirks.resource.RLIMIT_NOFILE
        soft = self.start.limits.get(number, quirks.resource.getrlimit(number))[0]
        if b"nofile=%d" % soft not in lines:
            raise Fault(f"a program has another limit than {soft}: {[l for l in lines if l.startswith(b'nofile')]}")
        descriptors = [line for line in lines if line.startswith(b"fds=")][0]
        if len(descriptors.split()) > 4:
            raise Fault(f"a program has descriptors: {descriptors}")
        names = [line.split(b"=")[0] for line in lines if line.startswith((b"LIFELINE_SERVER=", b"PROTO=", b"PATH="))]
        if len(names) != len(set(names)) or b"LIFELINE_SERVER" not in names:
            raise Fault(f"a program's environment is odd: {names}")

    # The client.

    def client(self):
        rng, start = self.rng, self.start
        address = self.binaries["address"]
        text = rng.choice((b"hello", b"two words", "käse".encode()))
        arguments = [b"--host", b"127.0.0.1", b"--port", b"%d" % address[1][1], b"--retries", b"1"]
        stdin = b""
        way = rng.choice(("arguments", "arguments", "input", "binary", "bytes"))
        if rng.random() < 0.5:
            arguments += [b"--mode", rng.choice((b"long", b"short"))]
        if way == "arguments":
            arguments += [text, text]
        elif way == "input":
            stdin = text + b"\n" + text + b"\n"
        elif way == "binary":
            arguments += [b"--binary"]
            stdin = text
        else:
            arguments += [start.noise().replace(b"\0", b"") or b"x"]
        start.say("client %s, by %s", arguments, way)
        process = Process(start, self.binaries["client"], arguments, stdin=stdin)
        try:
            status = process.wait("the client")
            has_errors = 2 not in start.streams
            if status != 0:
                return self.refused(process, has_errors)
            reads = way in ("arguments", "bytes") or 0 not in start.streams
            if 1 not in start.streams and reads and way != "bytes":
                expected = text if way == "binary" else text + b"\n" + text + b"\n"
                if process.written[0] != expected:
                    raise Fault(f"it wrote {process.written[0]!r} in place of {expected!r}; "
                                f"{process.written[1].decode(errors='replace')}")
            return "served"
        finally:
            process.end()

    # What is left.

    def leftovers(self):
        """This process is the subreaper of all: what a trial has left behind is its child."""
        deadline = time.monotonic() + 3
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                if time.monotonic() > deadline:
                    raise Fault("processes are left")
                time.sleep(0.002)

    @staticmethod
    def sweep():
        while True:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                children = file.read().split()
            if not children:
                return
            for pid in children:
                os.kill(int(pid), signal.SIGKILL)
                os.waitpid(int(pid), 0)
