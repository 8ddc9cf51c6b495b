import Basics
import Glibc
import Posix
import Testing

@testable import LifelineServer

/// A peer that asks. What one end of a Unix socket writes the other can read at once, so nothing here waits.
private final class Asker {
    private let socket: Descriptor
    private(set) var heard: [UInt8] = []
    private(set) var hasEnded = false

    init(_ address: SocketAddress) throws { socket = try .connecting(to: address) }

    func send(_ bytes: [UInt8]) throws { _ = try socket.send(bytes[...]) }

    /// Reads once, or to the end.
    func read(all: Bool = true) throws {
        var buffer = [UInt8](repeating: 0, count: 65536)
        repeat {
            switch try socket.receive(into: &buffer) {
            case .wouldBlock: return
            case .end: return hasEnded = true
            case .bytes(let count): heard += buffer[..<count]
            }
        } while all
    }
}

@Suite("Connections of one request each")
struct AdminConnectionTests {
    /// Connections to a socket in a directory of its own, whose answer to a line is `piece`, so many times.
    private func withConnections(
        pieces: Int = 1, of piece: [UInt8] = Array("answer\n".utf8),
        _ body: (AdminConnections, SocketAddress) throws -> Void
    ) throws {
        let path = "/tmp/lifeline-admin-\(getpid())-\(Int.random(in: 0..<1_000_000))"
        let address = try #require(SocketAddress(host: "unix:\(path)", port: 0))
        let listener = try Descriptor.listening(at: address, backlog: 64)
        defer { unlink(path) }
        let connections = AdminConnections(listener, in: ParentDescriptors()) { bytes in
            guard bytes.contains(0x0A) else { return nil }
            var left = pieces - 1
            return AdminConnections.Answer(bytes: piece) {
                left -= 1
                return left < 0 ? nil : piece
            }
        }
        try body(connections, address)
    }

    @Test("A request may come in pieces, and its answer is followed by the end")
    func pieces() throws {
        try withConnections(pieces: 3) { connections, address in
            var peer: Asker? = try Asker(address)
            for byte in Array("ask\n".utf8) {
                try peer?.read()
                #expect(peer?.heard == [])
                try peer?.send([byte])
                for _ in 0..<3 { try turn(connections, at: at(0)) }
            }
            try peer?.read()
            #expect(peer?.heard == Array("answer\nanswer\nanswer\n".utf8) && peer?.hasEnded ?? false)
            #expect(connections.deadline == at(1000), "it is read to its end, for a bounded time")
            peer = nil
            try turn(connections, at: at(1))
            #expect(connections.deadline == nil)
        }
    }

    @Test("Who asks nothing for five seconds is closed, and who dribbles too")
    func silence() throws {
        try withConnections { connections, address in
            let silent = try Asker(address)
            let dribbling = try Asker(address)
            try turn(connections, at: at(0))
            for second in 1...4 {
                try dribbling.send([0x61])
                try turn(connections, at: at(Double(second) * 1000))
            }
            #expect(connections.deadline == at(5000) && connections.count == 2)
            try turn(connections, at: at(5000))
            for asker in [silent, dribbling] {
                try asker.read()
                #expect(asker.hasEnded && asker.heard.isEmpty)
            }
            #expect(connections.count == 0 && connections.deadline == nil)
        }
    }

    @Test("Who does not read is closed after five seconds; no more is made for it than it has taken")
    func slowReader() throws {
        let piece = [UInt8](repeating: 0x61, count: 65536)
        try withConnections(pieces: 1000, of: piece) { connections, address in
            let peer = try Asker(address)
            try peer.send([0x0A])
            for _ in 0..<100 { try turn(connections, at: at(0)) }
            try turn(connections, at: at(4999))
            #expect(connections.count == 1)
            try turn(connections, at: at(5000))
            #expect(connections.count == 0)
            try peer.read()
            #expect(peer.hasEnded && peer.heard.count < 10 * piece.count)
        }
    }

    @Test("Who reads slowly, but reads, gets it all")
    func steadyReader() throws {
        let piece = [UInt8](repeating: 0x61, count: 65536)
        try withConnections(pieces: 20, of: piece) { connections, address in
            let peer = try Asker(address)
            try peer.send([0x0A])
            for second in 0..<30 {
                for _ in 0..<10 { try turn(connections, at: at(Double(second) * 4000)) }
                for _ in 0..<4 { try peer.read(all: false) }
            }
            try peer.read()
            #expect(peer.hasEnded && peer.heard.count == 20 * piece.count)
        }
    }

    @Test("Of more than sixteen the oldest are closed, so that the newest is served")
    func many() throws {
        try withConnections { connections, address in
            let peers = try (0..<20).map { _ in try Asker(address) }
            for _ in 0..<3 { try turn(connections, at: at(0)) }
            for (number, peer) in peers.enumerated() {
                try peer.read()
                #expect(peer.hasEnded == (number < 4))
            }
            #expect(connections.count == 16)
            try peers[19].send([0x0A])
            for _ in 0..<3 { try turn(connections, at: at(1)) }
            try peers[19].read()
            #expect(peers[19].heard == Array("answer\n".utf8))
        }
    }
}

/// One turn of the loop, at an instant that the test chooses: it does not wait.
func turn(_ connections: AdminConnections, at now: Instant) throws {
    var set = PollSet()
    set.removeAll()
    connections.add(to: &set)
    try set.wait(until: Instant(sinceStart: .zero))
    connections.resumed(set, at: now)
}
