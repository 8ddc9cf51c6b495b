"""Who is measured: how each is built, started and ended."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
HERE = os.path.join(ROOT, "tools", "dev", "bench")
BUILT = os.path.join(ROOT, ".build", "bench")
RELEASE = os.path.join(ROOT, ".build", "release")
C_FLAGS = ["-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Werror"]

OURS, POOL, SHARED = "lifeline", "lifeline-pool", "lifeline-shared"
LOOP = "c-epoll"
SHARED_BY = "16384"  # connections in one process of SHARED
# The packages of Debian in which they are.
PACKAGES = {"tcpserver": "ucspi-tcp", "xinetd": "xinetd", "socat": "socat"}
ABOUT = {
    OURS: "our server as it comes: a fork for each connection, echo in its loop",
    POOL: "our server with children forked ahead, and used again",
    SHARED: f"our server with up to {SHARED_BY} connections in one process",
    "c": "peers/forking.c: the same behaviour in C, a fork for each connection, static, -O2",
    LOOP: "peers/looping.c: the same behaviour in C, one event loop for all connections, static, -O2",
    "swiftnio": "swiftnio/: the same behaviour on SwiftNIO, a thread for each core",
    "tcpserver": "tcpserver of ucspi-tcp, which starts peers/echo.c (C, static, -O2) for each connection",
    "xinetd": "xinetd, which starts the same",
    "socat": "socat, which starts the same (EXEC with nofork)",
}


class CannotRun(Exception):
    """Why an opponent is left out, or the whole run is."""


def find(program):
    """The path of a program, also where only root looks for them."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def has_flag(command, flag):
    """Whether the --help of a command names a flag."""
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True).stdout
    return re.search(rf"^\s+{flag}\s", shown, re.M) is not None


def require(program, *flags):
    missing = [flag for flag in flags if not has_flag([program], flag)]
    if missing:
        raise CannotRun(f"this server has no {' and no '.join(missing)}")


def _build(command, say):
    say("building: " + " ".join(os.path.relpath(part, ROOT) if part.startswith(ROOT) else part for part in command))
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise CannotRun(f"{command[0]} failed:\n" + "\n".join(done.stdout.splitlines()[-20:]))


def prepare(wanted, pool, say):
    """Builds and installs what is wanted. Returns the opponents that can run, by name, and why others cannot."""
    os.makedirs(BUILT, exist_ok=True)
    for product in ["server", "client"]:
        _build(["swift", "build", "-c", "release", "--product", product], say)
    for name in ["forking", "looping", "echo"]:
        sources = [os.path.join(HERE, "peers", file) for file in (name + ".c", "conversation.c")]
        _build(["cc", *C_FLAGS, "-o", os.path.join(BUILT, name), *sources], say)
    usable, left_out = {}, {}
    for name in wanted:
        try:
            usable[name] = _prepare(name, pool, say)
        except CannotRun as error:
            left_out[name] = str(error)
    return usable, left_out


def _prepare(name, pool, say):
    echo = os.path.join(BUILT, "echo")
    server = [os.path.join(RELEASE, "server"), "--port", "0", "--max-connections", "50000"]
    if name == OURS:
        return Opponent(name, server)
    if name == POOL:
        require(server[0], "--pool", "--pool-reuse")
        return Opponent(name, server + ["--pool", pool[0], "--pool-reuse", pool[1]])
    if name == SHARED:
        require(server[0], "--connections-per-process")
        return Opponent(name, server + ["--connections-per-process", SHARED_BY, "--handler", "echo"])
    if name == LOOP:
        return Opponent(name, [os.path.join(BUILT, "looping"), "--port", "0", "--max-connections", "50000"])
    if name == "c":
        return Opponent(name, [os.path.join(BUILT, "forking"), "--port", "0", "--max-connections", "50000"])
    if name == "swiftnio":
        package = os.path.join(HERE, "swiftnio")
        _build(["swift", "build", "-c", "release", "--package-path", package], say)
        return Opponent(name, [os.path.join(package, ".build", "release", "swiftnio"), "--port", "0"])
    program = find(name)
    if not program:
        if os.geteuid() != 0 or not find("apt-get"):
            raise CannotRun(f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})")
        say(f"installing: {PACKAGES[name]}")
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        done = subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", PACKAGES[name]],
                              env=environment, capture_output=True, text=True)
        program = find(name)
        if done.returncode != 0 or not program:
            raise CannotRun(f"apt-get install {PACKAGES[name]} failed: " + done.stderr.strip()[-200:])
    if name == "tcpserver":
        # No look-ups of names, no delay of small segments, and room for as many as come.
        return Opponent(name, [program, "-D", "-H", "-R", "-l", "0", "-c", "50000", "-b", "4096", "127.0.0.1", "{port}",
                               echo, "--log"])
    if name == "socat":
        return Opponent(name, [program, "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096",
                               f"EXEC:{echo} --log,nofork"])
    return Xinetd(name, [program, "-dontfork", "-f", "{configuration}", "-pidfile", "{pidfile}"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Opponent:
    """A server that can be started, as often as it is needed. Its log goes to a file, as one does in earnest."""

    def __init__(self, name, command):
        self.name = name
        self.command = command
        self.announces = "{port}" not in " ".join(command) and "{configuration}" not in command

    def arguments(self, port, directory):
        return [part.replace("{port}", str(port)) for part in self.command]

    def start(self, directory, own_session=True):
        return Running(self, directory, own_session)


class Xinetd(Opponent):
    def arguments(self, port, directory):
        configuration = os.path.join(directory, "xinetd.conf")
        with open(configuration, "w") as file:
            file.write(f"""defaults
{{
    instances = UNLIMITED
    per_source = UNLIMITED
    cps = 1000000 1
    log_type = FILE {os.path.join(directory, "xinetd.log")}
    log_on_success = EXIT DURATION
}}
service bench
{{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    wait = no
    bind = 127.0.0.1
    port = {port}
    user = {os.geteuid()}
    flags = NODELAY
    server = {os.path.join(BUILT, "echo")}
}}
""")
        # It removes its pidfile when it ends, whatever that is: root's must be a file of this directory.
        pidfile = os.path.join(directory, "xinetd.pid")
        return [part.replace("{configuration}", configuration).replace("{pidfile}", pidfile) for part in self.command]


class Running:
    """A started server: `with opponent.start(directory) as running`. It leads a process group of its own, which is
    ended as a whole, so nothing that it has started is left and nothing else is touched.

    Linux gives each session its share of the processors (sched_autogroup_enabled). Where the server has to compete with
    other programs one by one, all are in one session."""

    def __init__(self, opponent, directory, own_session=True):
        self.name = opponent.name
        self.port = 0 if opponent.announces else free_port()
        self._log = open(os.path.join(directory, "log"), "wb")
        self.process = subprocess.Popen(
            opponent.arguments(self.port, directory), stdin=subprocess.DEVNULL, stderr=self._log, bufsize=0,
            stdout=subprocess.PIPE if opponent.announces else self._log,
            **({"start_new_session": True} if own_session else {"process_group": 0}))
        self.own_session = own_session
        try:
            self._wait_until_it_listens(opponent)
        except BaseException:
            self.end()
            raise

    @property
    def pid(self):
        return self.process.pid

    def _wait_until_it_listens(self, opponent):
        if opponent.announces:
            line = self.process.stdout.readline().decode()
            if not line.startswith("listening on "):
                raise CannotRun(f"{self.name} did not start: {self._end_of_log()}")
            self.port = int(line.rsplit(":", 1)[1])
            return
        until = time.monotonic() + 5
        while True:
            if self.process.poll() is not None:
                raise CannotRun(f"{self.name} ended at once: {self._end_of_log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise CannotRun(f"{self.name} does not listen: {self._end_of_log()}") from None
                time.sleep(0.01)

    def _end_of_log(self):
        with open(self._log.name, errors="replace") as log:
            return log.read()[-300:].strip() or "it said nothing"

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            pass
        try:
            # Children of servers that do not end them themselves. The group is ours for as long as one of them lives.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
