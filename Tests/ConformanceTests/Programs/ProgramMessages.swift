import Glibc
import RawWire
import Testing

extension Live.Programs {
    /// One-way messages to a program: what it has read of them at the end of its connection.
    @Suite("Programs and the messages before an end") struct ProgramMessages {}
}

/// The ways in which a client ends a connection in order.
enum OrderlyEnd: String, CaseIterable {
    case close, goAway, streamEnd

    func send(on peer: RawPeer) throws {
        switch self {
        case .close: try peer.send(.close())
        case .goAway: try peer.send(.goAway())
        case .streamEnd: peer.shutdownWriting()
        }
    }
}

extension Live.Programs.ProgramMessages {
    /// HELLO of a client that offers credit.
    private static let hello = RawFrame.hello(minor: 1, options: RawFrame.option(4, [0, 0, 0, 0, 0, 1, 0, 0]))

    /// Each takes 10 ms for a message, and writes it to the file whose name is behind it.
    private static let slow: [[String]] = [
        ["sh", "-c", "while read -r line; do sleep 0.01; echo \"$line\" >> \"$0\"; done"],
        // It reads ahead, and works on what it has read.
        [
            "python3", "-c",
            "import sys, time\nfor line in sys.stdin:\n    time.sleep(0.01)\n    open(sys.argv[1], 'a').write(line)",
        ],
    ]

    private func lines(_ directory: TemporaryDirectory) -> Int {
        (directory.text("out") ?? "").split(separator: "\n").count
    }

    private func send(_ count: Int, on peer: RawPeer) throws {
        try peer.send((0..<count).flatMap { RawFrame.message(Array("message \($0)".utf8)).bytes })
    }

    /// The number in a line of the log.
    private func number(_ field: String, in line: String) -> Int? {
        line.split(separator: " ").first { $0.hasPrefix("\(field)=") }.flatMap { Int($0.dropFirst(field.count + 1)) }
    }

    /// The last count of CREDIT before the connection ends.
    private func handled(_ peer: RawPeer) throws -> UInt64? {
        var handled: UInt64?
        while let frame = try peer.nextFrame(within: .seconds(60)) {
            if frame.type.number == 0x0C { handled = UInt64(bigEndian: frame.payload[8...]) }
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            if frame.type == .close { break }
        }
        return handled
    }

    @Test(
        "An orderly end lets a slow program handle all that came before it, however short its own grace",
        arguments: OrderlyEnd.allCases, [0, 1])
    func all(_ end: OrderlyEnd, _ program: Int) throws {
        let directory = try TemporaryDirectory()
        try withServer(
            ["--exec-grace", "1", "--grace", "60", "--exec"] + Self.slow[program] + [directory.file("out")]
        ) { server in
            let peer = try server.open(Self.hello)
            // At 10 ms each the rest takes longer than the program's own grace, once it runs. What is read at once takes less:
            // a program that reads nothing for its grace, while there is something to read, is taken to hang.
            try send(1, on: peer)
            try #require(eventually { lines(directory) == 1 })
            try send(149, on: peer)
            try end.send(on: peer)
            let last = try handled(peer)
            if end != .close { #expect(last == 150) }
            let line = try server.log.line(with: " closed ", "messages_in=150", within: .seconds(60))
            #expect(number("unhandled", in: line) == nil)
            #expect(eventually(within: .seconds(60)) { lines(directory) == 150 }, "\(lines(directory)) of 150")
            peer.close()
        }
    }

    @Test(
        "What a program has not read when the grace is over is counted, and told to the client",
        arguments: [false, true])
    func graceIsOver(_ goesAway: Bool) throws {
        let directory = try TemporaryDirectory()
        try withServer(["--exec-grace", "100ms", "--grace", "1", "--exec"] + Self.slow[0] + [directory.file("out")]) {
            server in
            let peer = try server.open(Self.hello)
            try send(2000, on: peer)
            try (goesAway ? OrderlyEnd.goAway : .close).send(on: peer)
            let told = try handled(peer)
            let line = try server.log.line(with: "warning closed", "messages_in=2000", within: .seconds(60))
            let unhandled = try #require(number("unhandled", in: line))
            #expect(unhandled > 0 && unhandled < 2000)
            if goesAway { #expect(try #require(told) <= UInt64(2000 - unhandled)) }
            try server.waitForChildren(0, within: .seconds(20))
            // One may have been read and not written. It may have done more since it was last looked at.
            #expect((2000 - unhandled - 2..<2000).contains(lines(directory)), "\(lines(directory)), \(unhandled)")
            peer.close()
        }
    }

    @Test("kill -9 of the program in the middle of its messages: what it had not read is counted, and told")
    func killed() throws {
        let directory = try TemporaryDirectory()
        try withServer(["--exec"] + Self.slow[0] + [directory.file("out")]) { server in
            let peer = try server.open(Self.hello)
            try send(2000, on: peer)
            try #require(eventually { lines(directory) > 10 })
            kill(try #require(ProcessFiles.children(of: try server.onlyChild()).first), SIGKILL)
            let told = try handled(peer)
            let line = try server.log.line(with: "warning closed", "messages_in=2000", "HANDLER_FAILED")
            let unhandled = try #require(number("unhandled", in: line))
            #expect(told == UInt64(2000 - unhandled) && unhandled < 2000)
            // What is told as handled was done. The program may have done more since it was last looked at.
            #expect((2000 - unhandled..<2000).contains(lines(directory)), "\(lines(directory)), \(unhandled)")
            peer.close()
        }
    }

    @Test("A program that reads nothing has its own grace alone, and nothing of it counts as handled")
    func readsNothing() throws {
        let script = Script("exec sleep 1000$0")
        try withServer("--exec-grace", "200ms", "--grace", "60", exec: script) { server in
            let peer = try server.open(Self.hello)
            try send(10, on: peer)
            try peer.send(.close())
            _ = try handled(peer)
            let line = try server.log.line(with: "warning closed", "messages_in=10")
            #expect(number("unhandled", in: line) == 10)
            try server.waitForChildren(0, within: .seconds(20))
            peer.close()
        }
    }

    @Test("A client without credit to give waits for nothing: its messages are handled all the same")
    func oldClient() throws {
        let directory = try TemporaryDirectory()
        try withServer(["--exec-grace", "2", "--grace", "60", "--exec"] + Self.slow[0] + [directory.file("out")]) {
            server in
            let peer = try server.open()
            try send(1, on: peer)
            try #require(eventually { lines(directory) == 1 })
            try send(99, on: peer)
            try peer.send(.close())
            try peer.takeClose()
            let line = try server.log.line(with: " closed ", "messages_in=100", within: .seconds(60))
            #expect(number("unhandled", in: line) == nil && lines(directory) >= 99)
        }
    }
}
