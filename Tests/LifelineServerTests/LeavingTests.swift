import Basics
import Testing

@testable import LifelineServer

@Suite("How a server ends")
struct ShutdownTests {
    @Test("The first signal drains, the second kills, the third changes nothing")
    func signals() {
        var shutdown = ShutdownState(drain: .seconds(5), grace: .seconds(10))
        #expect(shutdown.isServing && shutdown.deadline == nil)
        #expect(shutdown.resumed(at: at(1_000_000)) == .none)
        #expect(shutdown.signalled(at: at(0)) == .drain)
        #expect(!shutdown.isServing && shutdown.deadline == at(5000))
        #expect(shutdown.signalled(at: at(4000)) == .kill)
        #expect(shutdown.deadline == at(9000))
        #expect(shutdown.signalled(at: at(4001)) == .none && shutdown.quit(at: at(4001)) == .none)
        #expect(shutdown.resumed(at: at(8999)) == .none)
        #expect(shutdown.resumed(at: at(9000)) == .none && shutdown.isOver && shutdown.deadline == nil)
    }

    @Test("The drain is over in its time, then the grace begins, whose end kills; five seconds later it leaves")
    func grace() {
        for drain in [0.0, 5000] {
            var shutdown = ShutdownState(drain: .milliseconds(Int(drain)), grace: .seconds(10))
            #expect(shutdown.signalled(at: at(500)) == .drain)
            if drain > 0 { #expect(shutdown.resumed(at: at(499.999 + drain)) == .none) }
            // However late the loop is, the grace does not grow.
            #expect(shutdown.resumed(at: at(700 + drain)) == .end)
            #expect(shutdown.resumed(at: at(10_499.999 + drain)) == .none)
            #expect(shutdown.resumed(at: at(10_500 + drain)) == .kill)
            #expect(shutdown.resumed(at: at(15_499.999 + drain)) == .none)
            #expect(!shutdown.isOver)
            #expect(shutdown.resumed(at: at(15_500 + drain)) == .none && shutdown.isOver)
        }
    }

    @Test("SIGQUIT ends at once in every state, and kills what has not ended a second later, or at the next signal")
    func quit() {
        for signals in 0..<3 {
            var shutdown = ShutdownState(drain: .seconds(5), grace: .seconds(10))
            if signals > 0 { #expect(shutdown.signalled(at: at(0)) == .drain) }
            if signals > 1 { #expect(shutdown.resumed(at: at(5000)) == .end) }
            #expect(shutdown.quit(at: at(6000)) == .quit)
            #expect(!shutdown.isServing && shutdown.deadline == at(7000))
            var other = shutdown
            #expect(shutdown.resumed(at: at(6999.999)) == .none)
            #expect(shutdown.resumed(at: at(7000)) == .kill)
            #expect((signals == 0 ? other.quit(at: at(6001)) : other.signalled(at: at(6001))) == .kill)
        }
    }

    @Test("It is over when nothing is left; refused clients are waited for while it drains or ends, and no longer")
    func over() {
        var serving = ShutdownState(drain: .seconds(5), grace: .seconds(10))
        serving.endTurn(hasProcesses: false, hasClients: false)
        #expect(serving.isServing && !serving.isOver)
        for step in 0..<4 {
            func state() -> ShutdownState {
                var shutdown = ShutdownState(drain: .seconds(5), grace: .seconds(10))
                _ = step == 2 ? shutdown.quit(at: at(0)) : shutdown.signalled(at: at(0))
                if step == 1 { _ = shutdown.resumed(at: at(5000)) }
                if step == 3 { _ = shutdown.signalled(at: at(0)) }
                return shutdown
            }
            for (hasProcesses, hasClients) in [(false, false), (false, true), (true, false), (true, true)] {
                var shutdown = state()
                #expect(!shutdown.isOver)
                shutdown.endTurn(hasProcesses: hasProcesses, hasClients: hasClients)
                #expect(shutdown.isOver == (!hasProcesses && (!hasClients || step >= 2)))
                if shutdown.isOver {
                    #expect(shutdown.signalled(at: at(1)) == .none && shutdown.quit(at: at(1)) == .none)
                    #expect(shutdown.resumed(at: at(1_000_000)) == .none)
                }
            }
        }
    }
}

@Suite("7.4, 7.7 Whom a drain sends away when")
struct DrainTests {
    private func clients(_ count: Int) -> [LiveConnection] {
        (1...count).map { LiveConnection(slot: $0, connection: UInt64($0) + 7) }
    }

    /// Each departure with the instant it was due at, in milliseconds.
    private func departures(_ drain: DrainSchedule) -> [(at: Double, departure: DrainSchedule.Departure)] {
        var drain = drain
        var all: [(at: Double, departure: DrainSchedule.Departure)] = []
        while let due = drain.deadline {
            #expect(drain.next(at: due + .nanoseconds(-1)) == nil, "never before its time")
            guard let departure = drain.next(at: due) else { break }
            all.append(((due - at(0)) / .milliseconds(1), departure))
        }
        return all
    }

    @Test(
        "Every child is sent away once, in an order of chance, evenly over the window", arguments: [1, 2, 1000, 4000])
    func schedule(count: Int) {
        let clients = clients(count)
        let all = departures(DrainSchedule(of: clients, over: .seconds(5), from: at(1000)) { .random(in: 0..<1) })
        #expect(all.map(\.departure.client).sorted { $0.slot < $1.slot } == clients)
        #expect(count < 1000 || all.map(\.departure.client) != clients)
        let part = 5000 / Double(count)
        for (index, entry) in all.enumerated() {
            let start = 1000 + Double(index) * part
            #expect(entry.at >= start && entry.at < start + part + 0.001)
        }
    }

    @Test(
        "Each comes back at an instant of its own: behind the end of the drain, as evenly as they left, 2 s at least",
        arguments: [(5000.0, 5000.0), (2000, 2000), (100, 2000)])
    func comingBack(window: Double, returning: Double) {
        let count = 1000
        let drain = DrainSchedule(
            of: clients(count), over: .milliseconds(Int(window)), from: at(0)
        ) { .random(in: 0..<1) }
        let part = returning / Double(count)
        for (index, entry) in departures(drain).enumerated() {
            let returns = entry.at + Double(entry.departure.retryAfter)
            let start = window + Double(index) * part
            #expect(returns >= start && returns <= start + part + 1, "rounded up to whole milliseconds")
        }
    }

    @Test("One that is told late is told to stay away for less")
    func late() {
        func make() -> DrainSchedule { DrainSchedule(of: clients(2), over: .seconds(4), from: at(0)) { 0.5 } }
        let returns = [5000.0, 7000]
        var punctual = make()
        #expect(punctual.deadline == at(1000) && punctual.next(at: at(1000))?.retryAfter == 4000)
        #expect(punctual.deadline == at(3000) && punctual.next(at: at(2999)) == nil)
        var late = make()
        #expect((0..<2).map { _ in late.next(at: at(4000))?.retryAfter } == returns.map { UInt32($0 - 4000) })
        #expect(late.deadline == nil && late.next(at: at(9000)) == nil)
        var hopeless = make()
        #expect(hopeless.next(at: at(60_000))?.retryAfter == 0)
    }

    @Test("Who has no place in it is told to come back behind its end as well, and within 2 s where there is no window")
    func latecomers() {
        let drain = DrainSchedule(of: [], over: .seconds(5), from: at(1000)) { 0 }
        #expect(drain.deadline == nil)
        #expect(drain.retryAfter(at: at(1000)) { 0 } == 5000 && drain.retryAfter(at: at(2000)) { 0.5 } == 6500)
        #expect(drain.retryAfter(at: at(9000)) { 0 } == 0)
        let atOnce = DrainSchedule(of: [], over: .zero, from: at(1000)) { 0 }
        #expect(atOnce.retryAfter(at: at(1000)) { 0.25 } == 500 && atOnce.retryAfter(at: at(1200)) { 0.25 } == 500)
    }
}

@Suite("7.4 A connection of a server that ends")
struct LeavingTests {
    @Test("7.4-1 A client that is sent away is served on, until it closes")
    func sentAway() {
        var conversation = Conversation.opened()
        conversation.receive(request(1, "a"))
        conversation.sendAway()
        #expect(conversation.said() == ["RESPONSE 1 a", "GOAWAY SHUTTING_DOWN"])
        conversation.receive(request(2, "b"), ping(1), at: at(10))
        #expect(conversation.said() == ["RESPONSE 2 b", "PONG 1 queued 1 in flight 1 longest 0"])
        #expect(!conversation.connection.isClosing)
        conversation.receive(LifelineServerTests.close(), at: at(20))
        #expect(conversation.said() == ["CLOSE NORMAL last 2"])
    }

    @Test("7.4-8 A client that was sent away and has not gone is closed with the last answer, and told once")
    func leftOver() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"))
        conversation.sendAway()
        conversation.terminate()
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN"])
        conversation.answer(1, "x")
        #expect(conversation.said() == ["RESPONSE 1 x", "CLOSE SHUTTING_DOWN last 1"])
        #expect(conversation.retryAfter == 0, "GOAWAY has said it")
    }

    @Test("7.4-8 A client that is in its handshake gets GOAWAY behind WELCOME, a short one its answer")
    func early() {
        var long = Conversation()
        long.sendAway()
        #expect(long.said() == [])
        long.receive(hello(), request(1, "a"))
        #expect(long.said() == ["LIFELINE", "WELCOME", "GOAWAY SHUTTING_DOWN", "RESPONSE 1 a"])
        var short = Conversation()
        short.sendAway()
        short.receive(hello(short: true), request(1, "a"))
        #expect(short.said() == ["LIFELINE", "WELCOME", "RESPONSE 1 a", "CLOSE NORMAL last 1"])
    }

    @Test("7.7-7 A CLOSE that no GOAWAY precedes says when to come back")
    func retryAfter() {
        var waiting = Conversation()
        waiting.terminate()
        #expect(waiting.said() == ["LIFELINE", "CLOSE SHUTTING_DOWN last 0"] && waiting.retryAfter == 700)
        var idle = Conversation.opened(short: true)
        idle.sendAway()
        idle.terminate()
        #expect(idle.said() == ["CLOSE SHUTTING_DOWN last 0"] && idle.retryAfter == 700)
        var long = Conversation.opened()
        long.terminate()
        #expect(long.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE SHUTTING_DOWN last 0"] && long.retryAfter == 0)
        var normal = Conversation.opened(short: true)
        normal.sendAway()
        normal.receive(request(1, "a"))
        #expect(normal.said() == ["RESPONSE 1 a", "CLOSE NORMAL last 1"] && normal.retryAfter == 0)
    }

    @Test("A server that ends at once waits for no answer, and tells each client so")
    func quits() {
        var long = Conversation.opened(echoes: false)
        long.receive(request(1, "a"), request(2, "b", more: true))
        long.quit()
        #expect(long.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE SHUTTING_DOWN last 1"])
        #expect(long.seen == [.opened, .request(1, "a"), .cancelled(1)])
        var sentAway = Conversation.opened()
        sentAway.sendAway()
        sentAway.quit()
        #expect(sentAway.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE SHUTTING_DOWN last 0"])
        var short = Conversation.opened(short: true, echoes: false)
        short.receive(request(1, "a"))
        short.quit()
        #expect(short.said() == ["CLOSE SHUTTING_DOWN last 1"] && short.retryAfter == 700)
        var early = Conversation()
        early.quit()
        #expect(early.said() == ["LIFELINE", "CLOSE SHUTTING_DOWN last 0"] && early.retryAfter == 700)
    }

    @Test("A server that ends at once before the first byte of WELCOME is taken says no GOAWAY", arguments: [0, 8])
    func quitsBeforeWelcome(_ taken: Int) {
        var conversation = Conversation()
        conversation.takes = false
        conversation.receive(hello())
        conversation.write(taken)
        conversation.takes = true
        conversation.quit()
        #expect(conversation.said() == ["LIFELINE", "CLOSE SHUTTING_DOWN last 0"])
        #expect(conversation.retryAfter == 700)
    }

    @Test("7.5-1 A server that ends at once finishes the frame that is begun, and cuts off what is behind it")
    func quitsWithin() {
        var conversation = Conversation.opened()
        conversation.takes = false
        conversation.receive(request(1, "abc"), request(2, "d"))
        conversation.write(14)
        conversation.takes = true
        conversation.quit()
        #expect(conversation.said() == ["RESPONSE 1 abc", "GOAWAY SHUTTING_DOWN", "CLOSE SHUTTING_DOWN last 2"])
    }
}
