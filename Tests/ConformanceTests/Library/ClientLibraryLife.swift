import Glibc
import LifelineClient
import Testing
import RawWire

extension Live.Library {
    /// The life of the library's connections: heartbeats, events, ends.
    @Suite("Client library: the life of a connection") struct ClientLibraryLife {
        @Test("5.2-1, 5.2-2 One thread beats 200 hearts, the first PINGs spread evenly over ping_every")
        func many() async throws {
            let count = 200
            try await withRawServer { listener in
                var peers: [RawPeer] = []
                var welcomed: [Moment] = []
                for _ in 0..<count {
                    let peer = try listener.accept()
                    try peer.takeHello()
                    welcomed.append(.now)
                    try peer.send(RawFrame.preface + RawFrame.welcome(pingEvery: 1000, deadAfter: 4000).bytes)
                    peers.append(peer)
                }
                // Until the last one was accepted, no PING of the others was read.
                let accepting = welcomed[0].duration(to: .now)
                var first = [Duration?](repeating: nil, count: count)
                var beats = [(at: Moment, number: Int)](repeating: (.now, 0), count: count)
                var late = 0
                // Who answers so late that the next PING may be on its way cannot judge when that comes.
                var prompt = [Bool](repeating: true, count: count)
                var lookedAt = SuspendingClock.now
                let deadline = SuspendingClock.now + .seconds(10)
                let watch = LatenessWatch()
                while beats.contains(where: { $0.number < 3 }) {
                    try demand(SuspendingClock.now < deadline, "some heart has stopped: \(beats.map(\.number))")
                    var entries = peers.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
                    // What is there now came after the look before this one.
                    let lookedBefore = lookedAt
                    lookedAt = .now
                    try demand(waitUntilReady(&entries, until: deadline))
                    for (index, entry) in entries.enumerated() where entry.revents != 0 {
                        // One that was read with its predecessor lay there, and the one behind it is there too.
                        let isNew = peers[index].unread.isEmpty
                        let ping = try peers[index].takePing()
                        let heardAt = peers[index].heardAt
                        if beats[index].number > 0 {
                            let gap = beats[index].at.duration(to: heardAt)
                            // One that came before its predecessor was answered is judged by nothing.
                            let isJudged = prompt[index] && gap >= .zero
                            try demand(!isJudged || gap >= .milliseconds(800), "5.2-2: a PING after \(gap)")
                            late += gap > .milliseconds(1500) ? 1 : 0
                        } else {
                            first[index] = welcomed[index].duration(to: heardAt)
                        }
                        beats[index] = (.now, beats[index].number + 1)
                        try peers[index].send(.pong(to: ping))
                        prompt[index] = isNew && lookedBefore.age < .milliseconds(700)
                    }
                }
                let machine = watch.end()
                let firsts = first.compactMap { $0 }.sorted()
                let unseen = machine + accepting
                try demand(firsts.last! <= .milliseconds(1500) + unseen, "5.2-1: \(firsts.last!)")
                try demand(
                    firsts[count / 10] < .milliseconds(400) + unseen && firsts[count * 9 / 10] > .milliseconds(600),
                    "5.2-1 after \(unseen): \(firsts)")
                try demand(late < count / 20, "\(late) PINGs were late")
            } _: { port in
                // They are kept until the server has seen enough.
                var options = ClientOptions()
                options.reconnect = .never
                var connections: [LongConnection] = []
                // One behind the other: a queue of the kernel that is too short for all would hold some back.
                for _ in 0..<count {
                    connections.append(try await .open(host: "127.0.0.1", port: port, options: options))
                }
                #expect(ThreadTable.count(named: "lifeline-io") == 1)
                #expect(ThreadTable.count(named: "lifeline-") == 1, "\(ThreadTable.names)")
                for connection in connections {
                    for await event in connection.events { if case .closed = event { break } }
                }
            }
        }

        @Test("5.4-2 Hearts beat and PINGs are answered while the program blocks every thread of its pool")
        func blocked() async throws {
            let (isBlocked, isDone, isFree) = (Counter(), Counter(), Counter())
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 200, deadAfter: 1000))
                try demand(eventually { isBlocked.value > 0 })
                var late = 0
                for nonce in 1...5 {
                    let sentAt = SuspendingClock.now
                    try peer.send(.ping(UInt64(nonce)))
                    let frames = try peer.frames(upTo: .pong)
                    late += sentAt.age > .milliseconds(150) ? 1 : 0
                    for ping in frames where ping.type == .ping { try peer.send(.pong(to: ping)) }
                    try peer.send(.pong(to: try peer.takePing()))
                }
                // A heart that needs a thread of the pool beats again when one is free.
                try demand(isFree.value == 0, "5.2-2: no PING came before the program let go of its pool")
                try demand(late < 5, "5.4-1: each of \(late) PONGs was late")
                isDone.add()
                try peer.takeClose()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                // As many as the pool has threads, and some more; each until the server has seen enough.
                let blockers = (0..<16).map { _ in
                    Task.detached {
                        isBlocked.add()
                        _ = eventually(within: .seconds(15)) { isDone.value > 0 }
                        isFree.add()
                    }
                }
                for blocker in blockers { await blocker.value }
                await connection.close()
            }
        }

        @Test("Events come in order, and the state is what the last one said")
        func events() async throws {
            try await withRawServer { listener in
                let first = try listener.accept()
                try first.greet(.welcome(pingEvery: 100, deadAfter: 300, connection: 41))
                try first.send(.pong(to: try first.takePing()))
                // Then silence, until the client has given up.
                let close = try first.takeClose()
                try demand(close.code == .silent, "\(close)")
                first.close()
                let second = try listener.accept()
                try second.greet(.welcome(connection: 42))
                try second.send(.goAway(.shuttingDown, retryAfter: 100, "bye"))
                try second.seeOff()
                let third = try listener.accept()
                try third.greet(.welcome(connection: 43))
                try third.seeOff()
            } _: { port in
                let connection = try LongConnection.start(host: "127.0.0.1", port: port)
                var story: [String] = []
                var lastBeat = ""
                for await event in connection.events {
                    switch event {
                    case .connected(let terms):
                        story.append("connected \(terms.connection)")
                    case .reconnected(let terms):
                        story.append("reconnected \(terms.connection)")
                        if terms.connection == 43 { Task { await connection.close() } }
                    case .roundTrip: lastBeat = "proved"
                    case .beatLate(let waited, let lastRoundTrip):
                        #expect(lastBeat == "proved")
                        #expect(waited >= .milliseconds(150) && lastRoundTrip != nil)
                        lastBeat = "late"
                        story.append("late")
                    case .lost(let error): story.append("lost \(error.kind) \(error.code.map { "\($0)" } ?? "")")
                    case .reconnecting(_, let wait, let attempt):
                        #expect(wait >= .zero && wait < .seconds(2))
                        story.append("reconnecting \(attempt)")
                    case .goingAway(let code, let text, let retryAfter):
                        #expect(text == "bye" && retryAfter == .milliseconds(100))
                        story.append("goingAway \(code)")
                    case .messagesDropped: story.append("dropped")
                    case .pathTooLong, .transfer, .messagesUnconfirmed: story.append("\(event)")
                    case .closed(let error): story.append("closed \(error.kind)")
                    }
                }
                #expect(
                    story.filter { $0 != "late" } == [
                        "connected 41", "lost dropped SILENT", "reconnecting 1", "reconnected 42",
                        "goingAway SHUTTING_DOWN", "reconnecting 1", "reconnected 43", "closed closedByProgram",
                    ])
                guard case .closed(let error) = connection.state else { return #expect(Bool(false)) }
                #expect(error.kind == .closedByProgram)
            }
        }

        @Test("close() waits for what is in flight, takes nothing new, and returns when the socket is closed")
        func close() async throws {
            let isClosing = Counter()
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet()
                let request = try peer.takeRequest()
                isClosing.add()
                try demand(try peer.nextIfAny(within: .milliseconds(200)) == nil, "it left a request behind")
                try peer.send(.response(request.id, request.payload))
                try demand(try peer.takeClose().code == .normal)
                try peer.send(.close(lastID: 1))
                peer.close()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                async let answer = connection.request([1])
                await isClosing.wait(for: 1)
                let closing = Task { await connection.close() }
                #expect(try await answer == [1])
                _ = await closing.value
                #expect(
                    try !TCPSocket.all(withPort: port).contains { $0.remote.port == port && $0.state == .established })
                #expect(await failure { try await connection.request([2]) } is RequestError)
            }
        }

        @Test("A connection that the program lets go of says CLOSE")
        func letGo() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet()
                try peer.echo()
                try peer.seeOff(lastID: 1)
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                #expect(try await connection.request([1]) == [1])
            }
        }

        @Test("A hundred connections that were opened and closed leave no descriptor")
        func descriptors() async throws {
            try await withRawServer { listener in
                for _ in 0..<101 {
                    let peer = try listener.accept()
                    try peer.greet()
                    try peer.seeOff()
                }
            } _: { port in
                // The first one may start the thread and its descriptors.
                try await LongConnection.open(host: "127.0.0.1", port: port).close()
                let before = try descriptors(to: port)
                for _ in 0..<100 { try await LongConnection.open(host: "127.0.0.1", port: port).close() }
                #expect(try eventually { try descriptors(to: port) <= before })
            }
        }

        /// Connections to `port`, and what no other test of this target has open in this process: epoll(7) and the like.
        private func descriptors(to port: UInt16) throws -> Int {
            try ProcessFiles.descriptors(of: getpid()).values.count { $0.hasPrefix("anon_inode:") }
                + TCPSocket.all(withPort: port).count { $0.remote.port == port && $0.state != .timeWait }
        }

        @Test("7.7-8, 7.7-9 Connections that do not last make the waits longer, and only failures are attempts")
        func attempts() async throws {
            try await withRawServer { listener in
                for _ in 0..<4 {
                    let peer = try listener.accept()
                    try peer.greet()
                    peer.reset()
                }
                for _ in 0..<3 {
                    let peer = try listener.accept()
                    try peer.takeHello()
                    peer.reset()
                }
                try demand(try listener.acceptIfAny(within: .milliseconds(300)) == nil, "one attempt too many")
            } _: { port in
                var options = ClientOptions()
                options.reconnect = ReconnectPolicy(base: .milliseconds(20), cap: .milliseconds(40), attempts: 3)
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: options)
                var attempts: [Int] = []
                for await case .reconnecting(_, let wait, let attempt) in connection.events {
                    attempts.append(attempt)
                    #expect(wait <= .milliseconds(40))
                }
                #expect(attempts == [1, 1, 1, 1, 2, 3])
                #expect(await failure { try await connection.request([1]) } is RequestError)
            }
        }

        @Test("E9 A client that GOAWAY makes leave answers PINGs, and its messages arrive before its CLOSE")
        func leaving() async throws {
            let message = [UInt8](repeating: 0x78, count: 50_000)
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.welcome(minor: 1))
                var frames = try peer.frames(upTo: .ping)
                // The client closes at GOAWAY. What comes with it is for the connection that it has released.
                try peer.send(.goAway(.shuttingDown), .pong(to: frames.last!), .ping(77))
                var isAnswered = false
                while frames.last?.type != .close {
                    let frame = try peer.takeFrame()
                    if frame.type == .ping { try peer.send(.pong(to: frame)) }
                    if frame.type == .pong { isAnswered = frame.payload.prefix(8).last == 77 }
                    frames.append(frame)
                }
                try demand(isAnswered, "5.4-1: no PONG")
                let came = frames.filter { $0.type == .message }.reduce(0) { $0 + $1.payload.count }
                try demand(came == message.count, "\(came) bytes of \(message.count)")
                try peer.send(.close())
                peer.close()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                try await connection.send(message)
                for await case .goingAway in connection.events { break }
                await connection.close()
            }
        }

        @Test("Opening can be cancelled, times out, and tells what is wrong with its options")
        func opening() async throws {
            let isThere = Counter()
            try await withRawServer { listener in
                let silent = try listener.accept()
                try silent.takeHello()
                isThere.add()
                let close = try silent.takeClose()
                try demand(close.code == .normal || close.code == .handshakeTimeout, "\(close)")
                silent.close()
                let late = try listener.accept()
                try late.takeHello()
                try demand(try late.takeClose().code == .handshakeTimeout)
                late.close()
            } _: { port in
                let opening = Task { await failure { try await LongConnection.open(host: "127.0.0.1", port: port) } }
                await isThere.wait(for: 1)
                opening.cancel()
                let cancelled = await opening.value as? ConnectionError
                #expect(cancelled?.kind == .cancelled)
                var hasty = ClientOptions()
                hasty.connectTimeout = .milliseconds(200)
                #expect(await kind(of: hasty, port) == .timedOut)
                var wrong = ClientOptions()
                wrong.maxFrame = 255
                #expect(await kind(of: wrong, port) == .invalidOptions)
            }
        }

        private func kind(of options: ClientOptions, _ port: UInt16) async -> ConnectionError.Kind? {
            do {
                _ = try await LongConnection.open(host: "127.0.0.1", port: port, options: options)
                return nil
            } catch {
                return error.kind
            }
        }
    }
}
