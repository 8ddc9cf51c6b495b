"""What a process can inherit, as quirks: each is chosen by a seed, said in words, and done between fork and exec."""

import ctypes
import os
import resource
import signal

LIBC = ctypes.CDLL(None, use_errno=True)
# glibc's sigaction(3) hides two signals, and its raise(3) is not needed: these are for the calls that Python lacks.
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_TIMERSLACK, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 29, 36, 38
ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, UNAME26, SHORT_INODE = 0x40000, 0x400000, 0x20000, 0x1000000

SIGNALS = [number for number in range(1, 65) if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33)]
# What ends a process that does not expect it, where nobody has asked it to end.
UNUSED = ["USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT", "XFSZ", "PIPE", "TTOU", "RTMIN", "RTMAX"]


# The kernel has refused execve(2), as where the environment is too large for the limit of the stack.
NOT_STARTED = 199


class Start:
    """How one process is started: every field is what execve(2) is given, or keeps."""

    def __init__(self, rng, folder, side):
        self.rng, self.folder, self.side = rng, folder, side
        self.words = []  # in words, for a person
        self.ignored, self.blocked, self.pending = set(), set(), set()
        self.limits = {}
        self.closed, self.streams, self.extra = set(), {}, []
        self.few_files = False
        self.calls = []  # what else is called before exec
        self.environment = None
        self.name = None
        kinds = [self.dispositions, self.mask, self.limit, self.descriptors, self.others, self.variables, self.place,
                 self.called]
        for kind in rng.sample(kinds, rng.choice((1, 1, 2, 3, 4, 8))):
            kind()

    def say(self, text, *values):
        self.words.append(text % values)

    # Signals.

    def some(self):
        return set(self.rng.choice((SIGNALS, self.rng.sample(SIGNALS, self.rng.randint(1, 20)), [signal.SIGCHLD],
                                    [signal.SIGINT, signal.SIGQUIT], [signal.SIGHUP], [signal.SIGPIPE])))

    def dispositions(self):
        self.ignored = self.some()
        self.say("ignored %s", sorted(self.ignored))

    def mask(self):
        self.blocked = self.some()
        # What waits for a process to end it is meant so, and no part of this.
        harmless = self.blocked - {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}
        if self.rng.random() < 0.4 and harmless:
            self.pending = set(self.rng.sample(sorted(harmless), self.rng.randint(1, min(6, len(harmless)))))
        self.say("blocked %s, of them pending %s", sorted(self.blocked), sorted(self.pending))

    # Limits.

    def limit(self):
        kib, mib = 1024, 1 << 20
        values = {
            "NOFILE": (0, 1, 3, 8, 16, 31, 32, 33, 64, 200, 1024, 65536),
            "FSIZE": (0, 1, 100, 2048, 65536, mib),
            "STACK": (64 * kib, 128 * kib, 256 * kib, 512 * kib, mib, 64 * mib, 2048 * mib, -1),
            "CORE": (0, 1, -1), "MEMLOCK": (0, 65536, -1), "SIGPENDING": (0, 1, 100), "MSGQUEUE": (0,),
            "CPU": (1, 4, 5, 60, 3600), "RTPRIO": (0,), "NICE": (0,),
            "AS": (20 * mib, 31 * mib, 32 * mib, 40 * mib, 64 * mib, 256 * mib, 8192 * mib),
            "DATA": (8 * mib, 31 * mib, 32 * mib, 64 * mib, 8192 * mib),
        }
        # At the first tick of its clock the kernel kills a process with RLIMIT_CPU 0, whatever it does.
        for name in self.rng.sample(sorted(values), self.rng.choice((1, 1, 2, 4))):
            number, value = getattr(resource, "RLIMIT_" + name), self.rng.choice(values[name])
            _, hard = resource.getrlimit(number)
            if hard != -1 and (value == -1 or value > hard):
                value = hard
            is_hard = self.rng.random() < 0.5
            # A loader of shared libraries needs some memory and descriptors itself, and its word is its own.
            if self.side == "client" and is_hard and (
                    name == "NOFILE" and value < 16 or name in ("AS", "DATA") and value < 64 * mib):
                continue
            if self.side == "client" and name == "NOFILE":
                value = max(value, 16)
                self.few_files = value < 1000
            if self.side == "client" and name == "AS":
                value = max(value, 64 * mib)
            self.limits[number] = (value, value if is_hard else hard)
            self.say("RLIMIT_%s %s%s", name, value, "" if is_hard else " (soft)")

    # Descriptors.

    def descriptors(self):
        rng = self.rng
        for number in (0, 1, 2):
            if rng.random() < 0.5:
                continue
            kinds = ["closed", "null for reading", "null for writing", "directory", "socket", "broken pipe",
                     "path alone", "deleted file"]
            # What is read without an end would be waited for without an end, and rightly so.
            kind = rng.choice(kinds + (["full", "eventfd"] if number else []))
            self.streams[number] = kind
            self.say("descriptor %d: %s", number, kind)

    def others(self):
        for _ in range(self.rng.choice((1, 5, 60, 300))):
            self.extra.append(self.rng.choice((self.rng.randint(3, 20), self.rng.randint(3, 900))))
        self.say("%d descriptors more, up to %d", len(set(self.extra)), max(self.extra))

    def open_stream(self, kind):
        if kind == "null for reading":
            return os.open("/dev/null", os.O_RDONLY)
        if kind == "null for writing":
            return os.open("/dev/null", os.O_WRONLY)
        if kind == "directory":
            return os.open("/", os.O_RDONLY)
        if kind == "full":
            return os.open("/dev/full", os.O_RDWR)
        if kind == "socket":
            ours, theirs = __import__("socket").socketpair()
            ours.detach()
            return theirs.detach()
        if kind == "broken pipe":
            reading, writing = os.pipe()
            os.close(reading)
            return writing
        if kind == "path alone":
            return os.open("/dev/null", os.O_PATH)
        if kind == "deleted file":
            path = os.path.join(self.folder, "deleted")
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.unlink(path)
            return number
        return os.eventfd(0)

    # The environment and the arguments.

    def noise(self, most=40):
        return bytes(self.rng.randint(1, 255) for _ in range(self.rng.randint(0, most)))

    def variables(self):
        rng = self.rng
        kind = rng.choice(("empty", "odd", "many", "doubled", "ours"))
        base = [b"PATH=/usr/bin:/bin", b"HOME=/root", b"USER=root"]
        if kind == "empty":
            base = []
        elif kind == "odd":
            base += [self.noise() for _ in range(20)] + [b"", b"=", b"=x", b"NOEQUALS", b"A=\xff\xfe", b"TZ=:/dev/null"]
            rng.shuffle(base)
        elif kind == "many":
            base += [b"TCP_ECHO_%d_SERVICE_HOST=10.0.0.%d" % (n, n % 250) for n in range(3000)]
        elif kind == "doubled":
            base += [b"PATH=/nowhere", b"HOME=/tmp", b"LIFELINE_SERVER=1", b"LIFELINE_SERVER=2", b"USER=x"] * 3
        else:
            base += [b"LISTEN_FDS=1", b"LISTEN_PID=1", b"LISTEN_FDNAMES=a:b", b"NOTIFY_SOCKET=" + self.noise(200),
                     b"WATCHDOG_USEC=" + rng.choice((b"0", b"1", b"-1", b"x", b"9223372036854775807",
                                                     b"18446744073709551616")),
                     b"WATCHDOG_PID=" + self.noise(5), b"TCPREMOTEIP=1.2.3.4", b"PROTO=UNIX", b"UNIXLOCALPATH=/x",
                     b"LANG=" + self.noise(10), b"TERM=", b"MALLOC_CHECK_=3", b"MALLOC_PERTURB_=170",
                     b"GLIBC_TUNABLES=" + self.noise(10).replace(b"=", b"")]
        self.environment = [entry for entry in base if b"\0" not in entry]
        self.say("environment: %s, %d entries", kind, len(self.environment))

    def called(self):
        self.name = self.rng.choice((b"", b"/", b"-server", self.noise(), b"x" * 3000, None))
        self.say("called %r", self.name if self.name is None else self.name[:40])

    # What is left: each is a call.

    def place(self):
        rng = self.rng
        kinds = {
            "in a directory that is gone": self.leave_directory,
            "umask 0": lambda: os.umask(0),
            "umask 0777": lambda: os.umask(0o777),
            "nice 15": lambda: os.nice(15),
            "SCHED_BATCH": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
            "one processor": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
            "timers": self.timers,
            "waits may end an hour late": lambda: LIBC.prctl(PR_SET_TIMERSLACK, 3600 * 10**9),
            "a subreaper": lambda: LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1),
            "no new privileges": lambda: LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            "not dumpable": lambda: LIBC.prctl(PR_SET_DUMPABLE, 0),
            "SIGUSR2 at the parent's death": lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGUSR2),
            "addresses that are not random": lambda: LIBC.personality(ADDR_NO_RANDOMIZE),
            "pages that can be executed": lambda: LIBC.personality(READ_IMPLIES_EXEC),
            "another name of the system": lambda: LIBC.personality(UNAME26 | SHORT_INODE),
            "the last to be killed": lambda: self.write("/proc/self/oom_score_adj", rng.choice((b"1000", b"500"))),
            "with a child that has ended": self.leave_child,
            "in a session of its own": None,
        }
        for name in rng.sample(sorted(kinds), rng.randint(1, 5)):
            self.say("%s", name)
            if kinds[name]:
                self.calls.append(kinds[name])

    def leave_directory(self):
        path = os.path.join(self.folder, "gone")
        os.mkdir(path)
        os.chdir(path)
        os.rmdir(path)

    @staticmethod
    def timers():
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 1.0, 0.2)

    @staticmethod
    def leave_child():
        if os.fork() == 0:
            os._exit(7)

    @staticmethod
    def write(path, data):
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError:
            pass

    # Between fork and exec.

    def become(self, path, arguments, streams, kept):
        """Takes the place of this process, which has been forked: `streams` are the three standard descriptors unless a
        quirk says otherwise, and `kept` is a descriptor that stays where it is, or None."""
        os.setsid()
        for call in self.calls:
            call()
        numbers = [self.open_stream(self.streams[n]) if self.streams.get(n, "closed") != "closed" else streams[n]
                   for n in range(3)]
        # Above all others first, so that none of them is overwritten before it is copied.
        high = [self.duplicate(number, 1000 + n) for n, number in enumerate(numbers)]
        if kept is not None:
            kept = (self.duplicate(kept[0], 1010), kept[1])
        os.closerange(3, 1000)
        for n in range(3):
            os.dup2(high[n], n)
        if kept is not None:
            os.dup2(kept[0], kept[1])
        if self.few_files:
            self.extra = []
        for number in set(self.extra) - {kept[1] if kept else -1}:
            os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), number)
        os.closerange(1000, 1020)
        for n, kind in self.streams.items():
            if kind == "closed":
                os.close(n)
        environment = self.environment
        if environment is None:
            environment = [key + b"=" + value for key, value in os.environb.items()]
        argv = [b"server" if self.side == "server" else b"client"] if self.name is None else [self.name]
        argv += arguments
        words = (ctypes.c_char_p * (len(argv) + 1))(*argv, None)
        variables = (ctypes.c_char_p * (len(environment) + 1))(*environment, None)
        for number in SIGNALS:
            try:
                signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)
        for number in self.pending:
            os.kill(os.getpid(), number)
        for number, (soft, hard) in self.limits.items():
            resource.setrlimit(number, (soft, hard))
        LIBC.execve(path, words, variables)
        os._exit(NOT_STARTED)

    @staticmethod
    def duplicate(number, to):
        os.dup2(number, to, inheritable=False)
        return to
