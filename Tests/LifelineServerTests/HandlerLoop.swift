import Basics
import Framing
import Synchronization
import Testing

@testable import LifelineServer
@testable import Posix

/// What the handlers of these tests have seen, and what they wait for. A test looks at it from its own thread.
final class HandlerWatch: Sendable {
    struct Notes {
        /// What was called, in order, such as `1 opened` and `2 request hello`.
        var calls: [String] = []
        /// The threads that have called.
        var threads: Set<UInt> = []
        /// Which gates are open.
        var open: Set<String> = []
        /// How many handlers wait at a gate.
        var waiting = 0
    }

    private let notes = ConditionLock(Notes())

    var calls: [String] { notes.withLock { $0.calls } }
    var threadsSeen: Int { notes.withLock { $0.threads.count } }
    var waiting: Int { notes.withLock { $0.waiting } }

    func note(_ text: String) {
        notes.withLock { notes in
            notes.calls.append(text)
            notes.threads.insert(currentThread)
        }
    }

    /// Lets the handlers go that wait at this gate, now or later.
    func open(_ gate: String) {
        notes.withLock { _ = $0.open.insert(gate) }
        notes.notify()
    }

    func wait(at gate: String) {
        notes.withLock { $0.waiting += 1 }
        _ = notes.wait(until: .now + .seconds(60)) { $0.open.contains(gate) ? true : nil }
        notes.withLock { $0.waiting -= 1 }
    }
}

/// A handler that does what a request says. It keeps state without a lock, as handlers may.
struct WatchedHandler: Handler {
    static let mayShare = true
    private let number: UInt64
    private let watch: HandlerWatch
    private var connection: Connection?
    private var count = 0
    private let isInside = InsideMark()

    private final class InsideMark: Sendable {
        let isSet = Atomic(false)
    }

    init(_ number: UInt64, _ watch: HandlerWatch) {
        self.number = number
        self.watch = watch
    }

    private func note(_ text: String) { watch.note("\(number) \(text)") }

    private func enter() { if isInside.isSet.exchange(true, ordering: .relaxed) { note("OVERLAPS") } }
    private func leave() { isInside.isSet.store(false, ordering: .relaxed) }

    mutating func opened(_ connection: Connection) {
        enter()
        defer { leave() }
        note("opened")
        self.connection = connection
    }

    mutating func respond(to request: Request) throws(Failure) -> Response {
        enter()
        defer { leave() }
        count += 1
        note("request \(request.text)")
        let words = request.text.split(separator: " ").map(String.init)
        let amount = words.count > 1 ? Int(words[1]) ?? 0 : 0
        switch words.first {
        case "count": return Response("\(count)")
        case "gate": watch.wait(at: words[1])
        case "fail": throw Failure(.handlerFailed, "as you wish")
        case "wait": return Response("\(request.wait(for: .seconds(amount)))")
        case "send": for index in 0..<amount { connection?.send("said \(index)") }
        case "parts":
            return Response { parts throws(Failure) in
                for _ in 0..<amount { try parts.send([UInt8](repeating: 0x70, count: 1000)) }
            }
        case "ask":
            do throws(ClientRequestError) {
                let answer = try connection!.request("question", timeout: .seconds(amount))
                return Response("got \(String(decoding: answer, as: UTF8.self))")
            } catch {
                return Response("\(error)")
            }
        default: break
        }
        return Response(request.bytes)
    }

    mutating func received(_ message: ArraySlice<UInt8>) {
        enter()
        defer { leave() }
        count += 1
        let text = String(decoding: message, as: UTF8.self)
        note("message \(text)")
        if text.starts(with: "gate ") { watch.wait(at: String(text.dropFirst("gate ".count))) }
    }

    mutating func closed(_ reason: CloseReason) {
        enter()
        defer { leave() }
        note("closed")
    }
}

/// A loop of several connections whose handlers have threads in common. The test's own thread is the loop's.
final class HandlerLoop {
    /// One connection: the driver, and its client.
    final class Member {
        fileprivate var driver: ConnectionDriver
        private let client: Descriptor
        fileprivate(set) var isOver = false
        private var received: [UInt8] = []
        private var read = 8
        /// What the server has said, a frame a line.
        private(set) var lines: [String] = []
        /// How many bytes of responses came.
        private(set) var responseBytes = 0

        fileprivate init(_ driver: consuming ConnectionDriver, _ client: consuming Descriptor) {
            self.driver = driver
            self.client = client
        }

        func send(_ bytes: [UInt8]...) throws { _ = try client.send(bytes.flatMap { $0 }[...]) }
        func hangUp() { client.shutdownWriting() }
        func kick() { driver.end(.kick, at: .now) }

        /// Reads what the server has said by now.
        fileprivate func look() throws {
            var buffer = [UInt8](repeating: 0, count: 65536)
            while case .bytes(let count) = try client.receive(into: &buffer) { received += buffer[..<count] }
            while received.count >= read + 12 {
                let length = Int(number(at: read))
                guard received.count >= read + 12 + length else { return }
                let payload = received[(read + 12)..<(read + 12 + length)]
                let id = number(at: read + 8)
                let text = payload.count > 40 ? "\(payload.count) bytes" : String(decoding: payload, as: UTF8.self)
                switch received[read + 4] {
                case 0x03: try? send(raw(0x04, Array(payload) + zeros(12)))
                case 0x04: lines.append("PONG")
                case 0x05: lines.append("REQUEST \(id) \(text)")
                case 0x06:
                    responseBytes += length
                    if received[read + 5] == 0 { lines.append("RESPONSE \(id) \(text)") }
                case 0x07: lines.append("MESSAGE \(text)")
                case 0x09: lines.append("FAILURE \(id) \(Code(rawValue: UInt16(number(at: read + 12) >> 16)))")
                case 0x0B: lines.append("CLOSE \(Code(rawValue: UInt16(number(at: read + 16) >> 16)))")
                default: break
                }
                read += 12 + length
            }
        }

        private func number(at offset: Int) -> UInt32 {
            received[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    let threads: HandlerThreads
    let watch = HandlerWatch()
    private let wakeups: LoopWakeups
    private let settings: ConnectionSettings
    private let log: Log
    private let factory: ChildLauncher.RunnerMaker
    private var slots: Scoreboard
    private(set) var members: [Member] = []
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(
        threads most: Int, idle: Duration = .seconds(10), handlerTimeout: Duration? = nil, log: Log? = nil
    ) throws {
        threads = HandlerThreads(most: most, idleTime: idle)
        wakeups = try LoopWakeups()
        slots = try Scoreboard(128)
        var options = ServerOptions()
        options.handlerTimeout = handlerTimeout
        options.grace = .milliseconds(500)
        settings = options.connectionSettings
        self.log = try log ?? Log(muting: Log(level: .error, format: .text))
        let numbers = Atomic<UInt64>(0)
        factory = HandlerFactory { [watch] in
            WatchedHandler(numbers.add(1, ordering: .relaxed).newValue, watch)
        }.maker(self.log, options)
    }

    /// Adds a connection. What its client says comes behind HELLO.
    @discardableResult
    func add(_ hello: [UInt8] = hello(minor: 1)) throws -> Member {
        let pair = try SocketPair()
        let client = pair.other
        let peer = try #require(SocketAddress(host: "::1", port: 1))
        let place = Int32(members.count)
        let host = HandlerHost(for: place, in: wakeups, threads)
        let assignment = ConnectionAssignment(
            connection: UInt64(place) + 1, peer: peer, acceptedAt: .now, handshakeTimeout: .seconds(10))
        let runner = factory(host, pair.one, assignment, nil)
        let slot = slots[slots.take()!]
        let member = Member(
            ConnectionDriver(
                .plain(pair.one), assignment, nil, settings, tokens: nil, log: log, slot: slot, runner: runner,
                crashNotice: nil),
            client)
        members.append(member)
        try member.send(hello)
        return member
    }

    /// Runs the loop until `condition` holds; false where that takes more than 20 s.
    func run(until condition: () -> Bool) throws -> Bool {
        let end = Instant.now + .seconds(20)
        while .now < end {
            try turn()
            if condition() { return true }
        }
        return false
    }

    private func turn() throws {
        var set = PollSet()
        set.removeAll(reserving: members.count + 1)
        let woken = set.add(wakeups.number)
        var deadline = Instant.now + .milliseconds(20)
        for member in members where !member.isOver {
            member.driver.addInterests(to: &set)
            if let due = member.driver.deadline { deadline = min(deadline, due) }
        }
        try set.wait(until: deadline)
        if set.isReadable(woken) { wakeups.clear() }
        _ = wakeups.takeAll()
        let now = Instant.now
        for member in members where !member.isOver {
            member.driver.resumed(at: now)
            if member.driver.isReadable(in: set) { _ = member.driver.read(into: &buffer, at: now) }
            member.driver.runHandler(after: set, at: now)
            member.driver.write(at: now)
            member.driver.enforceDeadlines(at: now)
            member.driver.runHandler(at: now)
            member.driver.write(at: now)
            if member.driver.isDoneSending { member.driver.finishSending() }
            if member.driver.isOver(at: now) {
                member.driver.close()
                member.isOver = true
            }
            try member.look()
        }
    }
}
