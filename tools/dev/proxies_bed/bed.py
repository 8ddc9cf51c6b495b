"""The room of a run: a directory, free ports, the processes that were started, and waits that end."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time


class Failure(Exception):
    """Something is not as it should be."""


def expect(is_so, what, *seen):
    if not is_so:
        raise Failure(": ".join([what, *(str(part)[-1500:] for part in seen)]))


def eventually(read, what, within=5.0):
    """Returns what `read` returns as soon as that is true; fails with what it returned last."""
    deadline = time.monotonic() + within
    while True:
        seen = read()
        if seen:
            return seen
        expect(time.monotonic() < deadline, f"not within {within:g} s", what, seen)
        time.sleep(0.02)


def free_port(kind=socket.AF_INET, address="127.0.0.1"):
    with socket.socket(kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Program:
    """A process with its output in files. It is ended by its number alone."""

    def __init__(self, bed, name, words, input=None, env=None):
        self.name, self.out, self.err = name, bed.path(name + ".out"), bed.path(name + ".err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL, stdout=out, stderr=err,
                cwd=bed.folder, env=env)
        if input is not None:
            self.process.stdin.write(input)
            self.process.stdin.close()

    def said(self):
        """All that it wrote, on both streams."""
        texts = []
        for path in (self.out, self.err):
            with open(path, errors="replace") as file:
                texts.append(file.read())
        return "".join(texts)

    def wait(self, within=20):
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} has not ended within {within} s: {self.said()[-800:]}") from None

    def is_running(self):
        return self.process.poll() is None

    def end(self, within=5):
        """Ends it with SIGTERM, and where that is not enough with SIGKILL."""
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Bed:
    def __init__(self, binaries):
        self.binaries, self.programs, self.count = binaries, [], 0
        self.folder = tempfile.mkdtemp(prefix="proxies-")
        os.chmod(self.folder, 0o711)

    def path(self, name):
        return os.path.join(self.folder, name)

    def copy(self, name, to):
        """A copy of the file; returns its path."""
        return shutil.copyfile(self.path(name), self.path(to))

    def command(self, name):
        return os.path.join(self.binaries, name)

    def start(self, name, *words, **more):
        self.count += 1
        program = Program(self, f"{self.count}-{name}", [str(word) for word in words], **more)
        self.programs.append(program)
        return program

    def run(self, name, *words, within=20, **more):
        """Runs it to its end; returns its status and all that it wrote."""
        program = self.start(name, *words, **more)
        return program.wait(within), program.said()

    def end_programs(self):
        """The proxies end before the servers, in the order in which they came."""
        for program in reversed(self.programs):
            program.end()
        self.programs.clear()

    def end(self, keeps=False):
        self.end_programs()
        if not keeps:
            shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """A Lifeline server behind proxies on 127.0.0.1, unless `proxies` says otherwise."""

    def __init__(self, bed, *flags, proxies=("--proxy-from", "127.0.0.1"), name="server", program=()):
        self.bed, self.port, self.metrics = bed, free_port(), free_port()
        self.log_file, self.control = bed.path(f"{name}-{self.port}.log"), bed.path(f"{name}-{self.port}.ctl")
        self.flags = ["--port", self.port, *proxies, "--metrics", f"127.0.0.1:{self.metrics}", "--timeout", "5",
                      "--handshake-timeout", "3", "--grace", "2", "--max-connections", "2000", *flags]
        self.program = bed.start(
            name, bed.command("server"), *self.flags, "--control", self.control, "--log", self.log_file, *program)
        eventually(lambda: "listening on" in self.program.said() or not self.program.is_running(), "a server listens")
        expect(self.program.is_running(), "the server has not started", self.program.said())

    def log(self):
        with open(self.log_file, errors="replace") as file:
            return file.read()

    def line(self, *texts, within=5.0):
        """The last line of the log with all of these texts, once there is one."""
        def find():
            found = [line for line in self.log().splitlines() if all(text in line for text in texts)]
            return found[-1] if found else None
        return eventually(find, f"a line of the log with {' '.join(texts)}", within)

    def ctl(self, *words):
        done = subprocess.run([self.bed.command("server"), "ctl", "--control", self.control, *words],
                              capture_output=True, text=True, timeout=10)
        expect(done.returncode == 0, "server ctl " + " ".join(words), done.stderr)
        return done.stdout

    def connections(self):
        return [json.loads(line) for line in self.ctl("--json", "connections").splitlines()]


class HAProxy:
    """HAProxy with the configuration that the server generates.

    Files, ports and users are this run's own, and so is what `change` makes of the text."""

    def __init__(self, bed, server, certificate, change=lambda text: text, flags=(), name="haproxy"):
        self.bed, self.name, self.port, self.socket = bed, name, free_port(), bed.path(f"{name}.sock")
        self.file = bed.path(f"{name}.cfg")
        status, text = bed.run("generate", bed.command("server"), *server.flags, *flags, "--generate", "haproxy")
        expect(status == 0, "--generate haproxy", text)
        for pattern, value in (
                (r"^ +(user|group) .*\n", ""), (r"/dev/log local0", "stdout format raw local0"),
                (r"/run/haproxy/admin\.sock", self.socket), (r"/etc/haproxy/lifeline\.pem", certificate),
                (r"/etc/haproxy/clients-ca\.pem", bed.path("ca.pem")),
                (r"/etc/haproxy/clients\.crl", bed.path("ca.crl")),
                (r"bind :7443", f"bind 127.0.0.1:{self.port}"), ("inter 5s", "inter 500ms")):
            text, count = re.subn(pattern, value, text, flags=re.M)
            expect(count or "clients" in pattern or "inter" in pattern, "the generated file has no", pattern)
        with open(self.file, "w") as file:
            file.write(change(text))
        status, said = bed.run("haproxy-check", "haproxy", "-c", "-f", self.file)
        expect(status == 0 and "valid" in said, "haproxy -c", said)
        self.start()

    def start(self, *words):
        """Starts it, and returns when it accepts."""
        self.program = self.bed.start(self.name, "haproxy", "-f", self.file, "-db", *words)
        def accepts():
            if not self.program.is_running():
                raise Failure(f"haproxy has not started: {self.program.said()[-800:]}")
            return os.path.exists(self.socket) and answers(self.socket, str(self.program.process.pid))
        eventually(accepts, "haproxy accepts")

    def tell(self, text):
        """A command for its stats socket, and the answer."""
        return tell(self.socket, text)

    def log(self):
        return self.program.said()


def tell(path, text):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        link.connect(path)
        link.sendall(text.encode() + b"\n")
        parts = []
        while part := link.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


def answers(path, pid):
    """Whether it is this process that answers on the stats socket."""
    try:
        return f"Pid: {pid}\n" in tell(path, "show info")
    except OSError:
        return False
