import Basics
import Framing

/// A label for why a connection ended. The number of labels is bounded.
struct CloseReasonLabel: Hashable, Comparable {
    /// The name of a code of Protocol.md, OTHER for a code without one, LOST without CLOSE, PROBE of a client that
    /// left without a byte, DIED of a process that ended before its connection.
    let reason: String
    /// `client`, `server` or `none`.
    let by: String

    static let died = CloseReasonLabel(reason: "DIED", by: "none")
    /// The client has connected and left without a byte, as health checks do.
    static let probe = CloseReasonLabel(reason: "PROBE", by: "client")
    private static let lost = CloseReasonLabel(reason: "LOST", by: "none")
    /// No code of the wire has these numbers.
    private static let lostNumber: UInt32 = 0x10000
    private static let probeNumber: UInt32 = 0x10001
    /// The two numbers of a probe.
    static let probeNumbers = (reason: probeNumber, by: UInt32(0))

    /// All labels that there are.
    static let all: [CloseReasonLabel] =
        (0...Code.internal.rawValue).flatMap { code in
            ["client", "server"].map { CloseReasonLabel(reason: Code(rawValue: code).description, by: $0) }
        } + [
            CloseReasonLabel(reason: "OTHER", by: "client"), CloseReasonLabel(reason: "OTHER", by: "server"), .lost,
            .probe, .died,
        ]

    private init(reason: String, by: String) {
        self.reason = reason
        self.by = by
    }

    /// What a child wrote of its end; nothing of it is trusted.
    init(reason: UInt32, by: UInt32) {
        if reason == CloseReasonLabel.lostNumber {
            self = .lost
        } else if reason == CloseReasonLabel.probeNumber {
            self = .probe
        } else {
            let code = UInt16(exactly: reason).map { Code(rawValue: $0) }
            self.init(reason: CloseReasonLabel.name(of: code), by: by == 0 ? "client" : "server")
        }
    }

    /// The name of a code; those that no version of the protocol has share one.
    static func name(of code: Code?) -> String {
        guard let code, code.rawValue <= Code.internal.rawValue else { return "OTHER" }
        return code.description
    }

    /// The two numbers of an ending.
    static func numbers(of ending: CloseReason) -> (reason: UInt32, by: UInt32) {
        switch ending {
        case .closed(let code, _, let side): (UInt32(code.rawValue), side == .client ? 0 : 1)
        case .lost: (lostNumber, 0)
        }
    }

    static func < (left: CloseReasonLabel, right: CloseReasonLabel) -> Bool {
        (left.reason, left.by) < (right.reason, right.by)
    }
}

/// What a child shows of itself: never trusted, only shown and added up.
struct ConnectionStatistics {
    var state = ConnectionActivity.greeting
    var heardAt: Instant?
    var roundTrip: Duration?
    var inFlight: UInt32 = 0
    var answered: UInt64 = 0
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    var counts = ConnectionCounts()
    var serverRequests = ServerRequestCounts()
    /// Requests that got their ending, but for those that were refused.
    var requests: UInt64 { counts.requests(answered: answered) }
    /// What it holds, in bytes.
    var held = 0
    /// Nil before the first.
    var roundTrips: Histogram?
    var handlerTimes = HandlerTimes()
    var name: String?
    var cause: CloseReasonLabel?
    var lateness: Duration?
}
