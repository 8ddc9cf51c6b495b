import Basics
import Framing
import Glibc
import Testing

@testable import LifelineServer
@testable import Posix

@Suite("Handlers of several connections on threads that they have in common")
struct PooledHandlerTests {
    @Test("Each connection's calls come one at a time and in order, on changing threads, the end last")
    func order() throws {
        let loop = try HandlerLoop(threads: 4)
        let members = try (0..<24).map { _ in try loop.add() }
        let rounds = 60
        for round in 0..<rounds {
            for member in members {
                try member.send(request(UInt32(round + 1), "count"), message("\(round)"))
            }
            #expect(try loop.run { members.allSatisfy { $0.lines.count >= round } })
        }
        for member in members { member.hangUp() }
        #expect(try loop.run { members.allSatisfy(\.isOver) })
        for (index, member) in members.enumerated() {
            #expect(
                member.lines.filter { $0.hasPrefix("RESPONSE") }
                    == (0..<rounds).map { "RESPONSE \($0 + 1) \(2 * $0 + 1)" })
            let number = "\(index + 1) "
            let calls = loop.watch.calls.filter { $0.hasPrefix(number) }.map { $0.dropFirst(number.count) }
            let expected =
                ["opened"] + (0..<rounds).flatMap { ["request count", "message \($0)"] } + ["closed"]
            #expect(calls.map(String.init) == expected)
        }
        #expect(loop.watch.threadsSeen > 1)
        #expect(loop.threads.count <= 4)
    }

    @Test("A connection with many messages goes behind the others after each call")
    func fairness() throws {
        let loop = try HandlerLoop(threads: 1)
        let busy = try loop.add()
        let others = try (0..<5).map { _ in try loop.add() }
        try busy.send(message("gate a"))
        #expect(try loop.run { loop.watch.waiting == 1 })
        try busy.send((0..<500).flatMap { message("\($0)") })
        for other in others { try other.send(request(1, "hello")) }
        // The others' openings and requests are in the queue before the gate opens.
        for _ in 0..<20 { _ = try loop.run { true } }
        loop.watch.open("a")
        #expect(try loop.run { others.allSatisfy { $0.lines.count == 1 } })
        #expect(try loop.run { loop.watch.calls.contains("1 message 499") })
        let calls = loop.watch.calls
        let last = try #require(calls.lastIndex { $0.hasSuffix("request hello") })
        // An opening and a request each, and so two of its own between them, and one that was next.
        #expect(calls[..<last].count { $0.hasPrefix("1 message") } <= 4, "\(calls[..<last])")
    }

    @Test("While handlers have all threads the heart beats, and calls wait; then all are answered")
    func allTaken() throws {
        let loop = try HandlerLoop(threads: 2)
        let blocked = try (0..<2).map { _ in try loop.add() }
        for member in blocked { try member.send(request(1, "gate a")) }
        #expect(try loop.run { loop.watch.waiting == 2 })
        let waiting = try loop.add()
        try waiting.send(request(1, "hello"), ping(1))
        try blocked[0].send(ping(2))
        #expect(try loop.run { waiting.lines == ["PONG"] && blocked[0].lines == ["PONG"] })
        #expect(!loop.watch.calls.contains("3 opened") && loop.threads.count == 2)
        loop.watch.open("a")
        #expect(try loop.run { waiting.lines.last == "RESPONSE 1 hello" })
        #expect(try loop.run { blocked.allSatisfy { $0.lines.last == "RESPONSE 1 gate a" } })
    }

    @Test("Threads start when calls wait, up to the most, and end when they have been idle")
    func growth() throws {
        let loop = try HandlerLoop(threads: 3, idle: .milliseconds(50))
        #expect(loop.threads.count == 0)
        let members = try (0..<6).map { _ in try loop.add() }
        for member in members { try member.send(request(1, "gate a")) }
        #expect(try loop.run { loop.watch.waiting == 3 })
        #expect(loop.threads.count == 3)
        loop.watch.open("a")
        #expect(try loop.run { members.allSatisfy { $0.lines.count == 1 } })
        #expect(try loop.run { loop.threads.count == 0 })
        try members[0].send(request(2, "again"))
        #expect(try loop.run { members[0].lines.last == "RESPONSE 2 again" })
    }

    @Test("A request that is cancelled while it waits for a thread never reaches the handler")
    func cancelledInQueue() throws {
        let loop = try HandlerLoop(threads: 1)
        let blocked = try loop.add()
        let other = try loop.add()
        #expect(try loop.run { loop.watch.calls.count == 2 })
        try blocked.send(request(1, "gate a"))
        #expect(try loop.run { loop.watch.waiting == 1 })
        try other.send(request(1, "first"), request(2, "second"))
        _ = try loop.run { true }
        try other.send(cancel(1))
        #expect(try loop.run { other.lines == ["FAILURE 1 CANCELLED"] })
        loop.watch.open("a")
        #expect(try loop.run { other.lines.last == "RESPONSE 2 second" })
        #expect(!loop.watch.calls.contains("2 request first"))
    }

    @Test("A request that waits for a thread for longer than its time fails, and the connection goes on")
    func timeoutInQueue() throws {
        let loop = try HandlerLoop(threads: 1, handlerTimeout: .seconds(1))
        let blocked = try loop.add()
        let other = try loop.add()
        #expect(try loop.run { loop.watch.calls.count == 2 })
        try blocked.send(message("gate a"))
        #expect(try loop.run { loop.watch.waiting == 1 })
        try other.send(request(1, "late"))
        #expect(try loop.run { other.lines == ["FAILURE 1 HANDLER_FAILED"] })
        loop.watch.open("a")
        try other.send(request(2, "next"))
        #expect(try loop.run { other.lines.last == "RESPONSE 2 next" })
        #expect(!loop.watch.calls.contains("2 request late") && !other.isOver)
    }

    @Test("A handler that does not return loses its thread, others get one for it, and it is found when it returns")
    func lost() throws {
        let loop = try HandlerLoop(threads: 1, handlerTimeout: .seconds(1))
        let stuck = try loop.add()
        let other = try loop.add()
        try stuck.send(request(1, "gate a"))
        #expect(try loop.run { loop.watch.waiting == 1 })
        #expect(loop.threads.lostThreads == 0)
        #expect(try loop.run { stuck.isOver })
        #expect(stuck.lines == ["FAILURE 1 HANDLER_FAILED", "CLOSE HANDLER_FAILED"])
        #expect(loop.threads.lostThreads == 1)
        try other.send(request(1, "hello"))
        #expect(try loop.run { other.lines.last == "RESPONSE 1 hello" })
        loop.watch.open("a")
        #expect(try loop.run { loop.threads.lostThreads == 0 })
        #expect(try loop.run { loop.watch.calls.contains("1 closed") })
        #expect(try loop.run { loop.threads.count <= 1 })
        try other.send(request(2, "still"))
        #expect(try loop.run { other.lines.last == "RESPONSE 2 still" })
    }

    @Test("No more threads are lost than there may be: one more keeps its own, and the log says so")
    func lostAll() throws {
        let path = "/tmp/lifeline-threads-\(processID)-\(UInt64.random(in: 0 ... .max))"
        defer { removeFile(at: path) }
        let log = try Log(level: .warning, format: .text, destination: .file(path))
        let loop = try HandlerLoop(threads: 1, handlerTimeout: .seconds(1), log: log)
        for count in 1...2 {
            let stuck = try loop.add()
            try stuck.send(request(1, "gate a"))
            #expect(try loop.run { loop.watch.waiting == count })
            #expect(try loop.run { stuck.isOver })
            #expect(loop.threads.lostThreads == 1)
        }
        let other = try loop.add()
        try other.send(request(1, "hello"), ping(1))
        #expect(try loop.run { other.lines == ["PONG"] })
        let text = String(decoding: try contents(ofFile: path, most: 65536), as: UTF8.self)
        #expect(text.split(separator: "\n").count { $0.contains("handlers lost") && $0.contains("threads=1") } == 1)
        loop.watch.open("a")
        #expect(try loop.run { other.lines.last == "RESPONSE 1 hello" })
        #expect(try loop.run { loop.threads.lostThreads == 0 && loop.threads.count <= 1 })
    }

    @Test("The log says once that calls have waited for a second, and how many threads there are")
    func waitsAreLogged() throws {
        let path = "/tmp/lifeline-threads-\(processID)-\(UInt64.random(in: 0 ... .max))"
        defer { removeFile(at: path) }
        let log = try Log(level: .warning, format: .text, destination: .file(path))
        let loop = try HandlerLoop(threads: 2, log: log)
        let members = try (0..<6).map { _ in try loop.add() }
        for member in members { try member.send(request(1, "gate a")) }
        func lines() -> [Substring] {
            String(decoding: (try? contents(ofFile: path, most: 65536)) ?? [], as: UTF8.self)
                .split(separator: "\n").filter { $0.contains("handlers wait") }
        }
        #expect(try loop.run { !lines().isEmpty })
        _ = try loop.run { true }
        #expect(lines().count == 1 && lines()[0].contains("threads=2") && lines()[0].contains("--handler-threads"))
        loop.watch.open("a")
        #expect(try loop.run { members.allSatisfy { $0.lines.last == "RESPONSE 1 gate a" } })
    }

    @Test(
        "Messages wait for credit, a response in parts for the client, and both go on: the thread is the handler's meanwhile"
    )
    func backPressure() throws {
        let loop = try HandlerLoop(threads: 2)
        let one = try loop.add(hello(minor: 1, credit: 100))
        try one.send(request(1, "send 40"))
        #expect(try loop.run { one.lines.count { $0.hasPrefix("MESSAGE") } >= 1 })
        #expect(!one.lines.contains("RESPONSE 1 send 40"))
        try one.send(credit(100_000, handled: 1))
        #expect(try loop.run { one.lines.last == "RESPONSE 1 send 40" })
        #expect(one.lines.dropLast() == (0..<40).map { "MESSAGE said \($0)" }[...])
        try one.send(request(2, "parts 900"))
        #expect(try loop.run { one.responseBytes == 900_000 + "send 40".utf8.count })
    }

    @Test("A handler that waits hears of CANCEL at once, and one that asks of the end")
    func waits() throws {
        let loop = try HandlerLoop(threads: 2)
        let one = try loop.add()
        try one.send(request(1, "wait 60"))
        #expect(try loop.run { loop.watch.calls.contains("1 request wait 60") })
        try one.send(cancel(1))
        #expect(try loop.run { one.lines == ["FAILURE 1 CANCELLED"] })
        try one.send(request(2, "hello"))
        #expect(try loop.run { one.lines.last == "RESPONSE 2 hello" })
        try one.send(request(3, "fail"))
        #expect(try loop.run { one.lines.last == "FAILURE 3 HANDLER_FAILED" })
        one.kick()
        #expect(try loop.run { one.isOver && loop.watch.calls.last == "1 closed" })
        #expect(loop.threads.lostThreads == 0)
    }

    #if DEBUG
        @Test("A thread that the system refuses is no error as long as another one runs")
        func refused() throws {
            let loop = try HandlerLoop(threads: 2)
            let one = try loop.add()
            let other = try loop.add()
            #expect(try loop.run { loop.watch.calls.count == 2 })
            try one.send(request(1, "gate a"))
            #expect(try loop.run { loop.watch.waiting == 1 })
            try withForced(.createThread, .error(EAGAIN), .error(EAGAIN), .error(EAGAIN)) {
                try other.send(request(1, "hello"))
                for _ in 0..<5 { _ = try loop.run { true } }
                loop.watch.open("a")
                #expect(try loop.run { other.lines.last == "RESPONSE 1 hello" })
            }
        }

        @Test("Where there is no thread at all the connection is closed, and a handler that had begun hears of it")
        func none() throws {
            let loop = try HandlerLoop(threads: 1, idle: .milliseconds(20))
            let one = try loop.add()
            #expect(try loop.run { loop.watch.calls == ["1 opened"] && loop.threads.count == 0 })
            try withForced(.createThread, .error(EAGAIN)) {
                try one.send(request(1, "hello"))
                #expect(try loop.run { one.lines == ["CLOSE INTERNAL"] })
                one.hangUp()
                #expect(try loop.run { one.isOver })
            }
            #expect(loop.watch.calls == ["1 opened", "1 closed"])
            #expect(try loop.run { loop.threads.count == 0 })
            try withForced(.createThread, .error(EAGAIN)) {
                let other = try loop.add()
                #expect(try loop.run { other.lines == ["CLOSE INTERNAL"] })
                other.hangUp()
                #expect(try loop.run { other.isOver })
            }
            #expect(loop.watch.calls == ["1 opened", "1 closed"], "what was not opened is not closed")
        }
    #endif
}
