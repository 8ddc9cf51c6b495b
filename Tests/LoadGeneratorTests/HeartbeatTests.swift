import Basics
import Framing
import Testing

@testable import LoadGenerator

@Suite("Heartbeats of the load") struct HeartbeatTests {
    @Test("The first PING keeps its instant whatever comes (5.2-1), the next ones follow the last proof (5.2-2)")
    func pings() throws {
        let exchange = try Exchange.opened()
        let welcomed = exchange.now
        exchange.pass(.milliseconds(400))
        exchange.answer(1, [])
        _ = try exchange.frames()
        exchange.wake()
        #expect(try exchange.frames().isEmpty)
        // Half of ping_every, as the random number of the test says.
        exchange.now = welcomed + .milliseconds(500)
        exchange.wake()
        #expect(try exchange.frames() == [.ping(nonce: 1)])
        exchange.hear { $0.answer(with: Pong(nonce: 1)) }
        #expect(exchange.counters.pongs == 1)
        exchange.pass(.milliseconds(600))
        exchange.answer(2, [])
        _ = try exchange.frames()
        exchange.pass(.milliseconds(899))
        exchange.wake()
        #expect(try exchange.frames().isEmpty, "the answer was a proof")
        exchange.pass(.milliseconds(1))
        exchange.wake()
        #expect(try exchange.frames() == [.ping(nonce: 2)])
    }

    @Test("The timers is asked for an instant no later than the next PING, and again soon")
    func deadline() throws {
        let exchange = try Exchange.opened()
        let deadline = exchange.connection.deadline(exchange.profile, at: exchange.now)
        #expect(deadline <= exchange.now + .milliseconds(150))
        exchange.pass(.milliseconds(450))
        #expect(exchange.connection.deadline(exchange.profile, at: exchange.now) == exchange.now + .milliseconds(50))
    }

    @Test("A server that is silent is dropped after dead_after, and not before")
    func silent() throws {
        let exchange = try Exchange.opened()
        exchange.pass(.milliseconds(2999))
        exchange.wake()
        #expect(exchange.connection.phase == .open)
        exchange.pass(.milliseconds(1))
        exchange.wake()
        #expect(exchange.connection.ending == .dropped(.silent))
        #expect(try exchange.frames() == [.close(Close(.silent))])
        #expect(exchange.counters.requestEnds == [.lost(.dropped(.silent)): 1])
        exchange.pass(.milliseconds(999))
        exchange.wake()
        #expect(exchange.connection.phase == .closing)
        exchange.pass(.milliseconds(1))
        exchange.wake()
        #expect(exchange.connection.phase == .over)
    }

    @Test("A server that speaks and answers no PING is dropped (5.6-1)")
    func noRoundTrip() throws {
        let exchange = try Exchange.opened()
        exchange.pass(.milliseconds(500))
        exchange.wake()
        _ = try exchange.frames()
        for step in 1...30 {
            exchange.pass(.milliseconds(100))
            exchange.hear { $0.send(.message, [1, 2, 3][...], cost: 0) }
            exchange.wake()
            #expect((exchange.connection.ending == .dropped(.noRoundTrip)) == (step == 30))
        }
    }

    @Test("A frame that does not end is dropped (5.7-1)")
    func unfinished() throws {
        let exchange = try Exchange.opened()
        exchange.hear(bytes: [0, 0, 0, 100, 7, 0, 0, 0, 0, 0, 0, 0])
        for step in 1...31 {
            exchange.pass(.milliseconds(100))
            exchange.hear(bytes: [1])
            exchange.wake()
            let isDropped = exchange.connection.ending == .dropped(.frameTimeout)
            #expect(isDropped == (step == 31))
            _ = try exchange.frames()
            // What else the server has to be dropped for is put off.
            exchange.connection.unprovenSince = .never
        }
    }

    @Test("Who was late itself grants a new dead_after and sends a PING (5.11)")
    func late() throws {
        let exchange = try Exchange.opened()
        let asked = exchange.now + .milliseconds(100)
        exchange.pass(.seconds(9))
        exchange.wake(asked: asked)
        #expect(exchange.connection.phase == .open)
        #expect(try exchange.frames() == [.ping(nonce: 1)])
    }

    @Test("A request without an answer for too long ends its connection, and a handshake too")
    func timeouts() throws {
        let exchange = try Exchange.opened { $0.timeout = .seconds(1) }
        exchange.pass(.seconds(1))
        exchange.wake()
        #expect(exchange.connection.ending == .timeout && exchange.counters.requestEnds == [.lost(.timeout): 1])
        let other = Exchange { $0.timeout = .seconds(1) }
        _ = try other.frames()
        other.pass(.seconds(1))
        other.wake()
        #expect(other.connection.ending == .dropped(.handshakeTimeout))
    }

    @Test("With --silent and --last-ping a connection beats until it is told; then it says one PING, and no more")
    func silence() throws {
        let exchange = try Exchange.opened {
            $0.isSilent = true
            $0.saysLastPing = true
        }
        exchange.pass(.milliseconds(1500))
        exchange.wake()
        #expect(try exchange.frames() == [.ping(nonce: 1)])
        exchange.hear { $0.answer(with: Pong(nonce: 1)) }
        exchange.load.isSilenced = true
        #expect(try exchange.frames() == [.ping(nonce: 2)])
        exchange.pass(.milliseconds(20))
        exchange.hear { $0.answer(with: Pong(nonce: 2)) }
        exchange.pass(.milliseconds(1500))
        exchange.hear { $0.ping(1) }
        exchange.wake()
        #expect(try exchange.frames().isEmpty)
        #expect(exchange.connection.deadline(exchange.profile, at: exchange.now) == .never)
        exchange.pass(.milliseconds(1600))
        exchange.hear { $0.close(Close(.silent)) }
        #expect(exchange.counters.lateness.most == .milliseconds(120) && exchange.counters.early == 0)
        #expect(exchange.counters.latenessOfServer.most == .milliseconds(100))
        let answers = exchange.connection.mustAnswerClose()
        #expect(!answers)
    }

    @Test("With --silent what was due is not said any more, and the drop is measured from the last byte sent")
    func silenceAtOnce() throws {
        let exchange = try Exchange.opened { $0.isSilent = true }
        exchange.pass(.milliseconds(500))
        exchange.wake()
        _ = try exchange.frames()
        exchange.pass(.milliseconds(1200))
        exchange.hear { $0.ping(1) }
        exchange.wake()
        exchange.load.isSilenced = true
        #expect(try exchange.frames().isEmpty)
        exchange.pass(.milliseconds(1801))
        exchange.hear { $0.close(Close(.silent)) }
        #expect(exchange.counters.lateness.most == .milliseconds(1) && exchange.counters.early == 0)
    }

    @Test("With --silent a drop before dead_after is early, and so is any other CLOSE")
    func early() throws {
        for (wait, code) in [(2999, Code.silent), (4000, .shuttingDown)] {
            let exchange = try Exchange.opened { $0.isSilent = true }
            exchange.load.isSilenced = true
            _ = try exchange.frames()
            exchange.pass(.milliseconds(wait))
            exchange.hear { $0.close(Close(code)) }
            #expect(exchange.counters.early == 1 && exchange.counters.lateness.count == 0)
        }
    }
}
