import Glibc
import RawWire
import Testing

extension Live.Topics {
    /// Connections that speak to one another, by the handlers of the test server: each test with a process for each
    /// connection, and with one for many.
    @Suite("The router") struct Routing {}
}

/// How connections have their processes.
enum Placing: String, CaseIterable, CustomTestStringConvertible {
    case alone, together

    var arguments: [String] { self == .alone ? [] : ["--connections-per-process", "100"] }
    var testDescription: String { rawValue }
}

extension RawPeer {
    /// Asks for something that begins with `topic`, and returns the answer. Messages that come before it are kept in `messages`.
    @discardableResult
    func topic(_ id: UInt32, _ text: String, keeping messages: inout [String]) throws -> String {
        try send(.request(id, "topic \(text)"))
        while true {
            let frame = try takeFrame(within: .seconds(20))
            switch frame.type {
            case .ping: try send(.pong(to: frame))
            case .message: messages.append(frame.text)
            case .response, .failure: return frame.text
            default: throw Unexpected("expected an answer, got \(frame)")
            }
        }
    }

    @discardableResult
    func topic(_ id: UInt32, _ text: String) throws -> String {
        var messages: [String] = []
        let answer = try topic(id, text, keeping: &messages)
        #expect(messages.isEmpty, "messages before the answer to \(text)")
        return answer
    }

    /// The next message; PINGs are answered.
    func takeMessage(within limit: Duration = patience) throws -> String {
        while true {
            let frame = try takeFrame(within: limit)
            if frame.type == .message { return frame.text }
            guard frame.type == .ping else { throw Unexpected("expected a message, got \(frame)") }
            try send(.pong(to: frame))
        }
    }

    /// Whether no message has come: what this connection is told afterwards comes first.
    func hasNoMessage(_ id: UInt32) throws -> Bool {
        var messages: [String] = []
        try topic(id, "online all", keeping: &messages)
        return messages.isEmpty
    }
}

extension RawFrame {
    /// A HELLO with a name.
    static func hello(named name: String) -> RawFrame { .hello(options: RawFrame.name(name)) }
}

extension Live.Topics.Routing {
    private func withRouter(
        _ placing: Placing, _ arguments: String..., body: (ServerProcess) throws -> Void
    ) throws {
        try withServer(
            ["--topics"] + placing.arguments + arguments, command: "handlers", prefix: ServerProcess.ownSession, body)
    }

    private func open(_ server: ServerProcess, _ names: String...) throws -> [RawPeer] {
        try names.map { try server.open(.hello(named: $0)) }
    }

    @Test(
        "What one publishes reaches each subscriber but itself, in order, and the publisher learns how many",
        arguments: Placing.allCases)
    func publishes(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "a", "b", "c")
            #expect(try peers[0].topic(1, "publish room/1 nobody") == "0")
            for peer in peers[1...] { #expect(try peer.topic(1, "subscribe room/1") == "ok") }
            #expect(try peers[0].topic(2, "publish room/1 first") == "2")
            #expect(try peers[1].topic(2, "publish room/1 second") == "1")
            #expect(try peers[1].topic(3, "publish-self room/1 third") == "2")
            #expect(try peers[2].takeMessage() == "first")
            #expect(try peers[1].takeMessage() == "first")
            #expect(try peers[2].takeMessage() == "second")
            #expect(try peers[2].takeMessage() == "third")
            #expect(try peers[1].takeMessage() == "third")
            #expect(try peers[1].topic(4, "unsubscribe room/1") == "ok")
            #expect(try peers[0].topic(3, "publish room/1 fourth") == "1")
            #expect(try peers[2].takeMessage() == "fourth")
            #expect(try peers[1].hasNoMessage(5))
            #expect(try peers[0].topic(4, "publish room/2 other") == "0")
        }
    }

    @Test(
        "A message to a name, a number or all finds its connections; who is there can be asked",
        arguments: Placing.allCases)
    func sends(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "till-7", "till-8", "till-7")
            #expect(try peers[1].topic(1, "send till-7 reboot") == "2")
            for peer in [peers[0], peers[2]] { #expect(try peer.takeMessage() == "reboot") }
            #expect(try peers[0].topic(1, "send 2 hello") == "1")
            #expect(try peers[1].takeMessage() == "hello")
            #expect(try peers[0].topic(2, "send all everybody") == "2")
            for peer in peers[1...] { #expect(try peer.takeMessage() == "everybody") }
            #expect(try peers[0].topic(3, "send nobody hello") == "0")
            #expect(try peers[0].topic(4, "online till-8") == "true")
            #expect(try peers[0].topic(5, "online till-9") == "false")
            for peer in peers[..<2] { try peer.topic(10, "subscribe floor") }
            #expect(try peers[2].topic(6, "members floor") == "1=till-7 2=till-8")
            peers[0].close()
            var id: UInt32 = 6
            #expect(
                try eventually {
                    id += 1
                    return try peers[2].topic(id, "members floor") == "2=till-8"
                })
        }
    }

    @Test("One connection ends others, with a reason", arguments: Placing.allCases)
    func disconnects(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "boss", "till-7")
            #expect(try peers[0].topic(1, "disconnect till-7 closing time") == "1")
            let close = try peers[1].takeClose()
            #expect(close.code == .kicked && close.text == Array("closing time".utf8))
            peers[1].close()
            var id: UInt32 = 1
            #expect(
                try eventually {
                    id += 1
                    return try peers[0].topic(id, "online till-7") == "false"
                })
        }
    }

    @Test("A handler looks at what comes, changes it and drops it", arguments: Placing.allCases)
    func sees(placing: Placing) throws {
        try withRouter(placing, "--sees") { server in
            let peers = try open(server, "a", "b")
            try peers[1].topic(1, "subscribe room")
            for (id, text) in zip(1..., ["publish room hello", "publish room -secret", "send b direct"]) {
                #expect(try peers[0].topic(UInt32(id), text) == "1")
            }
            #expect(try peers[1].takeMessage() == "room: HELLO")
            #expect(try peers[1].takeMessage() == "none: DIRECT")
        }
    }

    @Test("Mistakes have words: a bad name, too many topics, a server without topics")
    func mistakes() throws {
        try withRouter(.alone, "--max-topics", "2") { server in
            let peer = try server.open()
            #expect(try peer.topic(1, "subscribe $SYS").contains("kept for the server"))
            #expect(try peer.topic(2, "publish a*b x").contains("no wildcards"))
            for (id, topic) in [(3, "one"), (4, "two"), (5, "two")] as [(UInt32, String)] {
                #expect(try peer.topic(id, "subscribe \(topic)") == "ok")
            }
            #expect(try peer.topic(6, "subscribe three").contains("at most 2 topics"))
        }
        try withServer([], command: "handlers") { server in
            let answer = try server.open().topic(1, "subscribe room")
            #expect(answer.contains("start it with --topics"))
        }
    }

    @Test(
        "A router that is killed costs no connection: subscriptions come back, and the gap is told",
        arguments: Placing.allCases)
    func killed(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "a", "b", "c")
            for peer in peers { try peer.topic(1, "subscribe room") }
            for round: UInt32 in 1...3 {
                let router = try #require(server.router)
                #expect(kill(router, SIGKILL) == 0)
                try server.log.line(with: "router died pid=\(router) signal=SIGKILL")
                try server.log.line(with: "router started")
                for peer in peers {
                    let gaps = [try peer.takeMessage(within: .seconds(20)), try peer.takeMessage()]
                    #expect(gaps.sorted() == ["missed some of none", "missed some of room"])
                }
                #expect(try peers[0].topic(10 + round, "publish room again") == "2")
                for peer in peers[1...] { #expect(try peer.takeMessage() == "again") }
            }
            #expect(server.children.count == (placing == .alone ? 3 : 1))
        }
    }

    @Test(
        "A router that hangs holds up no heartbeat and no request; what needs it says so, and works again when it goes on"
    )
    func stopped() throws {
        try withRouter(.alone) { server in
            let peers = try open(server, "a", "b")
            try peers[1].topic(1, "subscribe room")
            let router = try #require(server.router)
            #expect(kill(router, SIGSTOP) == 0)
            defer { kill(router, SIGCONT) }
            try peers[0].send(.request(1, "topic publish room late"))
            try peers[1].send(.ping(7))
            #expect(try peers[1].take(.pong).payload.starts(with: bigEndian(UInt64(7))))
            try peers[1].send(.request(2, "hello"))
            #expect(try peers[1].take(.response).text == "hello")
            let failure = try peers[0].take(.failure, within: .seconds(20))
            #expect(failure.text.contains("has not answered in time"))
            #expect(kill(router, SIGCONT) == 0)
            #expect(try peers[1].takeMessage() == "late")
            #expect(try peers[0].topic(2, "publish room now") == "1")
        }
    }

    @Test(
        "A client that does not read loses messages and is told how many; others get all of them",
        arguments: Placing.allCases)
    func slow(placing: Placing) throws {
        try withRouter(placing) { server in
            let publisher = try server.open()
            let quick = try server.open()
            let slow = try server.open(.hello(), receiveBuffer: 4096)
            for peer in [quick, slow] { try peer.topic(1, "subscribe room") }
            let text = String(repeating: "x", count: 60_000)
            // More than the kernel and 4 MiB of queue take.
            let count = 200
            for index in 0..<count {
                #expect(try publisher.topic(UInt32(index + 1), "publish room \(index) \(text)") == "2")
                #expect(try quick.takeMessage() == "\(index) \(text)")
            }
            var numbers: [Int] = []
            var missed = 0
            while numbers.count + missed < count {
                let message = try slow.takeMessage()
                if message.hasPrefix("missed ") {
                    missed += Int(message.split(separator: " ")[1]) ?? 0
                } else {
                    numbers.append(Int(message.prefix { $0 != " " }) ?? -1)
                }
            }
            #expect(missed > 0 && numbers == numbers.sorted() && Set(numbers).count == numbers.count)
        }
    }

    @Test("A process that is stopped holds up nobody, and learns what it has missed")
    func stoppedProcess() throws {
        try withRouter(.alone) { server in
            let stopped = try server.open()
            let child = try server.onlyChild()
            let (publisher, quick) = (try server.open(), try server.open())
            for peer in [stopped, quick] { try peer.topic(1, "subscribe room") }
            #expect(kill(child, SIGSTOP) == 0)
            defer { kill(child, SIGCONT) }
            var id: UInt32 = 0
            var sum = 0
            // Until the router's queue for the process is full.
            for _ in 0..<5000 {
                id += 1
                sum += Int(try publisher.topic(id, "publish room \(id)")) ?? 0
                #expect(try quick.takeMessage() == "\(id)")
            }
            #expect(kill(child, SIGCONT) == 0)
            var (got, missed) = (0, 0)
            while got + missed < 5000 {
                let message = try stopped.takeMessage()
                if message.hasPrefix("missed ") {
                    missed += Int(message.split(separator: " ")[1]) ?? 0
                } else {
                    got += 1
                }
            }
            #expect(got > 0 && missed > 0 && got + missed == 5000)
        }
    }

    @Test("A process that is killed is gone for the others at once", arguments: Placing.allCases)
    func killedProcess(placing: Placing) throws {
        try withRouter(placing) { server in
            let victim = try server.open(.hello(named: "victim"))
            try victim.topic(1, "subscribe room")
            let child = try server.onlyChild()
            #expect(kill(child, SIGKILL) == 0)
            try victim.takeEnd()
            victim.close()
            let other = try server.open()
            var id: UInt32 = 10
            #expect(
                try eventually {
                    id += 1
                    return try other.topic(id, "online victim") == "false"
                })
            #expect(try other.topic(1000, "members room") == "")
            #expect(try other.topic(1001, "publish room x") == "0")
        }
    }

    @Test("A SHORT connection uses the router and is no member")
    func short() throws {
        try withRouter(.alone) { server in
            let member = try server.open()
            try member.topic(1, "subscribe room")
            let short = try server.open(.short)
            try short.send(.request(1, "topic publish room hello"))
            #expect(try short.take(.response).text == "1")
            #expect(try member.takeMessage() == "hello")
            let other = try server.open(.short)
            try other.send(.request(1, "topic subscribe room"))
            #expect(try other.take(.failure).text.contains("SHORT"))
        }
    }
}
