#if DEBUG
    import Basics
    import Framing
    import Glibc
    import Testing

    @testable import LifelineServer
    @testable import Posix

    @Suite("What the server makes of a system call that fails")
    struct ForcedFailureTests {
        private func path() -> String { "/tmp/lifeline-forced-\(getpid())-\(UInt64.random(in: 0 ... .max))" }

        /// The sentence that `body` fails to start with.
        private func sentence(_ body: () throws(StartError) -> Void) -> String? {
            do throws(StartError) {
                try body()
                return nil
            } catch {
                return error.description
            }
        }

        // MARK: The start

        @Test(
            "A socket that cannot listen: the sentence names the address, the reason and the call",
            arguments: [
                (SystemCall.socket, EMFILE, "Too many open files (socket)"),
                (.bind, EACCES, "Permission denied (bind)"), (.listen, EADDRINUSE, "Address already in use (listen)"),
            ])
        func listening(call: SystemCall, code: Int32, reason: String) throws {
            let address = try #require(SocketAddress(host: "127.0.0.1", port: 0))
            let said = withForced(call, .error(code)) {
                sentence { () throws(StartError) in _ = try ServerListener.listen(on: address, backlog: 1) }
            }
            #expect(said == "cannot listen on 127.0.0.1:0: \(reason)")
        }

        @Test("A Unix socket that somebody listens on is left alone")
        func unixInUse() throws {
            let path = path()
            defer { unlink(path) }
            let address = try #require(SocketAddress(host: "unix:\(path)", port: 0))
            let listener = try ServerListener.listen(on: address, backlog: 1)
            let said = sentence { () throws(StartError) in _ = try ServerListener.listen(on: address, backlog: 1) }
            #expect(said == "cannot listen on unix:\(path): Address already in use (bind)")
            _ = try Descriptor.connecting(to: address)
            _ = consume listener
        }

        @Test("A pidfile on a full disk, and on a file system without locks")
        func pidfile() {
            let path = path()
            defer { unlink(path) }
            let full = withForced(.pwrite, .short(1)) {
                sentence { () throws(StartError) in _ = try Pidfile(at: path) }
            }
            #expect(full == "cannot write the pidfile \(path): No space left on device (write)")
            let unlockable = withForced(.fcntl, .error(ENOLCK)) {
                sentence { () throws(StartError) in _ = try Pidfile(at: path) }
            }
            #expect(unlockable == "cannot write the pidfile \(path): No locks available (fcntl)")
            let held = withForced(.fcntl, .error(EAGAIN), .error(EIO)) {
                sentence { () throws(StartError) in _ = try Pidfile(at: path) }
            }
            #expect(held == "server is already running (its pid is not known here): it holds the lock of \(path)")
        }

        @Test("A token file that cannot be read, and one that cannot be read later: the tokens stay")
        func tokenFile() throws {
            let path = path()
            defer { unlink(path) }
            try writeFile(at: path, Array("a-token-that-is-long-enough name\n".utf8))
            let said = withForced(.read, .error(EIO)) {
                sentence { () throws(StartError) in _ = try TokenFile(path) }
            }
            #expect(said == "the token file \(path): Input/output error (read)")
        }

        // MARK: The log

        @Test("A log on a full disk loses lines and a half of one, counts them, and goes on when there is room")
        func log() throws {
            let path = path()
            defer { unlink(path) }
            let log = try Log(level: .info, format: .text, destination: .file(path))
            withForced(.write, .error(EINTR), .short(10), .error(ENOSPC), .error(EDQUOT)) {
                for _ in 0..<2 { log.write(.draining) }
            }
            log.write(.draining)
            let lines = try contents(ofFile: path, most: 4096).split(separator: 0x0A).map {
                String(decoding: $0, as: UTF8.self)
            }
            try #require(lines.count == 3, "\(lines)")
            #expect(lines[0].utf8.count == 10, "the half of a line has an end of its own")
            #expect(lines[1].contains("lines lost") && lines[1].contains("count=2"))
            #expect(lines[2].contains("draining"))
        }

        @Test("A log that cannot be opened again is written to as before")
        func reopening() throws {
            let path = path()
            defer { unlink(path) }
            let log = try Log(level: .info, format: .text, destination: .file(path))
            withForced(.open, .error(EMFILE)) { log.reopen() }
            let text = String(decoding: try contents(ofFile: path, most: 4096), as: UTF8.self)
            #expect(text.contains("log not reopened") && text.contains("open: Too many open files"))
        }

        // MARK: Connections

        @Test("Where accept lacks something nobody is accepted for 100 ms", arguments: [EMFILE, ENFILE, ENOMEM])
        func adminPause(code: Int32) throws {
            try withAdminSocket { connections, address in
                let client = try Descriptor.connecting(to: address)
                try withForced(.accept, .error(code)) { try turn(connections, at: at(0)) }
                #expect(connections.count == 0 && connections.deadline == at(100))
                try turn(connections, at: at(99))
                #expect(connections.count == 0)
                // One turn ends the pause, and the next asks for the listener again.
                for _ in 0..<2 { try turn(connections, at: at(100)) }
                #expect(connections.count == 1)
                try client.checkConnected()
            }
        }

        @Test("A connection that is gone before it is accepted is passed over, and the next is served at once")
        func adminGone() throws {
            try withAdminSocket { connections, address in
                let client = try Descriptor.connecting(to: address)
                try withForced(.accept, .error(ECONNABORTED), .error(EINTR), .error(EPROTO)) {
                    try turn(connections, at: at(0))
                }
                #expect(connections.count == 1)
                try client.checkConnected()
            }
        }

        @Test("An answer is sent whole, however short the writes are; one whose client is gone is closed")
        func adminAnswer() throws {
            try withAdminSocket { connections, address in
                let client = try Descriptor.connecting(to: address)
                _ = try client.send([0x0A][...])
                try withForced(.send, .short(2), .error(EINTR), .short(1), .error(EAGAIN)) {
                    for _ in 0..<3 { try turn(connections, at: at(0)) }
                }
                var buffer = [UInt8](repeating: 0, count: 64)
                let received = try client.receive(into: &buffer)
                #expect(received == .bytes(7) && buffer.prefix(7) == Array("answer\n".utf8)[...])

                let other = try Descriptor.connecting(to: address)
                _ = try other.send([0x0A][...])
                try turn(connections, at: at(1))
                try withForced(.send, .short(2), .error(EPIPE)) { try turn(connections, at: at(1)) }
                #expect(connections.count == 1, "the first, which has its answer")
                try other.checkConnected()
            }
        }

        @Test("A client is refused whatever its socket says, and is still read to its end", arguments: [EPIPE, EAGAIN])
        func refusal(code: Int32) throws {
            let pair = try SocketPair()
            let refused = RefusedConnections(ParentDescriptors())
            let other = pair.other
            var one: Descriptor? = pair.one
            withForced(.send, .error(code)) { refused.add(one.take()!, Close(.busy, "full"), at: at(0)) }
            #expect(refused.deadline != nil)
            var buffer = [UInt8](repeating: 0, count: 64)
            let received = try other.receive(into: &buffer)
            #expect(received == .end)
        }

        @Test("A child of the pool whose channel is full or broken gets no connection", arguments: [EAGAIN, EPIPE])
        func handOver(code: Int32) throws {
            let descriptors = ParentDescriptors()
            let pool = ProcessPool(PoolSize(least: 1, most: 2), connectionsEach: 2, at: at(0))
            let channel = try DescriptorChannel()
            pool.insert(1, slot: 0, ParentOwned(channel.giving, in: descriptors))
            let assignment = ConnectionAssignment(
                connection: 1, peer: try #require(SocketAddress(host: "::1", port: 1)), acceptedAt: at(0),
                handshakeTimeout: .seconds(1))
            let connection = try Descriptor.event()
            let member = try #require(pool.next())
            let isAssigned = withForced(.sendmsg, .error(code)) {
                pool.assign(connection, assignment, to: member, at: at(0))
            }
            #expect(!isAssigned && pool.assignedCount == 0 && pool.waitingCount == 0)
            #expect(pool.deadline(sweep: at(1)) == nil, "it is not busy either")
        }

        @Test("Where no thread can be had for a handler the client is told so")
        func thread() throws {
            var connection = ServerConnection(
                id: 1, terms: ServerOptions().terms, handshakeTimeout: .seconds(10), acceptedAt: at(0))
            let runner = ThreadHandlerRunner(SilentHandler(), waking: LoopWaker()) { hello, tokenName, mailbox in
                Connection(
                    id: 1, address: SocketAddress(host: "::1", port: 1)!, hello: hello, tokenName: tokenName,
                    mailbox: mailbox)
            }
            var client = Outbox()
            client.greet(Hello())
            let bytes = Array(client.unsent)
            connection.received(bytes.count, at: at(0))
            withForced(.createThread, .error(EAGAIN)) {
                while let event = connection.next(in: bytes, at: at(0)) {
                    guard case .opened(let hello) = event else { continue }
                    runner.opened(hello, tokenName: nil, on: &connection, at: at(0))
                }
            }
            runner.deliver(to: &connection, at: at(0))
            #expect(
                connection.closeReason
                    == .closed(
                        .internal, "the server cannot start a thread: Resource temporarily unavailable", by: .server))
            runner.closed(connection.closeReason)
            #expect(runner.isOver)
        }

        private struct SilentHandler: Handler {
            func respond(to request: Request) -> Response { Response(request.bytes) }
        }

        /// Connections of an operator on a socket of their own, which are answered at the end of their first line.
        private func withAdminSocket(_ body: (AdminConnections, SocketAddress) throws -> Void) throws {
            let path = path()
            defer { unlink(path) }
            let address = try #require(SocketAddress(host: "unix:\(path)", port: 0))
            let connections = AdminConnections(try .listening(at: address, backlog: 8), in: ParentDescriptors()) {
                bytes in
                bytes.contains(0x0A) ? AdminConnections.Answer(bytes: Array("answer\n".utf8)) : nil
            }
            try body(connections, address)
        }
    }
#endif
