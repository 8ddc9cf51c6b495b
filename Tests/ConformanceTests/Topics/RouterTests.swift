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

/// A client of the test server's handlers, which keeps the messages that come before an answer.
final class Talker {
    let peer: RawPeer
    private var lastID: UInt32 = 0
    private var messages: [String] = []

    init(_ peer: RawPeer) { self.peer = peer }

    /// Asks for something that begins with `topic`, and returns the answer.
    @discardableResult
    func topic(_ text: String) throws -> String {
        try begin(text)
        while true {
            let frame = try next(within: .seconds(20))
            switch frame.type {
            case .message: messages.append(frame.text)
            case .response, .failure: return frame.text
            default: throw Unexpected("expected an answer, got \(frame)")
            }
        }
    }

    /// Asks for it, and does not wait for the answer.
    func begin(_ text: String) throws {
        lastID += 1
        try peer.send(.request(lastID, "topic \(text)"))
    }

    /// The next message.
    func message(within limit: Duration = RawPeer.patience) throws -> String {
        if !messages.isEmpty { return messages.removeFirst() }
        let frame = try next(within: limit)
        guard frame.type == .message else { throw Unexpected("expected a message, got \(frame)") }
        return frame.text
    }

    /// Whether no message has come: what is on its way comes before an answer.
    func hasNoMessage() throws -> Bool {
        try topic("online all")
        return messages.isEmpty
    }

    private func next(within limit: Duration) throws -> RawFrame {
        while true {
            let frame = try peer.takeFrame(within: limit)
            guard frame.type == .ping else { return frame }
            try peer.send(.pong(to: frame))
        }
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

    private func open(_ server: ServerProcess, _ names: String...) throws -> [Talker] {
        let peers = try names.map { Talker(try server.open(.hello(named: $0))) }
        // They are the first connections of their server. Each is found when the router has heard of it.
        for number in 1...names.count {
            #expect(try eventually { try peers[0].topic("online \(number)") == "true" })
        }
        return peers
    }

    @Test(
        "What one publishes reaches each subscriber but itself, in order, and the publisher learns how many",
        arguments: Placing.allCases)
    func publishes(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "a", "b", "c")
            #expect(try peers[0].topic("publish room/1 nobody") == "0")
            for peer in peers[1...] { #expect(try peer.topic("subscribe room/1") == "ok") }
            #expect(try peers[0].topic("publish room/1 first") == "2")
            #expect(try peers[1].topic("publish room/1 second") == "1")
            #expect(try peers[1].topic("publish-self room/1 third") == "2")
            #expect(try peers[2].message() == "first")
            #expect(try peers[1].message() == "first")
            #expect(try peers[2].message() == "second")
            #expect(try peers[2].message() == "third")
            #expect(try peers[1].message() == "third")
            #expect(try peers[1].topic("unsubscribe room/1") == "ok")
            #expect(try peers[0].topic("publish room/1 fourth") == "1")
            #expect(try peers[2].message() == "fourth")
            #expect(try peers[1].hasNoMessage())
            #expect(try peers[0].topic("publish room/2 other") == "0")
        }
    }

    @Test(
        "A message to a name, a number or all finds its connections; who is there can be asked",
        arguments: Placing.allCases)
    func sends(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "till-7", "till-8", "till-7")
            #expect(try peers[1].topic("send till-7 reboot") == "2")
            for peer in [peers[0], peers[2]] { #expect(try peer.message() == "reboot") }
            #expect(try peers[0].topic("send 2 hello") == "1")
            #expect(try peers[1].message() == "hello")
            #expect(try peers[0].topic("send all everybody") == "2")
            for peer in peers[1...] { #expect(try peer.message() == "everybody") }
            #expect(try peers[0].topic("send nobody hello") == "0")
            #expect(try peers[0].topic("online till-8") == "true")
            #expect(try peers[0].topic("online till-9") == "false")
            for peer in peers[..<2] { try peer.topic("subscribe floor") }
            #expect(try peers[2].topic("members floor") == "1=till-7 2=till-8")
            peers[0].peer.close()
            #expect(
                try eventually {
                    try peers[2].topic("members floor") == "2=till-8"
                })
        }
    }

    @Test("One connection ends others, with a reason", arguments: Placing.allCases)
    func disconnects(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "boss", "till-7")
            #expect(try peers[0].topic("disconnect till-7 closing time") == "1")
            let close = try peers[1].peer.takeClose()
            #expect(close.code == .kicked && close.text == Array("closing time".utf8))
            peers[1].peer.close()
            #expect(
                try eventually {
                    try peers[0].topic("online till-7") == "false"
                })
        }
    }

    @Test("A handler looks at what comes, changes it and drops it", arguments: Placing.allCases)
    func sees(placing: Placing) throws {
        try withRouter(placing, "--sees") { server in
            let peers = try open(server, "a", "b")
            try peers[1].topic("subscribe room")
            for text in ["publish room hello", "publish room -secret", "send b direct"] {
                #expect(try peers[0].topic(text) == "1")
            }
            #expect(try peers[1].message() == "room: HELLO")
            #expect(try peers[1].message() == "none: DIRECT")
        }
    }

    @Test("Mistakes have words: a bad name, too many topics, a server without topics")
    func mistakes() throws {
        try withRouter(.alone, "--max-topics", "2") { server in
            let peer = Talker(try server.open())
            #expect(try peer.topic("subscribe $SYS").contains("kept for the server"))
            #expect(try peer.topic("publish a*b x").contains("no wildcards"))
            for topic in ["one", "two", "two"] {
                #expect(try peer.topic("subscribe \(topic)") == "ok")
            }
            #expect(try peer.topic("subscribe three").contains("at most 2 topics"))
        }
        try withServer([], command: "handlers") { server in
            let answer = try Talker(server.open()).topic("subscribe room")
            #expect(answer.contains("start it with --topics"))
        }
    }

    @Test(
        "A router that is killed costs no connection: subscriptions come back, and the gap is told",
        arguments: Placing.allCases)
    func killed(placing: Placing) throws {
        try withRouter(placing) { server in
            let peers = try open(server, "a", "b", "c")
            for peer in peers { try peer.topic("subscribe room") }
            for _ in 1...3 {
                let router = try #require(server.router)
                #expect(kill(router, SIGKILL) == 0)
                try server.log.line(with: "router died pid=\(router) signal=SIGKILL")
                try server.log.line(with: "router started")
                for peer in peers {
                    let gaps = [try peer.message(within: .seconds(20)), try peer.message()]
                    #expect(gaps.sorted() == ["missed some of none", "missed some of room"])
                }
                #expect(try peers[0].topic("publish room again") == "2")
                for peer in peers[1...] { #expect(try peer.message() == "again") }
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
            try peers[1].topic("subscribe room")
            let router = try #require(server.router)
            #expect(kill(router, SIGSTOP) == 0)
            defer { kill(router, SIGCONT) }
            try peers[0].begin("publish room late")
            try peers[1].peer.send(.ping(7))
            #expect(try peers[1].peer.take(.pong).payload.starts(with: bigEndian(UInt64(7))))
            try peers[1].peer.send(.request(2, "hello"))
            #expect(try peers[1].peer.take(.response).text == "hello")
            let failure = try peers[0].peer.frames(upTo: .failure, within: .seconds(20)).last
            #expect(failure?.text.contains("has not answered in time") ?? false)
            #expect(kill(router, SIGCONT) == 0)
            #expect(try peers[1].message() == "late")
            let answer = try peers[0].topic("publish room now")
            #expect(answer == "1")
        }
    }

    @Test(
        "A client that does not read loses messages and is told how many; others get all of them",
        arguments: Placing.allCases)
    func slow(placing: Placing) throws {
        try withRouter(placing) { server in
            let publisher = Talker(try server.open())
            let quick = Talker(try server.open())
            let slow = Talker(try server.open(.hello(), receiveBuffer: 4096))
            for peer in [quick, slow] { try peer.topic("subscribe room") }
            let text = String(repeating: "x", count: 15_000)
            // More than the kernel and 4 MiB of queue take.
            let count = 800
            for index in 0..<count {
                #expect(try publisher.topic("publish room \(index) \(text)") == "2")
                #expect(try quick.message() == "\(index) \(text)")
            }
            var numbers: [Int] = []
            var missed = 0
            while numbers.count + missed < count {
                let message = try slow.message()
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
            let stopped = Talker(try server.open())
            let child = try server.onlyChild()
            let (publisher, quick) = (Talker(try server.open()), Talker(try server.open()))
            for peer in [stopped, quick] { try peer.topic("subscribe room") }
            #expect(kill(child, SIGSTOP) == 0)
            defer { kill(child, SIGCONT) }
            // Until the router's queue for the process is full.
            for number in 0..<5000 {
                try publisher.topic("publish room \(number)")
                #expect(try quick.message() == "\(number)")
            }
            #expect(kill(child, SIGCONT) == 0)
            var (got, missed) = (0, 0)
            while got + missed < 5000 {
                let message = try stopped.message()
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
            let victim = Talker(try server.open(.hello(named: "victim")))
            try victim.topic("subscribe room")
            let child = try server.onlyChild()
            #expect(kill(child, SIGKILL) == 0)
            try victim.peer.takeEnd()
            victim.peer.close()
            let other = Talker(try server.open())
            #expect(
                try eventually {
                    try other.topic("online victim") == "false"
                })
            #expect(try other.topic("members room") == "")
            #expect(try other.topic("publish room x") == "0")
        }
    }

    @Test("A process that gets its connections together with their HELLOs hears the router at once")
    func together() throws {
        try withRouter(.together) { server in
            let peers = try (0..<300).map { _ in
                let peer = try server.connect()
                try peer.send(RawFrame.preface + RawFrame.hello(named: "many").bytes)
                return peer
            }
            let sender = Talker(try server.open())
            #expect(try eventually { try sender.topic("send many early") == "300" })
            for peer in peers {
                try peer.takePreface()
                _ = try peer.take(.welcome)
                // Its heart beats later than that.
                #expect(try Talker(peer).message(within: .seconds(3)) == "early")
            }
        }
    }

    @Test("A SHORT connection uses the router and is no member")
    func short() throws {
        try withRouter(.alone) { server in
            let member = Talker(try server.open())
            try member.topic("subscribe room")
            let short = try server.open(.short)
            try short.send(.request(1, "topic publish room hello"))
            #expect(try short.take(.response).text == "1")
            #expect(try member.message() == "hello")
            let other = try server.open(.short)
            try other.send(.request(1, "topic subscribe room"))
            #expect(try other.take(.failure).text.contains("SHORT"))
        }
    }
}
