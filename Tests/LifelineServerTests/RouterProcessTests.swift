import Basics
import Glibc
@testable import Posix
import Testing

@testable import LifelineServer

/// The loop of a router, on a thread of this process.
private final class RunningRouter {
    private let lobby: Descriptor
    private let status = ConditionLock<Int32?>(nil)
    let board: RouterBoard

    init(_ limits: RouterLimits = RouterLimits(maxMessage: 1 << 20)) throws {
        let channel = try DescriptorChannel()
        let giving = channel.giving
        board = try RouterBoard()
        nonisolated(unsafe) let router = try RouterProcess(
            lobby: channel.taking, signals: OwnedResource<SignalDescriptor>(nil), board: board, limits: limits,
            log: try Log(muting: Log(level: .error, format: .text)), title: nil)
        lobby = giving
        try startThread(named: "router") { [status] in
            let result = router.run()
            status.withLock { $0 = result }
            status.notify()
        }
    }

    /// Ties another process to the router.
    func tie() throws -> TiedProcess {
        TiedProcess(try LifelineServerTests.tie(to: lobby))
    }

    /// No further process can come.
    func closeLobby() { lobby.shutdown() }

    /// The exit status; nil where it does not end.
    func ended() -> Int32? { status.wait(until: .now + .seconds(20)) { $0 } }
}

/// Gives one end of a tie to a router, and returns the other.
private func tie(to lobby: borrowing Descriptor) throws -> Descriptor {
    let pair = try SocketPair()
    let isGiven = [UInt8(1)].withUnsafeBytes { lobby.give(pair.other, $0) }
    #expect(isGiven)
    return pair.one
}

/// A process's end of a tie.
private final class TiedProcess {
    private let descriptor: Descriptor
    private var reader = RecordReader<RouterDelivery>(most: 1 << 25)
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)

    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

    func say(_ commands: RouterCommand...) throws { try descriptor.write(commands.flatMap { $0.encoded() }) }

    func say(bytes: [UInt8]) throws { try descriptor.write(bytes) }

    func close() { descriptor.shutdown() }

    /// The next that the router says; nil where it has closed the tie, or says nothing for 20 s.
    func next() throws -> RouterDelivery? {
        let deadline = Instant.now + .seconds(20)
        var poll = try EventPoll()
        try poll.add(descriptor.number, key: 0, reading: true, writing: false)
        while true {
            if let delivery = try reader.next() { return delivery }
            switch try descriptor.receive(into: &buffer) {
            case .bytes(let count): reader.append(buffer[..<count])
            case .end: return nil
            case .wouldBlock:
                guard .now < deadline else {
                    Issue.record("the router says nothing")
                    return nil
                }
                try poll.wait(until: deadline) { _ in }
            }
        }
    }
}

@Suite("The process of the router")
struct RouterProcessTests {
    private func member(_ id: UInt64) -> RouterCommand {
        .register(Member(connection: id, name: nil, tokenName: nil, peer: "p"))
    }

    @Test("It brings messages from one process to others, tells its figures, and ends when all have gone")
    func serving() throws {
        let router = try RunningRouter()
        let (one, two) = (try router.tie(), try router.tie())
        try one.say(member(1), .subscribe(call: 5, connection: 1, topic("a")))
        #expect(try one.next() == .reply(call: 5, .done(1)))
        try two.say(member(2), .publish(call: 6, from: 2, topic("a"), includesSelf: false, hello))
        #expect(try two.next() == .reply(call: 6, .done(1)))
        #expect(try one.next() == .publication(topic("a"), from: 2, except: 2, hello))
        try two.say(.request(call: 7, .connection(1), timeout: 9, hello))
        guard case .ask(let ask, connection: 1, timeout: 9, hello)? = try one.next() else {
            Issue.record("no request has come")
            return
        }
        // What was asked by a router that has died has another number, and its answer is nobody's.
        try one.say(.answered(ask: ask &+ 1, .answer([])), .answered(ask: ask, .answer(hello)))
        #expect(try two.next() == .reply(call: 7, .outcome(.answer(hello))))
        let deadline = Instant.now + .seconds(20)
        while router.board.counts.requests == 0, .now < deadline { yieldProcessor() }
        let counts = router.board.counts
        #expect((counts.ties, counts.connections, counts.published, counts.requests) == (2, 2, 1, 1))
        router.closeLobby()
        one.close()
        // The other one is still served.
        try two.say(.count(call: 8, .all))
        guard case .reply(8, .done) = try two.next() else {
            Issue.record("no reply")
            return
        }
        two.close()
        #expect(router.ended() == 0)
    }

    @Test("What a process has said last is carried out, although it does not read any more")
    func lastWords() throws {
        let router = try RunningRouter()
        let (one, two) = (try router.tie(), try router.tie())
        try one.say(member(1), .subscribe(call: 5, connection: 1, topic("a")))
        #expect(try one.next() == .reply(call: 5, .done(1)))
        try two.say(
            .count(call: 1, .all), .publish(call: 2, from: 2, topic("a"), includesSelf: false, hello),
            .publish(call: 3, from: 2, topic("a"), includesSelf: false, hello))
        two.close()
        for _ in 0..<2 { #expect(try one.next() == .publication(topic("a"), from: 2, except: 2, hello)) }
        one.close()
        router.closeLobby()
        #expect(router.ended() == 0)
    }

    @Test("A process that says what is no command loses its tie, and no other does")
    func faults() throws {
        let router = try RunningRouter(RouterLimits(maxMessage: 100))
        let (one, two, three) = (try router.tie(), try router.tie(), try router.tie())
        try one.say(member(1), .count(call: 1, .all))
        #expect(try one.next() == .reply(call: 1, .done(1)))
        try two.say(bytes: [0, 0, 0, 1, 99])
        #expect(try two.next() == nil)
        try three.say(bytes: [0, 0, 0x20, 0, 5])
        #expect(try three.next() == nil)
        try one.say(.count(call: 2, .all))
        #expect(try one.next() == .reply(call: 2, .done(1)))
        one.close()
        router.closeLobby()
        #expect(router.ended() == 0)
    }

    @Test("A process that does not read loses messages, and another one none")
    func slowProcess() throws {
        let router = try RunningRouter(RouterLimits(maxMessage: 1 << 20, queueRecords: 50))
        let (slow, fast) = (try router.tie(), try router.tie())
        for (id, process) in [(UInt64(1), slow), (2, fast)] {
            try process.say(member(id), .subscribe(call: 5, connection: id, topic("a")))
            #expect(try process.next() == .reply(call: 5, .done(1)))
        }
        // More than the kernel and the queue take.
        let count = 1000
        for number in 0..<count {
            let bytes = Array("\(number) ".utf8) + [UInt8](repeating: 0x78, count: 4000)
            try fast.say(.publish(call: 0, from: 9, topic("a"), includesSelf: false, bytes[...]))
            #expect(try fast.next() == .publication(topic("a"), from: 9, except: 9, bytes[...]))
        }
        var (seen, gaps) = (0, 0)
        while seen < count, let delivery = try slow.next() {
            switch delivery {
            case .gap(let name, let lost):
                #expect(name == topic("a"))
                seen += Int(lost)
                gaps += 1
            case .publication(_, _, _, let bytes):
                #expect(Int(String(decoding: bytes.prefix { $0 != 0x20 }, as: UTF8.self)) == seen)
                seen += 1
            default: Issue.record("\(delivery)")
            }
        }
        #expect(seen == count)
        #expect(gaps == 1)
        slow.close()
        fast.close()
        router.closeLobby()
        #expect(router.ended() == 0)
    }

    @Test("Many processes at a time: a message to all reaches each, and messages of one topic come in order")
    func many() throws {
        let router = try RunningRouter()
        var processes: [TiedProcess] = []
        for id in 1...UInt64(300) {
            let process = try router.tie()
            try process.say(member(id), .subscribe(call: id, connection: id, topic("a")))
            #expect(try process.next() == .reply(call: id, .done(1)))
            processes.append(process)
        }
        try processes[0].say(.send(call: 1, from: 1, .all, hello))
        for number in UInt8(0)..<20 {
            try processes[0].say(.publish(call: 0, from: 1, topic("a"), includesSelf: false, [number]))
        }
        #expect(try processes[0].next() == .reply(call: 1, .done(299)))
        for process in processes.dropFirst() {
            var numbers: [UInt8] = []
            var broadcasts = 0
            while numbers.count + broadcasts < 21, let delivery = try process.next() {
                switch delivery {
                case .publication(_, _, _, let bytes): numbers += bytes
                case .broadcast: broadcasts += 1
                default: Issue.record("\(delivery)")
                }
            }
            #expect(numbers == Array(0..<20))
            #expect(broadcasts == 1)
        }
        for process in processes { process.close() }
        router.closeLobby()
        #expect(router.ended() == 0)
    }

    @Test("A process whose stream cannot be waited for loses its tie, and no other does")
    func forcedFailure() throws {
        let channel = try DescriptorChannel()
        let giving = channel.giving
        let router = try RouterProcess(
            lobby: channel.taking, signals: OwnedResource<SignalDescriptor>(nil), board: RouterBoard(),
            limits: RouterLimits(maxMessage: 100), log: try Log(muting: Log(level: .error, format: .text)), title: nil)
        let end = try LifelineServerTests.tie(to: giving)
        giving.shutdown()
        let status = withForced(.epollControl, .error(ENOSPC)) { router.run() }
        #expect(status == 0)
        #expect(try end.read(most: 1).isEmpty)
    }

    @Test("A router that cannot wait for processes ends with a status that says so")
    func failedWait() throws {
        let channel = try DescriptorChannel()
        let router = try RouterProcess(
            lobby: channel.taking, signals: OwnedResource<SignalDescriptor>(nil), board: RouterBoard(),
            limits: RouterLimits(maxMessage: 100), log: try Log(muting: Log(level: .error, format: .text)), title: nil)
        let status = withForced(.preciseEpollWait, .error(ENOMEM)) { router.run() }
        #expect(status == 1)
    }
}
