import Glibc
import Testing
import RawWire

extension Live.Operations {
    /// `server --check`: what the limits of this system allow.
    @Suite("--check") struct Check {}
}

extension Live.Operations.Check {
    /// Its exit status, and what it prints.
    private func check(_ arguments: String..., prefix: [String] = []) throws -> (Spawned.Exit, String) {
        let server = try Spawned("server", ["--check"] + arguments, prefix: prefix)
        let exit = try server.wait()
        #expect(server.errors.textSoFar.isEmpty, "\(server.errors.textSoFar)")
        return (exit, server.output.textSoFar)
    }

    /// The columns of the line that begins with `name`.
    private func row(_ name: String, _ text: String) throws -> [Substring] {
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") }, "\(name) in:\n\(text)")
        return line.dropFirst(name.count).split(separator: " ")
    }

    private func number(_ path: String) -> Substring? {
        ProcessFiles.text(path)?.split { $0 == "\n" || $0 == "\t" }.first
    }

    @Test("It prints a table of what the system says, and that a configuration fits, with status 0")
    func fits() throws {
        let (exit, text) = try check("--max-connections", "1", "--port", "1", "--handler", "count")
        #expect(exit == .status(0))
        for name in ["pid_max", "threads-max"] {
            #expect(try row("kernel.\(name)", text)[0] == number("/proc/sys/kernel/\(name)")!)
        }
        #expect(try row("fs.file-max", text)[0] == number("/proc/sys/fs/file-max")!)
        #expect(try row("available memory", text).suffix(3).prefix(2) == ["256", "KiB"])
        #expect(try row("RLIMIT_NOFILE", text).suffix(2) == ["-", "any"])
        let hasTracking = access("/proc/sys/net/netfilter/nf_conntrack_max", R_OK) == 0
        #expect(text.contains("nf_conntrack_max") == hasTracking)
        #expect(text.contains("\n--max-connections 1 is possible. More are stopped by "))
        #expect(try !check("--host", "unix:/tmp/never").1.contains("nf_conntrack_max"))
    }

    @Test("Processes that wait are counted with what is used, at their most")
    func pool() throws {
        let prefix = ["/usr/bin/prlimit", "--nofile=200:200"]
        let (without, with) = (
            try check("--max-connections", "1", prefix: prefix).1,
            try check("--max-connections", "1", "--pool", "4:100", prefix: prefix).1
        )
        #expect(try row("RLIMIT_NOFILE", without)[1] == "16" && row("RLIMIT_NOFILE", with)[1] == "116")
        #expect(try row("available memory", with)[2] == "25" && row("available memory", with)[3] == "MiB")
    }

    @Test("What does not fit ends with status 71, the limit that stops it, and where to raise it")
    func doesNotFit() throws {
        let (exit, text) = try check(
            "--max-connections", "4000000", prefix: ["/usr/bin/prlimit", "--nofile=15:15"])
        #expect(exit == .status(71))
        #expect(
            text.hasSuffix(
                "--max-connections 4000000 is not possible: RLIMIT_NOFILE stops it at 0. Raise it (ulimit -n, "
                    + "LimitNOFILE=), or lower --max-connections.\n"))
    }

    @Test("A backlog that the system cuts, and few descriptors, are remarks")
    func remarks() throws {
        let (exit, text) = try check(
            "--max-connections", "1", "--backlog", "2147483647",
            prefix: ["/usr/bin/prlimit", "--nofile=64:64"])
        #expect(exit == .status(0))
        #expect(text.contains("--backlog 2147483647 is cut to \(number("/proc/sys/net/core/somaxconn")!):"))
        #expect(text.contains("RLIMIT_NOFILE 64 is little: below 144,"))
    }

    @Test("What it says of processes is what comes true", .enabled(if: Spawned.mayDropPrivileges))
    func processes() throws {
        let prefix = Spawned.unprivileged(54324) + ["/usr/bin/prlimit", "--nproc=12:12"]
        let text = try check(prefix: prefix).1
        let allowed = try #require(Int(row("RLIMIT_NPROC", text).last!))
        #expect((1...11).contains(allowed) && text.contains("RLIMIT_NPROC stops it at \(allowed)."), "\(text)")
        try withServer([], prefix: prefix) { server in
            let peers = try (0..<allowed).map { _ in try server.open() }
            let next = try server.connect()
            try next.takePreface()
            #expect(try next.takeFrame().notice?.code == .busy)
            for peer in peers { peer.close() }
        }
    }

    @Test(
        "The user that the server becomes is the one whose processes count; root's do not", .enabled(if: geteuid() == 0)
    )
    func user() throws {
        let prefix = ["/usr/bin/prlimit", "--nproc=5:5"]
        #expect(try row("RLIMIT_NPROC (not of root)", check(prefix: prefix).1).first == "none")
        let (exit, text) = try check("--user", "54399", "--group", "54399", prefix: prefix)
        #expect(exit == .status(71))
        // The parent is one of five.
        #expect(try row("RLIMIT_NPROC", text) == ["5", "1", "1", "4"])
        let unknown = try Spawned("server", ["--check", "--user", "no-such-user"])
        #expect(try unknown.wait() == .status(67))
    }

    /// Whether a mount namespace can be made, in which other files stand in /sys/fs/cgroup.
    static let mayMount: Bool = {
        let unshare = try? Spawned(["/usr/bin/unshare", "-m", "/bin/mount", "-t", "tmpfs", "x", "/sys/fs/cgroup"])
        return (try? unshare?.wait()) == .status(0)
    }()

    @Test("The limits of control groups count, with what is used of them", .enabled(if: mayMount))
    func groups() throws {
        let files = [
            "pids.max": "1000", "pids.current": "990", "memory.max": "134217728", "memory.current": "67108864",
            "memory.stat": "anon 5\\nfile 7\\ninactive_file 33554432\\nactive_file 9",
        ]
        // Whatever groups this process is in: their roots have these files, of version 2.
        let script =
            "mount -t tmpfs x /sys/fs/cgroup && cd /sys/fs/cgroup && "
            + files.map { "printf '\($1)\\n' > \($0)" }.joined(separator: " && ") + " && exec \"$@\""
        let (exit, text) = try check(
            "--max-connections", "11", prefix: ["/usr/bin/unshare", "-m", "/bin/sh", "-c", script, "sh"])
        #expect(exit == .status(71))
        #expect(try row("pids.max of /sys/fs/cgroup", text) == ["1000", "990", "1", "10"])
        #expect(try row("memory of /sys/fs/cgroup", text) == ["128", "MiB", "32", "MiB", "256", "KiB", "384"])
        #expect(text.contains("pids.max of /sys/fs/cgroup stops it at 10. Raise it (TasksMax=)"))
    }
}
