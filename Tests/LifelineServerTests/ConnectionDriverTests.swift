import Basics
import Framing
import RawWire
import Testing

@testable import LifelineServer
@testable import Posix

@Suite("What drives a connection does not know whether its process has others")
struct ConnectionDriverTests {
    /// Drivers of two connections, whose clients have said HELLO and sent a request each, on one loop.
    private struct Loop: ~Copyable {
        var one: ConnectionDriver
        var other: ConnectionDriver
        var buffer = [UInt8](repeating: 0, count: 4096)
        var set = PollSet()

        /// One turn of an event loop for both.
        mutating func turn(at now: Instant) {
            Loop.turn(&one, &buffer, at: now)
            Loop.turn(&other, &buffer, at: now)
        }

        private static func turn(_ driver: inout ConnectionDriver, _ buffer: inout [UInt8], at now: Instant) {
            driver.resumed(at: now)
            while driver.canRead, driver.read(into: &buffer, at: now) > 0 {}
            driver.runHandler(at: now)
            driver.write(at: now)
            if driver.isDoneSending { driver.finishSending() }
            driver.publishStatistics(at: now)
            driver.enforceDeadlines(at: now)
        }

        /// Waits for both with one poll(2), and returns which is readable.
        mutating func wait() throws -> (one: Bool, other: Bool) {
            set.removeAll()
            one.addInterests(to: &set)
            other.addInterests(to: &set)
            try set.wait(until: .now)
            return (one.isReadable(in: set), other.isReadable(in: set))
        }
    }

    private struct Echo: Handler {
        let answersAtOnce = true
        func respond(to request: Request) -> Response { Response(request.bytes) }
    }

    private func driver(_ socket: consuming Descriptor, _ id: UInt64, _ slot: Scoreboard.Slot) throws
        -> ConnectionDriver
    {
        let peer = try #require(SocketAddress(host: "::1", port: 1))
        let runner = InlineHandlerRunner(Echo(), waking: LoopWaker()) { hello, tokenName, mailbox in
            Connection(id: id, address: peer, hello: hello, tokenName: tokenName, mailbox: mailbox)
        }
        return ConnectionDriver(
            .plain(socket),
            ConnectionAssignment(connection: id, peer: peer, acceptedAt: .now, handshakeTimeout: .seconds(10)),
            nil, ServerOptions().connectionSettings, tokens: nil,
            log: try Log(muting: Log(level: .error, format: .text)),
            slot: slot,
            runner: runner, crashNotice: nil)
    }

    private func greeting(_ payload: [UInt8]) -> [UInt8] {
        var client = Outbox()
        client.greet(Hello())
        client.setMaxFrame(Limits.defaultMaxFrame)
        client.send(.request, id: 1, payload[...], cost: payload.count)
        return Array(client.unsent)
    }

    private func received(by client: borrowing Descriptor) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        guard case .bytes(let count) = try client.receive(into: &buffer) else { return [] }
        return Array(buffer[..<count])
    }

    @Test("Two on one loop share its buffer; one is kicked, closed and let go of, and the other is answered on")
    func two() throws {
        var slots = try Scoreboard(2)
        let (slot, otherSlot) = (slots[slots.take()!], slots[slots.take()!])
        let pair = try SocketPair()
        let otherPair = try SocketPair()
        let client = pair.other
        let other = otherPair.other
        var loop = Loop(one: try driver(pair.one, 1, slot), other: try driver(otherPair.one, 2, otherSlot))
        _ = try client.send(greeting([7, 7, 7])[...])
        var isReadable = try loop.wait()
        #expect(isReadable == (true, false))
        loop.turn(at: .now)
        #expect(try received(by: client).suffix(3) == [7, 7, 7])
        #expect(try received(by: other).isEmpty)

        _ = try other.send(greeting([8, 8])[...])
        loop.one.end(.kick, at: .now)
        loop.turn(at: .now)
        #expect(loop.one.isDoneSending && loop.one.activity == .closing && !loop.one.hasDroppedSilent)
        #expect(try !received(by: client).isEmpty)
        #expect(try received(by: other).suffix(2) == [8, 8])
        client.shutdownWriting()
        loop.turn(at: .now)
        #expect(loop.one.isOver(at: .now) && loop.one.hasLeftNothing)
        loop.one.close()
        #expect(slot.isFinished && slot.closeReason != nil)
        #expect(!otherSlot.isFinished && otherSlot.closeReason == nil && otherSlot.activity == .idle)
        #expect(!loop.other.isOver(at: .now) && loop.other.canRead)

        var request = Outbox()
        request.setMaxFrame(Limits.defaultMaxFrame)
        request.send(.request, id: 2, [9][...], cost: 1)
        _ = try other.send(request.unsent)
        isReadable = try loop.wait()
        #expect(isReadable.other)
        loop.turn(at: .now)
        #expect(try received(by: other).last == 9 && otherSlot.answered == 2)
    }
}
