import Glibc
import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, section 5.11: a server that was late itself.
    @Suite("Section 5: lateness") struct Lateness {}
}

extension Live.Heartbeats.Lateness {
    @Test("5.11-2, 5.11-3 A child that was stopped for longer than dead_after sends a PING and grants one dead_after")
    func stopped() throws {
        let timeout = Duration.milliseconds(500)
        try withServer("--timeout", "500ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let peer = try server.open()
                let child = try server.onlyChild()
                kill(child, SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: child) == "T" })
                #expect(try peer.nextFrame(within: timeout * 3) == nil, "it is stopped")
                let start = SuspendingClock.now
                kill(child, SIGCONT)
                _ = try peer.take(.ping)
                let asked = start.age
                let close = try peer.frames(upTo: .close).last
                let time = start.duration(to: peer.heardAt)
                #expect(close?.notice?.code == .silent)
                peer.close()
                try server.waitForChildren(0)
                // The PING comes at once; one that waits for the next silence is as bad as a drop that is late.
                return asked < timeout / 2 ? time : max(time, .seconds(60))
            }
        }
    }

    @Test("5.1-2 What came while the child was stopped is read before anybody is judged")
    func readsFirst() throws {
        try withServer("--timeout", "300ms") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            try peer.send(.request(1), .ping(9))
            #expect(try peer.nextFrame(within: .milliseconds(900)) == nil)
            kill(child, SIGCONT)
            let frames = try [peer.takeFrame(), peer.takeFrame(), peer.takeFrame()]
            #expect(Set(frames.map(\.type)) == [.response, .pong, .ping])
            for ping in frames where ping.type == .ping { try peer.send(.pong(to: ping)) }
            try peer.send(.request(2))
            #expect(try peer.takeFrame().id == 2)
        }
    }

    @Test("5.8-3 A handshake timeout is not started anew because the child was stopped")
    func stoppedHandshake() throws {
        let timeout = Duration.milliseconds(1500)
        try withServer("--handshake-timeout", "1500ms") { server in
            // One that is started anew never ends sooner.
            try expectSooner(than: timeout) {
                let peer = try server.connect()
                let child = try server.onlyChild()
                kill(child, SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: child) == "T" })
                #expect(try !peer.read(until: .now + timeout * 1.2), "it is stopped")
                let start = SuspendingClock.now
                kill(child, SIGCONT)
                try peer.takePreface()
                #expect(try peer.takeClose().code == .handshakeTimeout)
                let time = start.age
                peer.close()
                try server.waitForChildren(0)
                return time
            }
        }
    }
}
