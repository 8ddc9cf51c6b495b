import Basics
import Framing
import Testing

@testable import LifelineClient

/// A session of a test, with the server, the network and the callers that it has to do with.
private struct World: SessionWorld {
    var session: Session
    var peer = Peer()
    var now: Instant
    /// What callers were told: the text of a DONE, or the error.
    var results: [Call.ID: Result<[UInt8], RequestError>] = [:]
    var order: [Call.ID] = []
    var events: [ConnectionEvent] = []
    var messages: [[UInt8]] = []
    var dials = 0
    var nextAddresses = 0

    init(
        short: Bool = false, policy: ReconnectPolicy = ReconnectPolicy(), timeout: Duration = .seconds(30),
        wait: Duration = .zero, isExpected: Bool = false, servers: [String] = [""], random: Double = 0.5
    ) {
        now = at(0)
        session = Session(
            Hello(short: short), policy: policy, connectTimeout: timeout, wait: wait, isExpected: isExpected,
            servers: servers, at: at(0), random: { random })
        drain()
    }

    /// A session that is open at 0.
    static func open(_ welcome: Welcome = Peer.welcome, policy: ReconnectPolicy = ReconnectPolicy()) throws -> World {
        var world = World(policy: policy)
        try world.connect(welcome)
        return world
    }

    /// Connects, and the server says WELCOME.
    mutating func connect(_ welcome: Welcome = Peer.welcome) throws {
        peer = Peer()
        session.dialed(at: now)
        _ = try sent()
        peer.outbox.greet(welcome, maxFrame: 16384)
        receive()
    }

    mutating func drain() {
        while let output = session.nextOutput() {
            switch output {
            case .dial: dials += 1
            case .dialNext: nextAddresses += 1
            case .stopDialing: break
            case .releaseConnection: _ = session.takeReleased()
            case .answer, .cancelAnswer: break
            case .finish(let id, let result):
                #expect(results[id] == nil, "call \(id) ended twice")
                results[id] = result
                order.append(id)
            case .sent(let id, _):
                results[id] = .success([])
                order.append(id)
            case .message(let message): messages.append(message)
            case .event(let event): events.append(event)
            }
        }
    }

    /// The machine is suspended: the clock of the session stands still.
    mutating func suspend(for seconds: Double) {
        session.machineResumed(after: at(seconds) - at(0), at: now)
        session.enforceDeadlines(at: now)
        drain()
    }

    /// What the client sends now, without heartbeats.
    mutating func sent() throws -> [Peer.Seen] {
        session.enforceDeadlines(at: now)
        var all: [UInt8] = []
        while let unsent = session.connection?.outbox.unsent, !unsent.isEmpty {
            all += unsent
            session.wrote(unsent.count, at: now)
            session.sendWaitingCalls(at: now)
        }
        drain()
        return try peer.read(all).filter { if case .ping = $0 { false } else { true } }
    }

    mutating func request(
        _ id: Call.ID, _ text: String = "?", until seconds: Double? = nil, mayRunTwice: Bool = false
    ) {
        session.start(
            id,
            Call(.request(mayRunTwice: mayRunTwice), bytes(text), deadline: seconds.map { at($0) }))
    }

    mutating func send(_ id: Call.ID, _ message: [UInt8]) {
        session.start(id, Call(.message, message, deadline: nil))
    }

    mutating func abandon(_ id: Call.ID) {
        session.abandon(id, .cancelled, at: now)
        drain()
    }

    mutating func close(_ close: Close) {
        peer.outbox.close(close)
        receive()
    }

    mutating func breakOff() {
        session.streamEnded(at: now)
        drain()
    }

    mutating func fail(_ text: String = "refused") {
        session.dialFailed(ConnectionError(.unreachable, text), at: now)
        drain()
    }

    func error(_ id: Call.ID) -> RequestError? {
        if case .failure(let error)? = results[id] { error } else { nil }
    }

    func answer(_ id: Call.ID) -> String? {
        if case .success(let answer)? = results[id] { String(decoding: answer, as: UTF8.self) } else { nil }
    }

    /// How long the session waits before it dials again; nil where it does not.
    var wait: Duration? {
        if case .waiting(let until) = session.phase { until - now } else { nil }
    }

    var end: ConnectionError? {
        if case .closed(let error) = session.phase { error } else { nil }
    }
}

private let broken = RequestError.Reason.connection(
    ConnectionError(.broken, "the server closed the connection without saying why"))

@Suite struct Opening {
    @Test func requestsWaitForWelcome() throws {
        var world = World()
        world.request(1)
        world.session.dialed(at: world.now)
        #expect(try world.sent() == [.hello(short: false)])
        world.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        world.receive()
        #expect(world.events == [.connected(ConnectionTerms(Peer.welcome))])
        #expect(try world.sent() == [.request(1, bytes("?"))])
    }

    @Test func aWrongPortIsToldAtOnce() {
        var world = World()
        world.request(1)
        world.fail("no")
        #expect(world.end?.kind == .unreachable)
        #expect(world.error(1) == .notSent(.connection(ConnectionError(.unreachable, "no"))))
        world.request(2)
        world.drain()
        #expect(world.error(2) != nil)
    }

    @Test func dialingHasItsTime() {
        var world = World(timeout: .seconds(5))
        #expect(world.session.nextDeadline(at: world.now) == at(5))
        world.go(to: 5)
        #expect(world.end?.kind == .timedOut)
    }

    @Test func aBusyServerIsTriedAgain() throws {
        var world = World()
        world.session.dialed(at: world.now)
        world.close(Close(.busy, retryAfter: 700))
        // retry_after, and half of the first 100 ms.
        #expect(world.wait == .milliseconds(750))
        world.go(to: 0.749)
        #expect(world.dials == 1)
        world.go(to: 0.75)
        #expect(world.dials == 2)
        try world.connect()
        guard case .connected? = world.events.last else {
            Issue.record("\(world.events)")
            return
        }
    }

    @Test func butNotLongerThanOpenMayTake() {
        var world = World(timeout: .seconds(5))
        world.session.dialed(at: world.now)
        world.close(Close(.busy, retryAfter: 6000))
        #expect(world.end?.code == .busy)
    }
}

@Suite struct Outcomes {
    @Test func whatWasSentIsUnknownAndTheRestWaits() throws {
        var world = try World.open()
        world.request(1)
        #expect(try world.sent() == [.request(1, bytes("?"))])
        world.request(2, "!")
        world.breakOff()
        #expect(world.error(1) == .unknown(broken))
        #expect(world.error(2) == nil)
        world.go(to: 1)
        try world.connect()
        #expect(try world.sent() == [.request(1, bytes("!"))])
        world.peer.respond(1, "done")
        world.receive()
        #expect(world.answer(2) == "done")
    }

    @Test func whatMayRunTwiceIsRepeated() throws {
        var world = try World.open()
        world.request(1, "a", mayRunTwice: true)
        world.request(2, "b", mayRunTwice: true)
        _ = try world.sent()
        world.request(3, "c")
        world.breakOff()
        #expect(world.results.isEmpty)
        world.go(to: 1)
        try world.connect()
        // In the order of the calls.
        #expect(
            try world.sent() == [.request(1, bytes("a")), .request(2, bytes("b")), .request(3, bytes("c"))])
    }

    @Test func lastIDTellsRefusedFromUnknown() throws {
        var world = try World.open()
        world.request(1, "a")
        world.request(2, "b")
        _ = try world.sent()
        world.close(Close(.shuttingDown, lastID: 1))
        #expect(
            world.error(1)
                == .unknown(.connection(ConnectionError(.closedByServer, "", code: .shuttingDown))))
        #expect(world.error(2) == nil)
        world.go(to: 1)
        try world.connect()
        #expect(try world.sent() == [.request(1, bytes("b"))])
    }

    @Test func aRequestWaitsForTheConnectionUntilItsTimeout() throws {
        var world = try World.open()
        world.breakOff()
        world.request(1, until: 3)
        world.fail()
        world.go(to: 2.999)
        #expect(world.error(1) == nil)
        world.go(to: 3)
        #expect(world.error(1) == .notSent(.timedOut))
    }

    @Test func aTimeoutOfWhatWasSentIsACancel() throws {
        var world = try World.open()
        world.request(1, until: 5)
        _ = try world.sent()
        #expect(world.session.nextDeadline(at: world.now) == at(1))
        world.go(to: 5)
        #expect(world.error(1) == .unknown(.timedOut))
        #expect(try world.sent() == [.cancel(1)])
        world.peer.outbox.fail(1, Failure(.cancelled))
        world.receive()
        #expect(world.session.phase == .open)
    }

    @Test func aCallGivenUpInTheSameTurnWasNeverSent() throws {
        var world = try World.open()
        world.request(1)
        world.abandon(1)
        #expect(world.error(1) == .notSent(.cancelled))
        #expect(try world.sent() == [])
    }

    @Test func whatTheKernelDoesNotTakeIsNotSent() throws {
        var world = try World.open()
        world.request(1, "a")
        world.request(2, "b")
        world.request(3, "c")
        // All three are staged; the kernel takes none of them but the first's first byte.
        world.session.enforceDeadlines(at: world.now)
        let sent = Array(world.session.connection!.outbox.unsent.prefix(1))
        world.session.wrote(1, at: world.now)
        world.abandon(1)
        world.abandon(2)
        #expect(world.error(1) == .unknown(.cancelled))
        #expect(world.error(2) == .notSent(.cancelled))
        _ = try world.peer.read(sent)
        #expect(try world.sent() == [.request(1, bytes("a")), .request(3, bytes("c")), .cancel(1)])
    }

    @Test func theServersFailureIsToldAsItIs() throws {
        var world = try World.open()
        world.request(1)
        _ = try world.sent()
        world.peer.outbox.fail(1, Failure(.handlerFailed, "no such table", retryAfter: 20))
        world.receive()
        guard case .failed(let failure)? = world.error(1) else {
            Issue.record("\(world.results)")
            return
        }
        #expect(failure.code == .handlerFailed && failure.text == "no such table")
        #expect(failure.retryAfter == .milliseconds(20))
    }

    @Test func aRequestOverTheServersLimitIsNotSent() throws {
        var welcome = Peer.welcome
        welcome.maxMessage = 10
        var world = try World.open(welcome)
        world.request(1, "eleven bytes")
        #expect(try world.sent() == [])
        #expect(world.error(1) == .notSent(.tooLarge(most: 10)))
    }
}

@Suite struct RoomOnTheServer {
    @Test func noMoreThanMaxInFlight() throws {
        var world = try World.open()
        for id in UInt64(1)...6 { world.request(id, "\(id)") }
        #expect(try world.sent().count == 4)
        world.peer.respond(2, "")
        world.receive()
        #expect(try world.sent() == [.request(5, bytes("5"))])
    }

    @Test func aCancelledRequestKeepsItsRoom() throws {
        var world = try World.open()
        for id in UInt64(1)...5 { world.request(id, "\(id)") }
        _ = try world.sent()
        world.abandon(1)
        #expect(try world.sent() == [.cancel(1)])
        world.peer.outbox.fail(1, Failure(.cancelled))
        world.receive()
        #expect(try world.sent() == [.request(5, bytes("5"))])
    }

    @Test func aRefusedRequestIsRepeatedAfterAPause() throws {
        var world = try World.open()
        world.request(1, "a")
        world.request(2, "b")
        _ = try world.sent()
        world.peer.outbox.fail(1, Failure(.refused, retryAfter: 200))
        world.peer.respond(2, "b")
        world.receive()
        #expect(world.answer(2) == "b")
        #expect(try world.sent() == [])
        #expect(world.session.nextDeadline(at: world.now) == at(0.2))
        world.go(to: 0.2)
        #expect(try world.sent() == [.request(3, bytes("a"))])
        world.peer.respond(3, "a")
        world.receive()
        #expect(world.answer(1) == "a")
    }

    @Test func aRefusalIsWhatACallerIsToldInTheEnd() throws {
        var world = try World.open()
        world.request(1, until: 0.1)
        _ = try world.sent()
        world.peer.outbox.fail(1, Failure(.refused, "no room", retryAfter: 500))
        world.receive()
        world.go(to: 0.1)
        guard case .refused(.refused(let failure))? = world.error(1) else {
            Issue.record("\(world.results)")
            return
        }
        #expect(failure.text == "no room")
    }

    @Test func messagesWaitWhileTooMuchIsQueued() throws {
        var welcome = Peer.welcome
        welcome.maxQueued = 1 << 20
        var world = try World.open(welcome)
        let big = [UInt8](repeating: 1, count: 1 << 20)
        for id in UInt64(1)...3 { world.send(id, big) }
        world.session.sendWaitingCalls(at: world.now)
        world.drain()
        // The second went in while no more than max_queued waited; the third has to wait.
        #expect(world.order == [1, 2])
        _ = try world.sent()
        #expect(world.order == [1, 2, 3])
    }

    @Test func emptyMessagesArePaidFor() throws {
        var world = try World.open()
        for id in UInt64(1)...13 { world.send(id, []) }
        #expect(try world.sent().count == 12)
        world.go(to: 0.999)
        #expect(try world.sent() == [])
        world.go(to: 1)
        #expect(try world.sent() == [.message([])])
    }
}

@Suite struct ComingBack {
    @Test(arguments: [
        Code.protocolError, .badPreface, .unsupportedVersion, .unsupportedOption, .frameTooLarge, .messageTooLarge,
        .unauthorized, .kicked,
    ])
    func someCodesAreFinal(code: Framing.Code) throws {
        var world = try World.open()
        world.close(Close(code))
        #expect(world.end?.code == code)
        #expect(world.events.last == world.end.map { .closed($0) })
    }

    @Test(arguments: [
        Code.normal, .handshakeTimeout, .silent, .frameTimeout, .slowReader, .tooManyPings, .noRoundTrip, .busy,
        .shuttingDown, .internal, Code(rawValue: 999),
    ])
    func othersAreNot(code: Framing.Code) throws {
        var world = try World.open()
        world.close(Close(code))
        #expect(world.wait == .milliseconds(50))
    }

    @Test func eachFailureDoublesTheWait() throws {
        var world = try World.open(policy: ReconnectPolicy(base: .seconds(1), cap: .seconds(10), attempts: 6))
        world.breakOff()
        var waits: [Duration] = []
        var seconds = 0.0
        while let wait = world.wait {
            waits.append(wait)
            seconds += wait / .seconds(1)
            world.go(to: seconds)
            world.fail()
        }
        #expect(waits == [0.5, 1, 2, 4, 5, 5].map { .milliseconds($0 * 1000) })
        #expect(world.end?.kind == .unreachable)
    }

    @Test func onlyALastingConnectionStartsTheCountAnew() throws {
        var world = try World.open(policy: ReconnectPolicy(base: .seconds(1), cap: .seconds(60)))
        world.go(to: 9.9)
        world.breakOff()
        #expect(world.wait == .milliseconds(500))
        world.go(to: 10.4)
        try world.connect()
        // It does not last as long as dead_after.
        world.go(to: 12)
        world.breakOff()
        #expect(world.wait == .seconds(1))
        world.go(to: 13)
        try world.connect()
        for step in 0..<12 {
            world.go(to: 14 + Double(step))
            _ = try world.sent()
            world.receive()
        }
        world.breakOff()
        #expect(world.wait == .milliseconds(500))
    }

    @Test func aConnectionThatNeverProvedItselfDoesNotLast() throws {
        var world = try World.open(policy: ReconnectPolicy(base: .seconds(1), cap: .seconds(60)))
        world.peer.answersPings = false
        world.breakOff()
        world.go(to: 0.5)
        try world.connect()
        world.peer.answersPings = false
        for step in 1..<12 {
            world.go(to: 0.5 + Double(step))
            _ = try world.sent()
            world.peer.outbox.send(.message, [1], cost: 0)
            world.receive()
        }
        guard case .lost(let error)? = world.events.last(where: { if case .lost = $0 { true } else { false } }) else {
            Issue.record("\(world.events)")
            return
        }
        #expect(error.code == .noRoundTrip)
        #expect(world.wait == .seconds(1))
    }

    @Test func aWaitThatPassedInSuspendIsOver() throws {
        var world = try World.open(policy: ReconnectPolicy(base: .seconds(60), cap: .seconds(60)))
        world.breakOff()
        #expect(world.wait == .seconds(30))
        world.suspend(for: 29.999)
        #expect(world.wait == .seconds(30) && world.dials == 1)
        world.suspend(for: 30)
        #expect(world.wait == nil && world.dials == 2)
    }

    @Test func beforeTheFirstWelcomeAWaitGoesOn() throws {
        var world = World()
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.close(Close(.busy))
        #expect(world.wait == .milliseconds(50))
        world.suspend(for: 3600)
        #expect(world.wait == .milliseconds(50) && world.dials == 1)
    }

    @Test func aSuspendAsksTheServerAtOnce() throws {
        var world = try World.open()
        _ = try world.sent()
        world.suspend(for: 3600)
        let unsent = try #require(world.session.connection?.outbox.unsent)
        #expect(try world.peer.read(Array(unsent)) == [.ping(1)])
    }

    @Test func neverMeansNever() throws {
        var world = try World.open(policy: .never)
        world.request(1)
        world.breakOff()
        #expect(world.end?.kind == .broken)
        #expect(world.error(1) == .notSent(broken))
    }

    @Test func goAwayFinishesAndComesBackWhenAsked() throws {
        var world = try World.open()
        world.request(1)
        _ = try world.sent()
        world.peer.outbox.goAway(GoAway(.shuttingDown, "bye", retryAfter: 1000, spread: 4000))
        world.receive()
        #expect(world.session.isGoingAway)
        world.request(2, "later")
        #expect(try world.sent() == [])
        world.peer.respond(1, "last")
        world.receive()
        #expect(world.answer(1) == "last")
        // retry_after, half of spread, and half of the first 100 ms.
        #expect(world.wait == .milliseconds(3050))
        #expect(
            world.events.dropFirst() == [
                .goingAway(code: .shuttingDown, text: "bye", retryAfter: .seconds(1)),
                .reconnecting(
                    after: ConnectionError(
                        .closedByServer, "bye", code: .shuttingDown, retryAfter: .seconds(1)),
                    wait: .milliseconds(3050), attempt: 1),
            ])
        world.go(to: 3.05)
        try world.connect()
        #expect(try world.sent() == [.request(1, bytes("later"))])
        guard case .reconnected? = world.events.last else {
            Issue.record("\(world.events)")
            return
        }
    }

    @Test func goAwayBeforeAFinalCloseChangesNothing() throws {
        var world = try World.open()
        world.request(1)
        _ = try world.sent()
        world.peer.outbox.goAway(GoAway(.shuttingDown, retryAfter: 2000))
        world.close(Close(.kicked, lastID: 1))
        #expect(world.end?.code == .kicked)
    }

    @Test func goAwayAndCloseAtOnce() throws {
        var world = try World.open()
        world.request(1)
        _ = try world.sent()
        world.peer.outbox.goAway(GoAway(.shuttingDown, retryAfter: 2000, spread: 2000))
        world.close(Close(.shuttingDown, lastID: 0))
        #expect(world.wait == .milliseconds(3050))
        #expect(world.results.isEmpty)
    }
}

@Suite struct Closing {
    @Test func whatIsInFlightIsWaitedFor() throws {
        var world = try World.open()
        world.request(1)
        _ = try world.sent()
        world.request(2)
        world.session.close(at: world.now)
        world.drain()
        #expect(world.error(2) == .notSent(.connection(.closedByProgram)))
        world.request(3)
        world.drain()
        #expect(world.error(3) == .notSent(.connection(.closedByProgram)))
        #expect(world.end == nil)
        world.peer.respond(1, "done")
        world.receive()
        #expect(world.answer(1) == "done")
        #expect(world.end == .closedByProgram)
        #expect(world.events.filter { if case .closed = $0 { true } else { false } }.count == 1)
    }

    @Test func closingWhileThereIsNoConnection() throws {
        var world = try World.open()
        world.breakOff()
        world.session.close(at: world.now)
        world.drain()
        #expect(world.end == .closedByProgram)
        #expect(world.session.nextDeadline(at: world.now) == nil)
    }

    @Test func aConnectionLostWhileClosingStaysLost() throws {
        var world = try World.open()
        world.request(1)
        _ = try world.sent()
        world.session.close(at: world.now)
        world.breakOff()
        #expect(world.error(1) == .unknown(broken))
        #expect(world.end != nil)
    }
}

@Suite struct ShortSessions {
    private static let call = Call(.request(mayRunTwice: false), bytes("hi"), deadline: at(30))

    @Test func oneWriteCarriesItAll() throws {
        var world = World(short: true)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        #expect(try world.sent() == [.hello(short: true), .request(1, bytes("hi"))])
        world.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        world.peer.respond(1, "ho")
        world.peer.outbox.close(Close(.normal, lastID: 1))
        world.receive()
        #expect(world.answer(1) == "ho")
        #expect(world.end?.code == .normal && world.dials == 1)
    }

    @Test(arguments: [(16384, true), (16385, false)]) func aLongOneWaitsForWelcome(length: Int, isEarly: Bool) throws {
        var world = World(short: true)
        let message = [UInt8](repeating: 1, count: length)
        world.session.start(
            1, Call(.request(mayRunTwice: false), message, deadline: nil))
        world.session.dialed(at: world.now)
        #expect(try world.sent().count == (isEarly ? 2 : 1))
        world.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        world.receive()
        #expect(try world.sent() == (isEarly ? [] : [.request(1, message)]))
    }

    @Test func aBusyServerIsTriedAgain() throws {
        var world = World(short: true)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.close(Close(.busy, retryAfter: 100))
        #expect(world.results.isEmpty && world.wait == .milliseconds(150))
        world.go(to: 0.15)
        world.peer = Peer()
        world.session.dialed(at: world.now)
        #expect(try world.sent() == [.hello(short: true), .request(1, bytes("hi"))])
    }

    @Test func aRefusedOneIsRepeatedOnAConnectionOfItsOwn() throws {
        var world = World(short: true)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        world.peer.outbox.fail(1, Failure(.refused, retryAfter: 300))
        world.receive()
        #expect(try world.sent() == [] && world.results.isEmpty)
        world.close(Close(.normal, lastID: 1))
        #expect(world.results.isEmpty && world.wait == .milliseconds(350))
    }

    @Test func aServerThatDoesNotCloseIsNotWaitedForLong() throws {
        var world = World(short: true)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        world.peer.respond(1, "ho")
        world.receive()
        #expect(world.answer(1) == "ho" && world.end == nil)
        #expect(world.session.nextDeadline(at: world.now) == at(1))
        world.go(to: 1)
        #expect(world.end != nil)
    }

    @Test func untilTheAttemptsAreUsedUp() throws {
        var world = World(short: true, policy: .never)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.close(Close(.busy, "full"))
        #expect(world.error(1) == .refused(.connection(ConnectionError(.closedByServer, "full", code: .busy))))
    }

    @Test func aBrokenOneIsUnknownAndNotRepeated() throws {
        var world = World(short: true)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.breakOff()
        guard case .unknown? = world.error(1) else {
            Issue.record("\(world.results)")
            return
        }
        #expect(world.dials == 1 && world.end != nil)
    }

    @Test func itsTimeoutClosesTheConnection() throws {
        var world = World(short: true)
        world.session.start(1, ShortSessions.call)
        world.session.dialed(at: world.now)
        _ = try world.sent()
        world.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        world.receive()
        world.abandon(1)
        #expect(world.error(1) == .unknown(.cancelled))
        #expect(world.end == .closedByProgram)
    }
}

/// The first connection: several addresses, several servers, and a server that is not there yet.
@Suite struct FirstConnections {
    private static let rubbish = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)

    @Test("The next address is tried up to WELCOME", arguments: [false, true])
    func addresses(short: Bool) throws {
        var world = World(short: short)
        world.request(1, "one")
        // The first is mute: it has a share of the time.
        world.session.dialed("10.0.0.1:1", others: 3, at: world.now)
        #expect(try world.sent() == [.hello(short: short)], "a request that may go elsewhere stays here")
        world.go(to: 4.9)
        #expect(world.nextAddresses == 0)
        world.go(to: 5)
        #expect(world.nextAddresses == 1)
        // The second closes at once, the third is no Lifeline server, and neither is waited for.
        world.session.dialed("10.0.0.2:1", others: 2, at: world.now)
        world.breakOff()
        #expect(world.nextAddresses == 2)
        world.session.dialed("10.0.0.3:1", others: 1, at: world.now)
        world.session.received(Self.rubbish, upTo: Self.rubbish.count, at: world.now)
        world.drain()
        #expect(world.nextAddresses == 3)
        // The last has the rest of the time, and gets the request.
        world.go(to: 25)
        try world.connect()
        #expect(try world.sent().contains(.request(1, bytes("one"))) || world.session.calls.areInFlight)
        #expect(world.dials == 1)
        #expect(world.events == [.connected(ConnectionTerms(Peer.welcome))])
    }

    @Test(
        "A server that knows the client and does not want it speaks for all addresses",
        arguments: [
            (Code.unauthorized, false), (.kicked, false), (.busy, true), (.shuttingDown, true),
        ])
    func refusals(code: Framing.Code, isNextTried: Bool) throws {
        var world = World()
        world.session.dialed("10.0.0.1:1", others: 1, at: world.now)
        world.close(Close(code))
        #expect(world.nextAddresses == (isNextTried ? 1 : 0))
        #expect((world.end == nil) == isNextTried)
    }

    @Test func aFailureOfAllAddressesNamesTheOneItIsAbout() throws {
        var world = World()
        world.session.dialed("10.0.0.1:1", others: 1, at: world.now)
        world.breakOff()
        world.session.dialed("10.0.0.2:1", at: world.now)
        world.breakOff()
        #expect(world.end?.server == "10.0.0.2:1")
        #expect(world.end?.description.hasPrefix("10.0.0.2:1: the server closed the connection") == true)
    }

    @Test func eachServerHasOneAttemptAndAShareOfTheTime() throws {
        var world = World(timeout: .seconds(6), servers: ["a:1", "b:1", "c:1"])
        world.session.dialed(at: world.now)
        world.go(to: 2)
        world.go(to: 2)
        #expect(world.dials == 2)
        world.fail()
        world.go(to: 2)
        #expect(world.dials == 3)
        world.go(to: 5.9)
        #expect(world.end == nil)
        world.go(to: 6)
        #expect(world.end?.server == "c:1")
        #expect(world.end?.kind == .timedOut)
    }

    @Test("A server that is not there yet is waited for", arguments: [false, true])
    func wait(short: Bool) throws {
        var world = World(short: short, policy: ReconnectPolicy(attempts: 0), timeout: .seconds(1), wait: .seconds(60))
        world.session.start(1, Call(.request(mayRunTwice: false), [1], deadline: at(1), timeout: .seconds(1)))
        var dials = 0.0
        for kind in [ConnectionError.Kind.unknownHost, .unreachable, .broken, .timedOut] {
            for _ in 0..<5 {
                world.session.dialFailed(ConnectionError(kind, ""), at: world.now)
                world.drain()
                // Never more than a second, half of which the chance of this world takes.
                #expect(try #require(world.wait) <= .milliseconds(500))
                dials += 1
                world.go(to: dials)
            }
        }
        // It accepts, and closes: the request was held back, so nothing is lost.
        world.session.dialed(at: world.now)
        #expect(try world.sent() == [.hello(short: short)])
        world.breakOff()
        #expect(world.results.isEmpty || !short)
        world.go(to: dials + 0.5)
        try world.connect()
        #expect(world.events.last == .connected(ConnectionTerms(Peer.welcome)))
        #expect(try !short || world.sent() == [.request(1, [1])] || world.session.calls.areInFlight)
    }

    @Test(
        "A request that may run twice, and may have run once, is UNKNOWN when the next attempts fail",
        arguments: [0, 1, 2])
    func mayHaveRun(_ what: Int) throws {
        var world = try World.open(policy: ReconnectPolicy(attempts: 1))
        world.session.start(1, Call(.request(mayRunTwice: true), [1], deadline: at(60)))
        #expect(try world.sent() == [.request(1, [1])])
        world.breakOff()
        #expect(world.results.isEmpty)
        switch what {
        case 0:
            world.go(to: 5)
            world.fail()
        case 1: world.session.abandon(1, .cancelled, at: world.now)
        default: world.go(to: 61)
        }
        world.drain()
        guard case .failure(.unknown) = world.results[1] else {
            return #expect(Bool(false), "\(String(describing: world.results[1]))")
        }
    }

    @Test func aServerThatHasJustAnsweredGetsTheRequestAtOnce() throws {
        var world = World(short: true, wait: .seconds(60), isExpected: true)
        world.request(1, "one")
        world.session.dialed(at: world.now)
        #expect(try world.sent() == [.hello(short: true), .request(1, bytes("one"))])
        world.breakOff()
        guard case .failure(.unknown) = world.results[1] else { return #expect(Bool(false), "\(world.results)") }
    }

    @Test func aServerThatWasThereAndIsAwayIsWaitedForWithTheRequestHeldBack() throws {
        var world = World(short: true, wait: .seconds(60), isExpected: true)
        world.request(1, "one")
        world.fail()
        world.go(to: 1)
        world.session.dialed(at: world.now)
        #expect(try world.sent() == [.hello(short: true)])
        world.breakOff()
        #expect(world.results.isEmpty)
        world.go(to: 2)
        try world.connect()
        #expect(try world.sent() == [.request(1, bytes("one"))] || world.session.calls.areInFlight)
    }

    @Test func theWaitEnds() {
        var world = World(wait: .seconds(40))
        for step in 0..<200 where world.end == nil {
            world.fail()
            world.go(to: Double(step) / 2)
        }
        #expect(world.end?.kind == .unreachable)
        #expect(world.dials > 50)
        // What is over after the wait is over: a request does not stay behind it.
        #expect(world.now <= at(41))
    }

    @Test func aWrongPortIsReportedAtOnceWithoutAWait() {
        var world = World()
        world.fail()
        #expect(world.end?.kind == .unreachable)
    }

    @Test(
        "What ends a connection and what follows",
        arguments: [
            (Close(.shuttingDown, "", retryAfter: 5000), 0.0), (Close(.busy, "", retryAfter: 5000), 0.0),
        ])
    func theNextServerTakesOver(close: Close, wait: Double) throws {
        var world = World(policy: ReconnectPolicy(base: .milliseconds(100)), servers: ["a:1", "b:1"])
        try world.connect()
        world.go(to: 1)
        world.close(close)
        // Not all clients at once, and not after the rest that the other server asked for.
        #expect(world.wait == .milliseconds(50))
        world.go(to: 1.1)
        world.session.dialed(at: world.now)
        #expect(world.session.server == "b:1")
    }

    @Test func goAwayMovesToTheNextServerWithoutItsRest() throws {
        var world = World(policy: ReconnectPolicy(base: .milliseconds(100)), servers: ["a:1", "b:1"])
        try world.connect()
        world.request(1, "in flight")
        _ = try world.sent()
        world.peer.outbox.goAway(GoAway(.shuttingDown, "", retryAfter: 60_000, spread: 60_000))
        world.receive()
        world.request(2, "for the next one")
        _ = try world.sent()
        #expect(world.wait == nil)
        world.peer.outbox.send(.response, id: 1, bytes("done")[...], cost: 0)
        world.receive()
        #expect(world.answer(1) == "done")
        #expect(world.wait == .milliseconds(50))
        world.go(to: 0.1)
        try world.connect()
        #expect(world.session.server == "b:1")
        #expect(world.session.calls.areInFlight)
    }
}
