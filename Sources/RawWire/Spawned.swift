import Glibc

/// A command that a test has started. It inherits nothing but its three standard streams.
package final class Spawned {
    /// What one of the standard streams is.
    package enum Stream {
        case null
        /// The test reads from it, or writes to it.
        case pipe
        case closed
        case file(String)
        /// A descriptor that the test keeps.
        case descriptor(Int32)
    }

    package enum Exit: Equatable, CustomStringConvertible {
        case status(Int32)
        case signal(Int32)

        package var description: String {
            switch self {
            case .status(let status): "exit status \(status)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    package let pid: pid_t
    package let name: String
    /// What it writes to standard output and standard error; empty where that is no pipe.
    package let output: PipeReader
    package let errors: PipeReader
    private var input: Int32?
    package private(set) var exit: Exit?
    /// What it and the children that it waited for used, once it has ended.
    package private(set) var usage = rusage()

    /// Starts a command: a path or a name that PATH finds, and its arguments (posix_spawnp(3)).
    package init(
        _ line: [String], input: Stream = .null, output: Stream = .pipe, errors: Stream = .pipe
    ) throws {
        name = line[0]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var handedOver: [Int32] = []
        self.input = try Spawned.attach(input, to: 0, &actions, &handedOver)
        self.output = PipeReader(try Spawned.attach(output, to: 1, &actions, &handedOver))
        self.errors = PipeReader(try Spawned.attach(errors, to: 2, &actions, &handedOver))
        // All that we open is closed on exec; these are what others in this process may have open.
        for descriptor: Int32 in 3..<256 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        pid = try Spawned.spawn(line, &actions)
        for descriptor in handedOver { OpenDescriptors.close(descriptor) }
    }

    deinit {
        closeInput()
        if exit == nil {
            kill(SIGKILL)
            waitpid(pid, nil, 0)
        }
    }

    private static func spawn(_ line: [String], _ actions: inout posix_spawn_file_actions_t) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        // The runtime may be told to explain crashes, which takes seconds; a crash here is meant to be one.
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no")]
        var next = environ
        while let variable = next.pointee {
            if strncmp(variable, "SWIFT_BACKTRACE=", 16) != 0 { environment.append(strdup(variable)) }
            next += 1
        }
        environment.append(nil)
        defer { for variable in environment { free(variable) } }
        var pid: pid_t = 0
        let code = OpenDescriptors.betweenStarts {
            posix_spawnp(&pid, line[0], &actions, &attributes, &words, &environment)
        }
        errno = code
        guard code == 0 else { throw systemError("posix_spawnp \(line[0])") }
        return pid
    }

    /// Says what `number` is in the new process; returns the test's end of a pipe.
    private static func attach(
        _ stream: Stream, to number: Int32, _ actions: inout posix_spawn_file_actions_t, _ handedOver: inout [Int32]
    ) throws -> Int32? {
        switch stream {
        case .null: posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
        case .closed: posix_spawn_file_actions_addclose(&actions, number)
        case .file(let path):
            posix_spawn_file_actions_addopen(&actions, number, path, O_RDWR | O_CREAT | O_APPEND, 0o600)
        case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, number)
        case .pipe:
            let (reading, writing) = try OpenDescriptors.pipe()
            let theirs = number == 0 ? reading : writing
            posix_spawn_file_actions_adddup2(&actions, theirs, number)
            handedOver.append(theirs)
            return number == 0 ? writing : reading
        }
        return nil
    }

    /// Writes to its standard input.
    package func write(_ text: String) throws {
        guard let input else { throw Unexpected("the standard input of \(name) is no pipe") }
        let bytes = Array(text.utf8)
        guard Glibc.write(input, bytes, bytes.count) == bytes.count else { throw systemError("write to \(name)") }
    }

    package func closeInput() {
        if let input { OpenDescriptors.close(input) }
        input = nil
    }

    /// Sends it a signal; a process that has been waited for gets none.
    package func kill(_ signal: Int32) {
        if exit == nil { Glibc.kill(pid, signal) }
    }

    /// Waits until it ends.
    @discardableResult
    package func wait(within limit: Duration = RawPeer.patience) throws -> Exit {
        guard try eventually(within: limit, { try hasEnded() }), let exit else {
            throw Unexpected("\(name) did not end within \(limit); it wrote:\n\(errors.textSoFar)")
        }
        return exit
    }

    package func hasEnded() throws -> Bool {
        guard exit == nil else { return true }
        var status: Int32 = 0
        let ended = wait4(pid, &status, WNOHANG, &usage)
        guard ended >= 0 else { throw systemError("wait4") }
        guard ended == pid else { return false }
        exit = status & 0x7F == 0 ? .status(status >> 8 & 0xFF) : .signal(status & 0x7F)
        return true
    }
}

/// The reading end of a pipe, line by line.
package final class PipeReader {
    private let descriptor: Int32?
    private var bytes: [UInt8] = []
    /// How many bytes of `bytes` are lines that have been taken.
    private var taken = 0
    /// Every process that could write to it has closed it.
    package private(set) var hasEnded: Bool

    package init(_ descriptor: Int32?) {
        self.descriptor = descriptor
        hasEnded = descriptor == nil
        // F_SETPIPE_SZ: a log of some thousand lines fits in while nobody reads.
        if let descriptor { _ = fcntl(descriptor, 1031, 1 << 20) }
    }

    deinit { if let descriptor { OpenDescriptors.close(descriptor) } }

    /// All that has come.
    package var textSoFar: String {
        while !hasEnded, read(until: .now) {}
        return String(decoding: bytes, as: UTF8.self)
    }

    /// All whole lines that have come.
    package var linesSoFar: [String] {
        let text = textSoFar
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        return Array(lines.dropLast())
    }

    /// The next line, without its end.
    package func line(within limit: Duration = RawPeer.patience) throws -> String {
        let deadline = SuspendingClock.now + limit
        while true {
            if let end = bytes[taken...].firstIndex(of: 0x0A) {
                defer { taken = end + 1 }
                return String(decoding: bytes[taken..<end], as: UTF8.self)
            }
            guard !hasEnded, read(until: deadline) else {
                throw Unexpected("expected a line, got '\(String(decoding: bytes[taken...], as: UTF8.self))'")
            }
        }
    }

    /// The first line, of all that came and will come, in which all of `parts` stand.
    @discardableResult
    package func line(with parts: String..., within limit: Duration = RawPeer.patience) throws -> String {
        let deadline = SuspendingClock.now + limit
        while true {
            if let line = linesSoFar.first(where: { line in parts.allSatisfy { line.contains($0) } }) { return line }
            guard !hasEnded, read(until: deadline) else {
                throw Unexpected("no line with \(parts) within \(limit) in:\n\(textSoFar)")
            }
        }
    }

    /// Waits until nobody can write to it any more.
    package func waitForEnd(within limit: Duration = RawPeer.patience) -> Bool {
        let deadline = SuspendingClock.now + limit
        while !hasEnded { guard read(until: deadline) else { return false } }
        return true
    }

    private func read(until deadline: Moment) -> Bool {
        guard let descriptor, waitUntilReady(descriptor, POLLIN, until: deadline) else { return false }
        let more = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
            count = max(0, Glibc.read(descriptor, buffer.baseAddress, buffer.count))
        }
        hasEnded = more.isEmpty
        bytes += more
        return true
    }
}
