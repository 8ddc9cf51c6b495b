import Framing

@testable import LoadGenerator

/// One connection of the generator, whose other end and clock are the test's.
final class Exchange {
    let profile: LoadProfile
    var load: Load
    var counters = LoadCounters()
    var connection: LoadConnection
    var now = Nanoseconds.seconds(100)
    private var buffer = SendBuffer()
    private let slots: UnsafeMutablePointer<RequestSlot>
    /// What the other end says goes out of here.
    private var outbox = Outbox()
    private var decoder: FrameDecoder

    init(_ change: (inout LoadOptions) -> Void = { _ in }) {
        var options = LoadOptions()
        options.connections = 1
        change(&options)
        profile = LoadProfile(options)
        load = Load(options: options)
        load.isOn = !options.isSilent
        load.start = now
        counters.measuredFrom = .zero
        slots = .allocate(capacity: Int(profile.mask) + 1)
        slots.initialize(repeating: RequestSlot(), count: Int(profile.mask) + 1)
        connection = LoadConnection(0, slots)
        decoder = FrameDecoder(from: .client, maxFrame: 16384, maxMessage: 64 << 20)
        connection.connect(due: now, random: 0.5, at: now)
    }

    deinit { slots.deallocate() }

    /// Lets the connection send all that it wants to, and returns the frames; parts of a message come one by one.
    func frames(_ body: (MessagePart, [UInt8]) -> Void = { _, _ in }) throws -> [Frame] {
        var found: [Frame] = []
        while true {
            buffer.clear()
            connection.fill(&buffer, &load, profile, &counters, at: now)
            guard buffer.count > 0 else { return found }
            let sent = Array(buffer.bytes)
            connection.sent(sent.count, waits: false, at: now)
            var offset = 0
            while let frame = try decoder.next(in: sent.span, at: &offset) {
                if case .part(let part) = frame { body(part, Array(sent[part.range])) }
                found.append(frame)
            }
        }
    }

    func pass(_ time: Nanoseconds) { now = now + time }

    /// The other end says `body`, in pieces of so many bytes.
    func hear(pieces: Int = .max, _ body: (inout Outbox) -> Void) {
        body(&outbox)
        var bytes: [UInt8] = []
        while !outbox.isEmpty {
            bytes += outbox.unsent
            outbox.wrote(outbox.unsent.count)
        }
        hear(bytes: bytes, pieces: pieces)
    }

    func hear(bytes: [UInt8], pieces: Int = .max) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(pieces)
            rest = rest.dropFirst(piece.count)
            piece.withUnsafeBytes { connection.receive($0, profile, &counters, at: now) }
        }
    }

    func welcome(pingEvery: UInt32 = 1000, deadAfter: UInt32 = 3000, maxInFlight: UInt32 = 256, pieces: Int = .max) {
        hear(pieces: pieces) {
            $0.greet(
                Welcome(
                    pingEvery: pingEvery, deadAfter: deadAfter, maxFrame: 16384, maxMessage: 1 << 20,
                    maxInFlight: maxInFlight, maxQueued: 4 << 20, connection: 1), maxFrame: 16384)
        }
    }

    func answer(_ id: UInt32, _ bytes: [UInt8], pieces: Int = .max) {
        hear(pieces: pieces) { $0.send(.response, id: id, bytes[...], cost: 0) }
    }

    func wake(asked: Nanoseconds? = nil) {
        connection.timerFired(profile, &counters, asked: asked ?? now, random: 0.5, at: now)
    }
}
