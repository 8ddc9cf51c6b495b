import Basics
import Framing
import Testing

@testable import LifelineClient

/// A session that is open at 0 and sends one request of 100,000 bytes, of which the kernel takes what a test says.
private struct Upload {
    var session: Session
    var peer = Peer()
    var events: [ConnectionEvent] = []

    init(isWatched: Bool = true, deadAfter: UInt32 = 10_000) throws {
        session = Session(Hello(), policy: .never, connectTimeout: .seconds(30), at: at(0), random: { 0.5 })
        if isWatched { session.watch() }
        session.dialed(at: at(0))
        try write(.max, at: 0)
        let welcome = Welcome(
            pingEvery: deadAfter / 4, deadAfter: deadAfter, maxFrame: 16384, maxMessage: 1 << 20, maxInFlight: 4,
            maxQueued: 1 << 20, connection: 7, minor: 0)
        peer.outbox.greet(welcome, maxFrame: 16384)
        receive(at: 0)
        let request = [UInt8](repeating: 1, count: 100_000)
        session.start(1, Call(.request(mayRunTwice: false), request, deadline: nil))
        go(to: 0)
        try write(30_000, at: 0)
    }

    mutating func write(_ most: Int, at seconds: Double) throws {
        var rest = most
        session.prepareWrite(at: at(seconds))
        while rest > 0, let unsent = session.connection?.outbox.unsent, !unsent.isEmpty {
            let part = unsent.prefix(rest)
            rest -= part.count
            session.wrote(part.count, at: at(seconds))
            _ = try peer.read(Array(part))
        }
    }

    mutating func receive(at seconds: Double) {
        let bytes = peer.take()
        session.received(bytes, upTo: bytes.count, at: at(seconds))
        go(to: seconds)
    }

    mutating func go(to seconds: Double) {
        session.enforceDeadlines(at: at(seconds))
        while let output = session.nextOutput() {
            switch output {
            case .event(let event): events.append(event)
            case .releaseConnection: _ = session.takeReleased()
            default: break
            }
        }
    }

    var transfers: [TransferProgress] {
        events.compactMap { if case .transfer(let progress) = $0 { progress } else { nil } }
    }
}

@Suite struct SessionTransferTests {
    @Test func aProgramThatDoesNotListenPaysForNoTimer() throws {
        var upload = try Upload(isWatched: false)
        // The first PING is due at 1.25 s.
        #expect(upload.session.nextDeadline(at: at(0)) == at(1.25))
        upload.go(to: 1.1)
        #expect(upload.transfers.isEmpty)
        // It hears of what is under way from the moment on that it listens.
        upload.session.watch()
        upload.go(to: 1.2)
        #expect(upload.transfers.map(\.elapsed) == [.milliseconds(1200)])
    }

    @Test func aProgramThatListensHearsOfItEachSecond() throws {
        var upload = try Upload()
        #expect(upload.session.nextDeadline(at: at(0)) == at(1))
        upload.go(to: 1)
        upload.go(to: 1.5)
        #expect(upload.transfers.map(\.request) == [1])
        try upload.write(.max, at: 1.7)
        // The turn that wrote the last byte has read the deadlines before. The next one tells the end, at once.
        #expect(try #require(upload.session.nextDeadline(at: at(1.7))) <= at(1.7))
        upload.go(to: 1.7)
        #expect(upload.transfers.map(\.isOver) == [false, true])
        // A message of one frame, and the response of one, are not measured.
        upload.peer.respond(1, "done")
        upload.receive(at: 2)
        #expect(upload.transfers.count == 2)
    }

    @Test func theEndOfTheConnectionEndsTheTransferFirst() throws {
        var upload = try Upload()
        upload.go(to: 1)
        upload.session.streamBroke("gone", at: at(1.5))
        upload.go(to: 1.5)
        let last = try #require(upload.transfers.last)
        #expect(upload.transfers.count == 2 && last.isOver && last.bytes < 31_000 && last.total == 100_000)
        let ending = upload.events.suffix(3)
        guard case .transfer? = ending.first, case .lost? = ending.dropFirst().first, case .closed? = ending.last else {
            Issue.record("\(ending)")
            return
        }
    }

    @Test func aRequestThatTheServerGivesUpEndsItsTransfer() throws {
        var upload = try Upload()
        upload.go(to: 1)
        upload.peer.outbox.fail(1, Failure(.internal))
        upload.receive(at: 1.5)
        #expect(upload.transfers.map(\.isOver) == [false, true])
        #expect(upload.session.nextDeadline(at: at(1.5)) != nil)
        try upload.write(.max, at: 1.6)
        upload.go(to: 9)
        #expect(upload.transfers.count == 2)
    }

    @Test func aRequestThatIsCancelledEndsItsTransfer() throws {
        var upload = try Upload()
        upload.go(to: 1)
        upload.session.abandon(1, .cancelled, at: at(1.5))
        upload.go(to: 1.5)
        #expect(upload.transfers.map(\.isOver) == [false, true])
    }
}
