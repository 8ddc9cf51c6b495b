@testable import SystemTLS

/// A client and a server whose bytes go from one to the other at once.
struct TLSPair {
    let client: TLSEngine
    let server: TLSEngine

    init(_ client: TLSContext, _ server: TLSContext, name: String = "server.test") throws {
        self.client = try TLSEngine(client, name: name, sessionKey: "a server")
        self.server = try TLSEngine(server)
    }

    /// Moves what `from` has for the network to `to`; returns the lengths of its records.
    @discardableResult
    static func move(_ from: TLSEngine, _ to: TLSEngine) -> [Int] {
        var bytes: [UInt8] = []
        while case let more = outgoing(from), !more.isEmpty { bytes += more }
        bytes.withUnsafeBytes { to.receive($0) }
        var lengths: [Int] = []
        var rest = bytes[...]
        while rest.count >= 5 {
            let length = Int(rest[rest.startIndex + 3]) << 8 | Int(rest[rest.startIndex + 4])
            lengths.append(length)
            rest = rest.dropFirst(5 + length)
        }
        return lengths
    }

    static func outgoing(_ engine: TLSEngine) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
            count = engine.takeOutgoing(UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// Makes the handshake, and lets the client take the sessions that come behind it.
    func shakeHands() throws {
        for _ in 0..<4 {
            _ = try client.write(UnsafeRawBufferPointer(start: nil, count: 0))
            TLSPair.move(client, server)
            // It has to tell the client why.
            defer { TLSPair.move(server, client) }
            _ = try server.write(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        _ = try TLSPair.read(client)
    }

    static func write(_ bytes: [UInt8], _ engine: TLSEngine) throws -> Bool {
        try bytes.withUnsafeBytes { try engine.write($0) }
    }

    /// All bytes that have arrived whole; nil where the other side has ended its stream.
    static func read(_ engine: TLSEngine) throws -> [UInt8]? {
        var all: [UInt8] = []
        while true {
            var buffer = [UInt8](repeating: 0, count: 20000)
            switch try buffer.withUnsafeMutableBytes({ try engine.read(into: $0) }) {
            case .bytes(let count): all += buffer.prefix(count)
            case .needsMore: return all
            case .end: return nil
            }
        }
    }
}
