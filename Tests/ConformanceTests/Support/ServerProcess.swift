import Glibc
import Testing
import RawWire

/// The built `server`, running.
final class ServerProcess {
    /// Starts the server in a session of its own, as a service manager does. A child that has dropped a silent client has
    /// the lowest priority. The kernel weighs that within a session (sched(7), autogroup): in the session of the tests,
    /// beside all other lanes, such a child may not run for half a minute.
    static let ownSession = ["setsid"]

    let process: Spawned
    /// Where it listens.
    let address: Address
    private let descriptorsAtStart: [Int32: String]
    /// Children that were forked ahead, and wait, when nothing happens.
    private let poolAtStart: Int
    /// Whether children serve several connections, and wait for others behind their last one.
    private let sharesProcesses: Bool
    private let hasRouter: Bool

    var pid: pid_t { process.pid }
    var log: PipeReader { process.errors }
    var port: UInt16 { address.port ?? 0 }

    /// Starts it with `--port 0` and waits until it listens.
    init(
        _ arguments: [String] = [], command: String = "server", prefix: [String] = [], input: Spawned.Stream = .null,
        errors: Spawned.Stream = .pipe
    ) throws {
        process = try Spawned(
            command, ["--port", "0"] + arguments, prefix: prefix, input: input, errors: errors)
        let greeting = "listening on "
        let line: String
        do { line = try process.output.line(within: .seconds(10)) } catch {
            throw Unexpected("the server did not start: \(error)\n\(process.errors.textSoFar)")
        }
        guard line.hasPrefix(greeting), let address = Address(line.dropFirst(greeting.count)) else {
            throw Unexpected("expected '\(greeting)HOST:PORT', got '\(line)'")
        }
        self.address = address
        // It is all set up when it sleeps for the first time.
        _ = eventually { [pid = process.pid] in ProcessFiles.state(of: pid) == "S" }
        poolAtStart = ServerProcess.pool(in: arguments)
        sharesProcesses = arguments.contains("--connections-per-process")
        hasRouter = arguments.contains("--topics") || arguments.contains("chat")
        if hasRouter {
            _ = eventually { [pid = process.pid] in
                ProcessFiles.children(of: pid).contains(where: ServerProcess.isRouter)
            }
        }
        if poolAtStart > 0 {
            let all = poolAtStart + (hasRouter ? 1 : 0)
            _ = eventually { [pid = process.pid] in ProcessFiles.children(of: pid).count == all }
        }
        descriptorsAtStart = ProcessFiles.descriptors(of: process.pid)
    }

    private static func pool(in arguments: [String]) -> Int {
        guard let index = arguments.firstIndex(of: "--pool") else { return arguments.contains("--pool-reuse") ? 1 : 0 }
        return Int(arguments[index + 1].prefix { $0 != ":" }) ?? 0
    }

    // MARK: Connections

    /// A connection on which nothing has been said.
    func connect(receiveBuffer: Int32? = nil) throws -> RawPeer {
        try .connect(to: address, receiveBuffer: receiveBuffer)
    }

    /// A connection that has said HELLO and got WELCOME.
    func open(_ hello: RawFrame = .hello(), receiveBuffer: Int32? = nil) throws -> RawPeer {
        try greeted(hello, receiveBuffer: receiveBuffer).peer
    }

    func greeted(
        _ hello: RawFrame = .hello(), receiveBuffer: Int32? = nil
    ) throws -> (peer: RawPeer, welcome: WelcomeFields) {
        let peer = try connect(receiveBuffer: receiveBuffer)
        try peer.send(RawFrame.preface + hello.bytes)
        try peer.takePreface()
        guard let welcome = try peer.take(.welcome).welcome else { throw Unexpected("WELCOME is too short") }
        return (peer, welcome)
    }

    // MARK: Processes

    /// Those that have connections, or wait for some.
    var children: [pid_t] {
        let all = ProcessFiles.children(of: pid)
        return hasRouter ? all.filter { !ServerProcess.isRouter($0) } : all
    }

    /// The router; nil where none runs now.
    var router: pid_t? { ProcessFiles.children(of: pid).first(where: ServerProcess.isRouter) }

    private static func isRouter(_ child: pid_t) -> Bool {
        ProcessFiles.text("/proc/\(child)/cmdline")?.hasPrefix("lifeline: router") ?? false
    }

    /// The child, where there is one only.
    func onlyChild() throws -> pid_t {
        var found: [pid_t] = []
        guard
            eventually({
                found = children; return found.count == 1
            })
        else {
            throw Unexpected("expected one child, got \(found)")
        }
        return found[0]
    }

    func waitForChildren(_ count: Int, within limit: Duration = RawPeer.patience) throws {
        var found = -1
        guard
            eventually(
                within: limit,
                {
                    found = children.count; return found == count
                })
        else {
            throw Unexpected("expected \(count) children within \(limit), there are \(found)")
        }
    }

    /// Whether the child was forked ahead, and has no connection.
    func isWaiting(_ child: pid_t) -> Bool {
        ProcessFiles.text("/proc/\(child)/cmdline")?.hasPrefix("lifeline: waiting") ?? false
    }

    var waiting: [pid_t] { children.filter(isWaiting) }

    /// Waits until so many children wait, and so many others serve.
    ///
    /// A child that has taken a connection is counted as one that waits until it has its new title: who counts those that
    /// wait alone may count it in place of the one that is not forked yet.
    func waitForWaiting(_ count: Int, serving: Int? = nil, within limit: Duration = RawPeer.patience) throws {
        var all: [pid_t] = []
        let isSo = eventually(within: limit) {
            all = children
            return all.count { isWaiting($0) } == count && (serving == nil || all.count == count + (serving ?? 0))
        }
        guard isSo else {
            throw Unexpected("expected \(count) waiting children within \(limit), there are \(waiting) of \(all)")
        }
    }

    // MARK: The end

    /// What must hold after every test: no child, zombie or descriptor is left, SIGTERM ends the server with status
    /// 0, and nothing listens any more.
    fileprivate func finish(_ sourceLocation: SourceLocation) throws {
        if process.exit == nil {
            if poolAtStart == 0, !sharesProcesses { try waitForChildren(0) }
            var now: [Int32: String] = [:]
            let isTidy = eventually {
                now = ProcessFiles.descriptors(of: pid)
                guard poolAtStart > 0 || sharesProcesses else { return now == descriptorsAtStart }
                // One for each child that waits: there may be more of them now, and no other child.
                return children.allSatisfy(isWaiting) && children.count >= poolAtStart
                    && now.count - descriptorsAtStart.count == children.count - poolAtStart
            }
            #expect(
                isTidy, "descriptors at the start \(descriptorsAtStart), now \(now)", sourceLocation: sourceLocation)
            process.kill(SIGTERM)
            // The log ends when the last process that could write to it has.
            #expect(log.waitForEnd(), "a process of the server is left", sourceLocation: sourceLocation)
            let exit = try process.wait()
            #expect(exit == .status(0), "\(log.textSoFar)", sourceLocation: sourceLocation)
        }
        #expect(throws: Unexpected.self, "somebody still listens", sourceLocation: sourceLocation) {
            try RawPeer.connect(to: address)
        }
    }

    /// Ends all of it, after a test that failed.
    fileprivate func destroy() {
        let children = children
        process.kill(SIGKILL)
        for child in children { kill(child, SIGKILL) }
    }
}

/// As the other, with arguments of a list.
func withServer(
    _ arguments: String..., command: String = "server", prefix: [String] = [], input: Spawned.Stream = .null,
    errors: Spawned.Stream = .pipe, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (ServerProcess) throws -> Void
) throws {
    try withServer(
        arguments, command: command, prefix: prefix, input: input, errors: errors, sourceLocation: sourceLocation, body)
}

/// Runs `body` with a server of its own, and checks afterwards that the server leaves nothing behind.
func withServer(
    _ arguments: [String], command: String = "server", prefix: [String] = [], input: Spawned.Stream = .null,
    errors: Spawned.Stream = .pipe, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (ServerProcess) throws -> Void
) throws {
    let before = OpenDescriptors.count
    do {
        let server = try ServerProcess(
            arguments, command: command, prefix: prefix, input: input, errors: errors)
        do {
            try body(server)
            try server.finish(sourceLocation)
        } catch {
            server.destroy()
            throw Unexpected("\(error)\nThe log:\n\(server.log.textSoFar)")
        }
    }
    #expect(OpenDescriptors.count == before, "the test leaks a descriptor", sourceLocation: sourceLocation)
}
