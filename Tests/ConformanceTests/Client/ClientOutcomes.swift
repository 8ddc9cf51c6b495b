import Testing
import RawWire

extension Live.Client {
    /// Protocol.md, section 7.7: what the client tells of a request, and which requests it repeats.
    @Suite("Client: section 7.7, outcomes") struct ClientOutcomes {
        @Test("7.7-4 A request above last_id was REFUSED, and is repeated by itself")
        func refusedByClose() throws {
            try withClient("x") { listener, client in
                let first = try listener.accept()
                try first.greet()
                #expect(try first.takeRequest().id == 1)
                try first.send(.close(.internalError, lastID: 0))
                try first.takeDrop(.normal)
                let second = try listener.accept()
                try second.greet()
                #expect(try second.echo().text == "x")
                try second.seeOff(lastID: 1)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "x\n")
                try client.errors.line(with: "connection lost", "INTERNAL")
                try client.errors.line(with: "connected again")
            }
        }

        /// How a connection ends under a request of which nobody can say whether it was processed.
        enum Loss: String, CaseIterable, CustomTestStringConvertible {
            case close, end, reset, lastIDAboveAll
            var testDescription: String { rawValue }

            func happen(to peer: RawPeer) throws {
                switch self {
                case .close:
                    try peer.send(.close(.internalError, lastID: 1))
                    try peer.takeDrop(.normal)
                case .end:
                    peer.shutdownWriting()
                    try peer.takeEnd()
                case .reset: peer.reset()
                case .lastIDAboveAll:
                    try peer.send(.close(.internalError, lastID: 7))
                    try peer.takeDrop(.protocolError)
                }
            }
        }

        @Test(
            "7.7-5, 7.7-6 A request that may have been processed is UNKNOWN, and never repeated",
            arguments: Loss.allCases)
        func unknown(_ loss: Loss) throws {
            try withClient("--in-flight", "1", "one", "two") { listener, client in
                let first = try listener.accept()
                try first.greet()
                #expect(try first.takeRequest().text == "one")
                try loss.happen(to: first)
                if loss != .lastIDAboveAll {
                    let second = try listener.accept()
                    try second.greet()
                    #expect(try second.echo().text == "two", "7.7-6")
                    try second.seeOff(lastID: 1)
                    #expect(try client.output.line() == "two")
                }
                try client.expectStatus(loss == .lastIDAboveAll ? 76 : 75)
                try client.errors.line(with: "message 1", "UNKNOWN")
            }
        }

        @Test("7.7-6 With --may-run-twice it is repeated", arguments: [Loss.close, .end, .reset])
        func mayRunTwice(_ loss: Loss) throws {
            try withClient("--may-run-twice", "one") { listener, client in
                let first = try listener.accept()
                try first.greet()
                #expect(try first.takeRequest().text == "one")
                try loss.happen(to: first)
                let second = try listener.accept()
                try second.greet()
                #expect(try second.echo().text == "one")
                try second.seeOff(lastID: 1)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "one\n")
            }
        }

        @Test("7.7-4, 7.7-7 FAILURE(REFUSED) is repeated, after retry_after, on the same connection")
        func refused() throws {
            try withClient("x") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                let request = try peer.takeRequest()
                let sentAt = SuspendingClock.now
                try peer.send(.failure(request.id, .refused, retryAfter: 200, "full"))
                let again = try peer.takeRequest()
                #expect(sentAt.age >= .milliseconds(200), "7.7-7: again after \(sentAt.age)")
                #expect(again.id > request.id && again.payload == request.payload, "3.6-1")
                try peer.send(.response(again.id, []))
                try peer.seeOff(lastID: again.id)
                try client.expectStatus(0)
            }
        }

        @Test(
            "7.7-1 FAILURE is told with its code and text, and the connection goes on",
            arguments: [
                RawCode.handlerFailed, .internalError, .messageTooLarge, .cancelled, .normal, RawCode(number: 65535),
            ])
        func failed(_ code: RawCode) throws {
            try withClient("--in-flight", "1", "one", "two") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                try peer.send(.failure(try peer.takeRequest().id, code, "why it failed"))
                #expect(try peer.echo().text == "two")
                try peer.seeOff(lastID: 2)
                try client.expectStatus(code == .cancelled ? 75 : 70)
                #expect(client.output.textSoFar == "two\n")
                let name = code.number > 20 ? "\(code.number)" : "\(code)"
                try client.errors.line(with: "message 1", "FAILED", name, "why it failed")
            }
        }

        @Test("4.8, 3.6-6 A request that times out is cancelled on the wire, and told as UNKNOWN")
        func timedOut() throws {
            try withClient("--in-flight", "1", "--timeout", "300ms", "one", "two") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                let before = SuspendingClock.now
                #expect(try peer.takeRequest().id == 1)
                #expect(try peer.next() == .cancel(1))
                #expect(before.age >= .milliseconds(250))
                // Its ending may still come, and is taken; the next request does not wait for it.
                let next = try peer.takeRequest()
                try peer.send(.response(1, [0x31]))
                try peer.send(.response(next.id, next.payload))
                try peer.seeOff(lastID: next.id)
                try client.expectStatus(75)
                #expect(client.output.textSoFar == "two\n")
                try client.errors.line(with: "message 1", "UNKNOWN")
            }
        }

        @Test(
            "3.6-11, 3.6-12 FAILURE for a request that is still being sent is its ending: CANCEL follows, and no chunk")
        func cutShort() throws {
            let message = try TemporaryFile([UInt8](repeating: 7, count: 24_000_000))
            try withClient("--binary", input: .file(message.path)) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxMessage: .max, maxQueued: .max))
                #expect(try peer.next(.request).hasMore)
                try peer.send(.failure(1, .handlerFailed, "enough"))
                var frame = try peer.next(.request)
                while frame.type == .request, frame.hasMore { frame = try peer.next() }
                #expect(frame == .cancel(1), "4.8-4")
                try peer.seeOff(lastID: 1)
                try client.expectStatus(70)
            }
        }

        @Test("7.7-8 A server that refuses to be connected to again is tried --retries times, and then given up")
        func retries() throws {
            try withClient("--retries", "3", "--hold", "20", "x") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                try peer.echo()
                listener.close()
                peer.reset()
                try client.expectStatus(69)
                for attempt in 1...3 { try client.errors.line(with: "connecting again", "attempt \(attempt)") }
                #expect(!client.errors.textSoFar.contains("attempt 4"))
                #expect(client.output.textSoFar == "x\n")
            }
        }
    }
}
