#if DEBUG
    import Glibc
    import Testing

    @testable import Posix

    @Suite("Sockets, where the kernel refuses")
    struct SocketFailureTests {
        /// A listener, and a client that waits on it to be accepted.
        private struct Waiting: ~Copyable {
            let listener: Descriptor
            let client: Descriptor

            init() throws {
                let listener = try loopbackListener()
                client = try .connecting(to: listener.localAddress)
                self.listener = listener
            }

            func isAccepted() throws(SystemError) -> Bool {
                switch try listener.accept() {
                case .some: true
                case nil: false
                }
            }
        }

        @Test("accept: what it lacks is thrown, and the client waits on", arguments: [EMFILE, ENFILE, ENOMEM, ENOBUFS])
        func acceptLacks(code: Int32) throws {
            let waiting = try Waiting()
            try withForced(.accept, .error(code)) {
                #expect(throws: SystemError("accept", code)) { try waiting.isAccepted() }
                let isAccepted = try waiting.isAccepted()
                #expect(isAccepted)
            }
            try waiting.client.checkConnected()
        }

        @Test("accept: only EMFILE says that this process has no free descriptor", arguments: [EMFILE, ENFILE, ENOMEM])
        func outOfDescriptors(code: Int32) {
            let error = SystemError("accept", code)
            #expect(error.isOutOfDescriptors == (code == EMFILE) && !error.isConnectionGone)
        }

        @Test(
            "accept: a connection that is gone again is one to pass over",
            arguments: [ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTUNREACH, ETIMEDOUT])
        func acceptGone(code: Int32) throws {
            let waiting = try Waiting()
            withForced(.accept, .error(code)) {
                do throws(SystemError) {
                    _ = try waiting.isAccepted()
                    Issue.record("accept succeeded")
                } catch {
                    #expect(error.isConnectionGone && !error.isOutOfDescriptors)
                }
            }
            #expect(try waiting.isAccepted())
        }

        @Test("accept: an interruption is tried again, and nobody waits where it would block")
        func acceptAgain() throws {
            let waiting = try Waiting()
            try withForced(.accept, .error(EINTR), .error(EAGAIN), .error(EINTR), .error(EINTR)) {
                let isAccepted = [try waiting.isAccepted(), try waiting.isAccepted()]
                #expect(isAccepted == [false, true])
            }
        }

        @Test(
            "A listener says which of its calls failed",
            arguments: [
                (SystemCall.socket, EMFILE), (.socket, ENOBUFS), (.bind, EADDRINUSE), (.bind, EACCES),
                (.listen, EADDRINUSE),
            ])
        func listening(call: SystemCall, code: Int32) {
            withForced(call, .error(code)) {
                #expect(throws: SystemError(call.rawValue, code)) { _ = try loopbackListener() }
            }
        }

        @Test("The mask for new files is as before where a Unix socket for its owner alone cannot be bound")
        func maskIsRestored() throws {
            let path = uniquePath("mask")
            let mask = umask(0o022)
            umask(mask)
            let address = try #require(SocketAddress(host: "unix:\(path)", port: 0))
            withForced(.bind, .error(EACCES)) {
                #expect(throws: SystemError("bind", EACCES)) {
                    _ = try Descriptor.listening(at: address, backlog: 1, access: .owner)
                }
            }
            let after = umask(mask)
            umask(mask)
            #expect(after == mask)
        }

        @Test("connect: on its way is no failure, an interruption is tried again, all else is thrown")
        func connecting() throws {
            let listener = try loopbackListener()
            let address = listener.localAddress
            try withForced(.connect, .error(EINTR), .error(EINPROGRESS)) { _ = try Descriptor.connecting(to: address) }
            for code in [EAGAIN, EADDRNOTAVAIL, ENETUNREACH] {
                withForced(.connect, .error(code)) {
                    #expect(throws: SystemError("connect", code)) { _ = try Descriptor.connecting(to: address) }
                }
            }
            withForced(.bind, .error(EADDRNOTAVAIL)) {
                #expect(throws: SystemError("bind", EADDRNOTAVAIL)) {
                    _ = try Descriptor.connecting(to: address, from: address)
                }
            }
            withForced(.socket, .error(EMFILE)) {
                #expect(throws: SystemError("socket", EMFILE)) { _ = try Descriptor.connecting(to: address) }
            }
        }

        @Test("send and recv: short, interrupted, without room, and reset")
        func transfers() throws {
            let pair = try SocketPair()
            let bytes: [UInt8] = [1, 2, 3, 4, 5]
            let sent = try withForced(.send, .error(EINTR), .short(2), .error(EAGAIN)) {
                [try pair.one.send(bytes[...]), try pair.one.send(bytes[2...]), try pair.one.send(bytes[2...])]
            }
            #expect(sent == [.bytes(2), .wouldBlock, .bytes(3)])
            var buffer = [UInt8](repeating: 0, count: 16)
            let received = try withForced(.recv, .error(EINTR), .short(4), .error(EAGAIN)) {
                var all: [Transfer] = []
                for _ in 0..<3 { all.append(try pair.other.receive(into: &buffer)) }
                return all
            }
            #expect(received == [.bytes(4), .wouldBlock, .bytes(1)] && buffer.prefix(4) == [5, 2, 3, 4])
            for code in [EPIPE, ECONNRESET] {
                withForced(.send, .error(code)) {
                    #expect(throws: SystemError("send", code)) { _ = try pair.one.send(bytes[...]) }
                }
                #expect(SystemError("send", code).isReset)
            }
            withForced(.recv, .error(ECONNRESET)) {
                #expect(throws: SystemError("recv", ECONNRESET)) { _ = try pair.one.receive(into: &buffer) }
            }
        }

        @Test("A pair of sockets, and a channel, need two descriptors", arguments: [EMFILE, ENFILE])
        func pairs(code: Int32) {
            withForced(.socketpair, .error(code), .error(code)) {
                #expect(throws: SystemError("socketpair", code)) { _ = try SocketPair() }
                #expect(throws: SystemError("socketpair", code)) { _ = try DescriptorChannel() }
            }
        }

        @Test("A descriptor that cannot be handed over stays with its owner")
        func giving() throws {
            let channel = try SocketPair()
            let given = try Descriptor.event()
            let words: [UInt8] = [7]
            for code in [EAGAIN, EPIPE, ETOOMANYREFS] {
                let isGiven = withForced(.sendmsg, .error(EINTR), .error(code)) {
                    words.withUnsafeBytes { channel.one.give(given, $0) }
                }
                #expect(!isGiven && Descriptor.isOpen(given.number))
            }
        }

        @Test("A descriptor that this process has no room for is thrown, and what else fails too")
        func taking() throws {
            let channel = try SocketPair()
            func take() throws -> String {
                var word: UInt8 = 0
                return try withUnsafeMutableBytes(of: &word) { bytes in
                    switch try channel.other.take(into: bytes) {
                    case .descriptor: "descriptor"
                    case .nothing: "nothing"
                    case .end: "end"
                    }
                }
            }
            #expect(try take() == "nothing")
            withForced(.recvmsg, .error(EINTR), .error(ENOMEM)) {
                #expect(throws: SystemError("recvmsg", ENOMEM)) { _ = try take() }
            }
            // What came without a descriptor had one that the kernel left out.
            _ = try channel.one.send([7][...])
            #expect(throws: SystemError("recvmsg", EMFILE)) { _ = try take() }
        }

        @Test("A datagram is lost where the receiver is full, and finds a receiver that was started anew")
        func datagrams() throws {
            let path = uniquePath("datagrams")
            let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            let owned = Descriptor(owning: receiver)
            defer { unlink(path) }
            let address = try #require(SocketAddress(host: "unix:\(path)", port: 0))
            #expect(address.withSockaddr { bind(owned.number, $0, $1) } == 0)
            let sender = try DatagramSocket(to: path)
            for (code, isSent) in [(EAGAIN, false), (ENOBUFS, false), (ECONNREFUSED, true), (ENOTCONN, true)] {
                let found = withForced(.send, .error(EINTR), .error(code)) { sender.send([1, 2, 3]) }
                #expect(found == isSent, "\(code)")
            }
            let isSent = withForced(.send, .error(ECONNREFUSED)) {
                withForced(.connect, .error(ECONNREFUSED)) { sender.send([1]) }
            }
            #expect(!isSent)
            withForced(.socket, .error(EMFILE)) {
                #expect(throws: SystemError("socket", EMFILE)) { _ = try DatagramSocket(to: path) }
            }
        }
    }
#endif
