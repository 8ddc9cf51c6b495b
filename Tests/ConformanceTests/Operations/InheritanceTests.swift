import Glibc
import RawWire
import Testing

extension Live.Operations {
    /// What a process inherits: each row of a table is one way to start it.
    @Suite("What a process inherits") struct Inherited {}
}

/// A way to start a command: a prefix that becomes it.
struct HostileStart: CustomTestStringConvertible {
    let testDescription: String
    let prefix: [String]
    /// What the log says of it; nil where there is nothing to say.
    var remark: String?

    init(_ name: String, _ prefix: [String], remark: String? = nil) {
        testDescription = name
        self.prefix = prefix
        self.remark = remark
    }

    static let all = [
        HostileStart("SIGCHLD ignored", ["env", "--ignore-signal=CHLD"], remark: "SIGCHLD was ignored"),
        HostileStart("every signal ignored", ["env", "--ignore-signal"], remark: "SIGTERM"),
        HostileStart("every signal blocked", ["env", "--block-signal"], remark: "blocked at the start"),
        HostileStart("few descriptors", shell("ulimit -Sn 40; exec \"$@\""), remark: "RLIMIT_NOFILE"),
        HostileStart("a small stack", shell("ulimit -Ss 300; exec \"$@\""), remark: "RLIMIT_STACK"),
        HostileStart("small files", shell("ulimit -f 0; exec \"$@\""), remark: "RLIMIT_FSIZE"),
        HostileStart("an hour of processor time", shell("ulimit -t 3600; exec \"$@\""), remark: "RLIMIT_CPU"),
        HostileStart("other descriptors", shell("exec \"$@\" 3</dev/null 4</dev/null 9>/dev/null")),
        HostileStart("an empty environment", ["env", "-i"]),
        HostileStart(
            "a directory that is gone", shell("d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$@\"")),
        HostileStart("umask 0777", shell("umask 0777; exec \"$@\"")),
        HostileStart("a low priority", ["nice", "-n", "10"]),
        HostileStart("standard input for writing", shell("exec \"$@\" 0>/dev/null")),
        HostileStart("addresses that are not random", ["setarch", "-R"]),
    ]
}

extension Live.Operations.Inherited {
    @Test(
        "The server serves as always, ends at SIGTERM, and says what was out of the ordinary",
        arguments: HostileStart.all)
    func serves(_ start: HostileStart) throws {
        try withServer("--max-connections", "2", prefix: start.prefix) { server in
            // More than there may be at a time: children are reaped.
            for _ in 0..<4 {
                try expectAnswer(from: server.address)
                try server.waitForChildren(0)
            }
            if let remark = start.remark {
                try server.log.line(with: " inherited ", remark)
            } else {
                #expect(!server.log.textSoFar.contains(" inherited "), "\(server.log.textSoFar)")
            }
        }
    }

    @Test("A program with the library in it serves as always", arguments: HostileStart.all.prefix(3))
    func library(_ start: HostileStart) throws {
        try withServer(command: "handlers", prefix: start.prefix) { server in
            for _ in 0..<4 {
                try expectAnswer(from: server.address)
                try server.waitForChildren(0)
            }
        }
    }

    @Test("The client answers as always", arguments: HostileStart.all.prefix(7))
    func client(_ start: HostileStart) throws {
        try withServer { server in
            let client = try Spawned("client", ["--port", "\(server.port)", "one", "two"], prefix: start.prefix)
            try client.expectStatus(0)
            #expect(client.output.textSoFar == "one\ntwo\n")
        }
    }

    @Test("A program starts clean, with the limits that the server was given", arguments: HostileStart.all.prefix(7))
    func program(_ start: HostileStart) throws {
        let limits = "ulimit -Sn; ulimit -Ss; ulimit -f; ulimit -St"
        let plain = try Spawned("/bin/sh", ["-c", limits], prefix: start.prefix)
        try plain.expectStatus(0)
        // One write, so that the answer is one part.
        let look = "a=$(grep -cE '^Sig(Blk|Ign):[[:space:]]0*$' /proc/self/status; \(limits)); echo \"$a\""
        try withServer(["--exec-per", "request", "--exec", "/bin/sh", "-c", look], prefix: start.prefix) { server in
            let peer = try server.open()
            #expect(try peer.answers(to: [""]) == ["2\n" + plain.output.textSoFar])
            try peer.send(.close())
            _ = try peer.takeClose()
        }
    }

    // MARK: Signals

    @Test("A signal that nothing is made of ends no server")
    func unused() throws {
        try withServer { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            let unused = [
                SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, 16, SIGXCPU, SIGXFSZ, SIGPIPE, SIGTTOU, 34, 64,
            ]
            for signal in unused {
                kill(server.pid, signal)
                kill(child, signal)
            }
            #expect(try peer.answers(to: ["still there"]) == ["still there"])
            try peer.send(.close())
            _ = try peer.takeClose()
            try expectAnswer(from: server.address)
        }
    }

    @Test("A signal that was ignored at the start stays ignored", arguments: ["HUP", "INT", "QUIT", "USR1"])
    func staysIgnored(_ name: String) throws {
        let signals = ["HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "USR1": SIGUSR1]
        let signal = try #require(signals[name])
        try withServer(prefix: ["env", "--ignore-signal=\(name)"]) { server in
            try server.log.line(with: " inherited ", "SIG\(name) was ignored at the start, and stays so")
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(server.pid, signal)
            kill(child, signal)
            #expect(try peer.answers(to: ["still there"]) == ["still there"])
            try peer.send(.close())
            _ = try peer.takeClose()
            try server.log.line(with: " closed ")
            #expect(!["draining", "quitting", "reloaded"].contains { server.log.textSoFar.contains(" \($0)") })
        }
    }

    @Test("A daemon keeps no wish of the shell that started it")
    func daemonObeys() throws {
        let directory = try TemporaryDirectory()
        let command = try Spawned(
            "server", ["--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid")],
            prefix: ["env", "--ignore-signal=INT"])
        try command.expectStatus(0)
        let pid = try #require(directory.text("pid").flatMap { pid_t($0.dropLast()) })
        kill(pid, SIGINT)
        #expect(eventually { hasGone(pid) })
        try directory.line(of: "log", with: " stopped ")
    }

    // MARK: Descriptors

    @Test("A daemon holds no lock of its starter, and no pipe; a child holds none either")
    func descriptors() throws {
        let directory = try TemporaryDirectory()
        let hold = shell("exec 9>'\(directory.file("lock"))'; exec \"$@\"")
        let command = try Spawned(
            "server", ["--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid")],
            prefix: hold)
        try command.expectStatus(0)
        let pid = try #require(directory.text("pid").flatMap { pid_t($0.dropLast()) })
        let held = { ProcessFiles.descriptors(of: pid).values }
        #expect(!held().contains { $0.hasSuffix("/lock") }, "\(held())")
        // The one to the command, which has just been told, goes a moment later.
        #expect(eventually { !held().contains { $0.hasPrefix("pipe:") } }, "\(held())")
        kill(pid, SIGTERM)
        #expect(eventually { hasGone(pid) })

        try withServer(prefix: hold) { server in
            // In the foreground it is the lock of whoever started it that way.
            #expect(ProcessFiles.descriptors(of: server.pid)[9] == directory.file("lock"))
            let peer = try server.open()
            let child = try server.onlyChild()
            #expect(!ProcessFiles.descriptors(of: child).values.contains(directory.file("lock")))
            try peer.send(.close())
            _ = try peer.takeClose()
        }
    }

    @Test(
        "What cannot be written to is said, with a status",
        arguments: [
            ("exec \"$@\" --help >&-", Int32(74)), ("exec \"$@\" --help 1</dev/null", 74),
            ("exec \"$@\" --check 1</dev/null", 74), ("exec \"$@\" --port 0 --ready-fd 5 5</dev/null", 64),
        ])
    func unwritable(_ script: String, _ status: Int32) throws {
        let server = try Spawned("server", [], prefix: shell(script))
        try server.expectStatus(status)
        #expect(server.errors.textSoFar.hasPrefix("server: "))
    }

    @Test("In a directory that is gone a relative path is an error that names it, and no other start is")
    func goneDirectory() throws {
        let gone = shell("d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$@\"")
        let server = try Spawned("server", ["--daemon", "--port", "0", "--log", "here.log"], prefix: gone)
        try server.expectStatus(71)
        #expect(server.errors.textSoFar.contains("'here.log'"))
        try withServer("--chdir", "/", prefix: gone) { try expectAnswer(from: $0.address) }
    }

    // MARK: Limits

    @Test("A log that may not grow loses lines, and the server lives")
    func smallLog() throws {
        let directory = try TemporaryDirectory()
        try withServer(prefix: shell("ulimit -f 1; exec \"$@\""), errors: .file(directory.file("log"))) { server in
            for _ in 0..<12 { try expectAnswer(from: server.address) }
            #expect(directory.text("log")?.utf8.count ?? 0 <= 1024)
        }
    }

    @Test("A limit in which the server cannot work is named", arguments: ["-n 30", "-t 2", "-v 24000", "-d 24000"])
    func tooLow(_ limit: String) throws {
        // A command that loads libraries needs more than that for them.
        let server = try Spawned("server", ["--port", "0"], prefix: shell("ulimit \(limit); exec \"$@\""))
        let exit = try server.wait()
        _ = server.errors.waitForEnd()
        if server.errors.textSoFar.contains("loading shared libraries") { return }
        #expect(exit == .status(71))
        #expect(server.errors.textSoFar.contains("ulimit \(limit.prefix(2))"), "\(server.errors.textSoFar)")
    }

    // MARK: The environment

    @Test("Only the variables of UCSPI and our own are replaced, and each name is there once")
    func variables() throws {
        let prefix = [
            "env", "TCP_ECHO_SERVICE_HOST=10.0.0.1", "TCPDUMP=x", "PROTOCOL=y", "LIFELINE_SERVICE_HOST=10.0.0.2",
            "UNIXLOCALE=z", "TCPREMOTEIP=9.9.9.9", "TCPREMOTEINFO=somebody", "LIFELINE_NAME=somebody",
        ]
        try withServer(["--exec-per", "request", "--exec", "env"], prefix: prefix) { server in
            let peer = try server.open()
            let lines = try peer.answers(to: [""])[0].split(separator: "\n").map(String.init)
            for kept in prefix.dropFirst().prefix(5) { #expect(lines.contains(kept)) }
            #expect(lines.contains("TCPREMOTEIP=127.0.0.1"))
            #expect(!lines.contains { $0.hasPrefix("TCPREMOTEINFO=") || $0.hasPrefix("LIFELINE_NAME=") })
            #expect(lines.filter { $0.hasPrefix("TCPREMOTEIP=") }.count == 1)
            try peer.send(.close())
            _ = try peer.takeClose()
        }
    }

    @Test("With --user the environment names that user", .enabled(if: geteuid() == 0 && Spawned.mayDropPrivileges))
    func user() throws {
        let prefix = [
            "env", "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/zsh", "XDG_RUNTIME_DIR=/run/user/0",
        ]
        for (user, expected) in [
            ("nobody", ["HOME=/nonexistent", "LOGNAME=nobody", "USER=nobody"]), ("54321", ["HOME=/"]),
        ] {
            let arguments = ["--user", user, "--group", "54321", "--exec-per", "request", "--exec", "env"]
            try withServer(arguments, prefix: prefix) { server in
                let peer = try server.open()
                let lines = try peer.answers(to: [""])[0].split(separator: "\n").map(String.init)
                let names = ["HOME=", "USER=", "LOGNAME=", "XDG_RUNTIME_DIR="]
                #expect(lines.filter { line in names.contains { line.hasPrefix($0) } }.sorted() == expected)
                #expect(!lines.contains("SHELL=/bin/zsh"))
                try peer.send(.close())
                _ = try peer.takeClose()
            }
        }
    }
}
