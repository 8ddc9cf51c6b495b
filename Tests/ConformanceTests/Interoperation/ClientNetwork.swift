import Glibc
import Testing
import RawWire

/// Two network namespaces with a cable between them (ip-netns(8), veth(4)).
final class TwoMachines {
    /// The address of the first.
    static let address = "10.213.7.1"
    private static let tool: String? = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].first { (path: String) in
        access(path, X_OK) == 0
    }
    let names = ["lifeline-\(getpid())-a", "lifeline-\(getpid())-b"]
    private let cable = "ll\(getpid())"

    /// Whether this machine lets us make them.
    static let canBeMade: Bool = {
        guard getuid() == 0, tool != nil, let machines = try? TwoMachines() else { return false }
        return (try? machines.setCable("up")) != nil
    }()

    init() throws {
        for name in names { try TwoMachines.ip("netns", "add", name) }
        try TwoMachines.ip(
            "link", "add", "\(cable)a", "netns", names[0], "type", "veth", "peer", "name", "\(cable)b", "netns",
            names[1])
        for (index, name) in names.enumerated() {
            let end = "\(cable)\(index == 0 ? "a" : "b")"
            try TwoMachines.ip("-n", name, "addr", "add", "10.213.7.\(index + 1)/24", "dev", end)
            try TwoMachines.ip("-n", name, "link", "set", end, "up")
            try TwoMachines.ip("-n", name, "link", "set", "lo", "up")
        }
    }

    deinit { for name in names { try? TwoMachines.ip("netns", "del", name) } }

    /// Cuts the cable in the middle of the way: neither end is told. What is sent is lost.
    func setCable(_ state: String) throws {
        // The second machine stops answering for its address, and drops what comes.
        try TwoMachines.ip("-n", names[1], "link", "set", "\(cable)b", state)
    }

    /// `command` in the namespace `index`.
    func spawn(_ index: Int, _ command: String, _ arguments: [String], input: Spawned.Stream = .null) throws -> Spawned
    {
        let tool = try #require(TwoMachines.tool)
        return try Spawned(
            tool, ["netns", "exec", names[index], "\(Spawned.products)/\(command)"] + arguments, input: input)
    }

    private static func ip(_ arguments: String...) throws {
        guard let tool else { throw Unexpected("there is no ip(8)") }
        let process = try Spawned(tool, arguments)
        guard try process.wait(within: .seconds(10)) == .status(0) else {
            throw Unexpected("ip \(arguments): \(process.errors.textSoFar)")
        }
    }
}

extension Live.Interoperation {
    /// The network between the two goes away without a word.
    @Suite("Client and server: a network that is cut") struct ClientNetwork {
        @Test(
            "5.5-1 Both sides notice within their times that the path is cut, and the client is back when the path is",
            .enabled(if: TwoMachines.canBeMade, "this machine lets nobody make network namespaces"))
        func cut() throws {
            let machines = try TwoMachines()
            let server = try machines.spawn(
                0, "server", ["--host", TwoMachines.address, "--port", "7400", "--timeout", "1"])
            try tellingErrors(of: server) {
                _ = try server.output.line()
                let client = try machines.spawn(
                    1, "client", ["--host", TwoMachines.address, "--timeout", "1", "--retries", "1000"], input: .pipe)
                try tellingErrors(of: client) {
                    try client.write("one\n")
                    #expect(try client.output.line() == "one")
                    let before = SuspendingClock.now
                    let watch = LatenessWatch()
                    try machines.setCable("down")
                    let cutAt = SuspendingClock.now
                    try client.errors.line(with: "heartbeat is late")
                    try client.errors.line(with: "connection lost", "SILENT")
                    // The last byte came before the cut, at most one beat before it.
                    #expect(before.age >= .milliseconds(1000 - 334), "\(before.age)")
                    let lostAfter = cutAt.age
                    try server.errors.line(with: "closed", "SILENT")
                    let (closedAfter, late) = (cutAt.age, watch.end())
                    #expect(lostAfter <= .milliseconds(334 + 1000 + 100 + 500) + late, "\(lostAfter)")
                    #expect(closedAfter <= .milliseconds(1100 + 1100 + 700) + late, "\(closedAfter)")
                    try machines.setCable("up")
                    try client.errors.line(with: "connected again", within: .seconds(20))
                    try client.write("two\n")
                    #expect(try client.output.line() == "two")
                    client.closeInput()
                    try client.expectStatus(0)
                    server.kill(SIGTERM)
                    try server.expectStatus(0)
                }
            }
        }
    }
}
