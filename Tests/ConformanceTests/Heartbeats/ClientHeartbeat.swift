import Glibc
import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, section 5, as the client keeps to it: PINGs, PONGs and floods.
    @Suite("Client: section 5, heartbeats") struct ClientHeartbeat {
        @Test("5.10-1 A server that floods is dropped with TOO_MANY_PINGS, and the command ends with 75")
        func flood() throws {
            try withClient("--retries", "0", "one") { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 60_000, deadAfter: 120_000))
                #expect(try peer.next(.request).id == 1)
                try peer.send((1...21).flatMap { RawFrame.ping($0).bytes })
                while try peer.nextFrame()?.type == .pong {}
                try client.expectStatus(75)
                try client.errors.line(with: "TOO_MANY_PINGS")
            }
        }

        @Test("2.3-1 The heart beats while a connection drains")
        func draining() throws {
            try withClient("x") { listener, _ in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 50, deadAfter: 1000))
                #expect(try peer.next(.request).id == 1)
                try peer.send(.goAway())
                for _ in 0..<3 { try peer.send(.pong(to: try peer.takePing())) }
                try peer.send(.ping(5))
                #expect(try peer.next(.pong) == .pong(5))
                try peer.send(.response(1, []))
                #expect(try peer.takeClose().code == .normal)
            }
        }

        @Test("5.11-2 A client that was stopped while it says its last words blames nobody for not reading them")
        func stoppedWhileLeaving() throws {
            let request = try TemporaryFile([UInt8](repeating: 0x78, count: 12 << 20))
            try withPunctualClient { try stoppedWhileLeaving(request.path) }
        }

        private func stoppedWhileLeaving(_ path: String) throws {
            try withClient("--binary", "--timeout", "0.5", input: .file(path)) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 40, deadAfter: 1000, maxMessage: 16 << 20, maxQueued: 16 << 20))
                // It waits for no answer any more, and leaves behind what it has said of the request.
                #expect(eventually { client.errors.textSoFar.contains("did not come in time") })
                client.kill(SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: client.pid) == "T" })
                let stoppedAt = SuspendingClock.now
                #expect(eventually(within: .seconds(5)) { stoppedAt.age > .milliseconds(1300) })
                client.kill(SIGCONT)
                let close = try peer.frames(upTo: .close).last?.notice
                if close?.code != .normal { throw Unexpected("it blames the server: \(String(describing: close))") }
                peer.close()
                try client.expectStatus(75)
            }
        }
    }
}
