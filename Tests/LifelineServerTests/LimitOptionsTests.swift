import Framing
import Testing

@testable import LifelineServer

@Suite("Limits that belong together")
struct LimitOptionsTests {
    static let pairs: [(UInt32?, UInt32?, UInt32, UInt32)] = [
        (nil, nil, 1 << 20, 4 << 20), (16 << 20, nil, 16 << 20, 16 << 20), (1 << 10, nil, 1 << 10, 4 << 20),
        (nil, 1 << 10, 1 << 10, 1 << 10), (nil, 16 << 20, 1 << 20, 16 << 20), (2 << 20, 3 << 20, 2 << 20, 3 << 20),
    ]

    @Test("maxMessage and maxQueued follow each other where one alone is set", arguments: pairs)
    func follow(_ message: UInt32?, _ queued: UInt32?, _ longest: UInt32, _ most: UInt32) throws {
        for messageFirst in [false, true] {
            var options = ServerOptions()
            if messageFirst, let message { options.maxMessage = message }
            if let queued { options.maxQueued = queued }
            if !messageFirst, let message { options.maxMessage = message }
            #expect(options.maxMessage == longest && options.maxQueued == most)
            try options.checkLimits()
        }
    }

    typealias Change = @Sendable (inout ServerOptions) -> Void
    static let wrong: [(String, Change)] = [
        (
            "maxQueued (1) is under maxMessage (2)",
            {
                $0.maxMessage = 2
                $0.maxQueued = 1
            }
        ),
        ("timeout", { $0.timeout = .milliseconds(99) }), ("heartbeat", { $0.heartbeat = .milliseconds(19) }),
        ("maxFrame", { $0.maxFrame = 255 }), ("maxInFlight", { $0.maxInFlight = 0 }),
        ("maxMessage", { $0.maxMessage = 0 }),
    ]

    @Test("A limit that the protocol does not know is an error of the options, and no crash", arguments: wrong)
    func refuses(_ words: String, _ change: Change) {
        var options = ServerOptions()
        change(&options)
        let error = #expect(throws: StartError.self) { try options.checkLimits() }
        #expect(error?.kind == .badOptions && error?.description.contains(words) == true)
    }
}
