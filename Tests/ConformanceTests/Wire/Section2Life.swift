import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, section 2: how a connection goes.
    @Suite("Section 2: life of a connection") struct Life {
        @Test("2.1 A long connection answers requests in any number and ends with CLOSE", arguments: Chop.allCases)
        func long(_ chop: Chop) throws {
            try withServer { server in
                let peer = try server.connect()
                let early = RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1, "one").bytes
                try peer.send(early, chop: chop)
                try peer.takePreface()
                #expect(try peer.take(.welcome).welcome?.connection == 1)
                #expect(try peer.takeFrame() == .response(1, Array("one".utf8)))
                try peer.send(.ping(1), .request(2, "two"), .request(3, "three"), chop: chop)
                #expect(try peer.take(.pong).nonce == 1)
                #expect(try peer.takeFrame() == .response(2, Array("two".utf8)))
                #expect(try peer.takeFrame() == .response(3, Array("three".utf8)))
                try peer.send(.message([1, 2, 3]), .close(), chop: chop)
                let close = try peer.takeClose()
                #expect(close.code == .normal && close.lastID == 3)
            }
        }

        @Test("2.2 A short connection carries one request, and the server ends it", arguments: Chop.allCases)
        func short(_ chop: Chop) throws {
            try withServer { server in
                let peer = try server.connect()
                let all = RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1, "one").bytes
                try peer.send(all, chop: chop)
                try peer.takePreface()
                _ = try peer.take(.welcome)
                #expect(try peer.takeFrame() == .response(1, Array("one".utf8)))
                let close = try peer.takeClose()
                #expect(close.code == .normal && close.lastID == 1)
            }
        }
    }
}
