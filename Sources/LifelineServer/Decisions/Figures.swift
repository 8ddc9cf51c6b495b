import Framing
import Liveness

/// What a connection does, as its child shows it.
enum ConnectionState: UInt32, CaseIterable {
    /// The handshake is not done.
    case greeting
    /// Nothing is unanswered.
    case idle
    /// A request is unanswered.
    case working
    /// CLOSE is on its way, or the handler is waited for.
    case closing

    var name: String {
        switch self {
        case .greeting: "greeting"
        case .idle: "idle"
        case .working: "working"
        case .closing: "closing"
        }
    }
}

/// How many durations fell between the bounds, and how much they were together.
struct Histogram: Equatable {
    /// Each bucket ends with its bound, which belongs to it; the last bucket has none.
    static let bounds: [(duration: Duration, text: String)] = [
        (.microseconds(500), "0.0005"), (.milliseconds(1), "0.001"), (.microseconds(2500), "0.0025"),
        (.milliseconds(5), "0.005"), (.milliseconds(10), "0.01"), (.milliseconds(25), "0.025"),
        (.milliseconds(50), "0.05"), (.milliseconds(100), "0.1"), (.milliseconds(250), "0.25"),
        (.milliseconds(500), "0.5"), (.seconds(1), "1"), (.milliseconds(2500), "2.5"), (.seconds(5), "5"),
        (.seconds(10), "10"), (.seconds(30), "30"),
    ]

    private(set) var counts: [UInt64]
    private(set) var sum: Duration

    init() { self.init(counts: [], sum: .zero) }

    /// With these counts of the buckets, in their order; what is missing is 0.
    init(counts: [UInt32], sum: Duration) {
        let buckets = Histogram.bounds.count + 1
        self.counts = counts.prefix(buckets).map { UInt64($0) }
        self.counts += [UInt64](repeating: 0, count: buckets - self.counts.count)
        self.sum = sum
    }

    static func bucket(of duration: Duration) -> Int {
        bounds.firstIndex { duration <= $0.duration } ?? bounds.count
    }

    mutating func add(_ duration: Duration) {
        counts[Histogram.bucket(of: duration)] += 1
        sum += duration
    }

    static func += (left: inout Histogram, right: Histogram) {
        for bucket in left.counts.indices { left.counts[bucket].add(right.counts[bucket]) }
        left.sum += right.sum
    }
}

extension UInt64 {
    /// Adds a number that is not to be trusted: the most that there is stays that.
    mutating func add(_ other: UInt64) {
        let (sum, isTooMuch) = addingReportingOverflow(other)
        self = isTooMuch ? .max : sum
    }
}

/// Why a connection ended, of a bounded number of reasons.
struct Cause: Hashable, Comparable {
    /// The name of a code of Protocol.md, OTHER for a code without one, LOST without CLOSE, DIED of a process that ended
    /// before its connection.
    let reason: String
    /// `client`, `server` or `none`.
    let by: String

    static let died = Cause(reason: "DIED", by: "none")
    private static let lost = Cause(reason: "LOST", by: "none")
    /// No code of the wire has this number.
    private static let lostNumber: UInt32 = 0x10000

    private init(reason: String, by: String) {
        self.reason = reason
        self.by = by
    }

    /// What a child wrote of its end; nothing of it is trusted.
    init(reason: UInt32, by: UInt32) {
        if reason == Cause.lostNumber {
            self = .lost
        } else {
            let code = UInt16(exactly: reason).map { Code(rawValue: $0) }
            self.init(reason: Cause.name(of: code), by: by == 0 ? "client" : "server")
        }
    }

    /// The name of a code; those that no version of the protocol has share one.
    static func name(of code: Code?) -> String {
        guard let code, code.rawValue <= Code.internal.rawValue else { return "OTHER" }
        return code.description
    }

    /// The two numbers of an ending.
    static func numbers(of ending: Ending) -> (reason: UInt32, by: UInt32) {
        switch ending {
        case .closed(let code, _, let side): (UInt32(code.rawValue), side == .client ? 0 : 1)
        case .lost: (lostNumber, 0)
        }
    }

    static func < (left: Cause, right: Cause) -> Bool { (left.reason, left.by) < (right.reason, right.by) }
}

/// What a child shows of itself: never trusted, only shown and added up.
struct Figures {
    var state = ConnectionState.greeting
    var heardAt: Instant?
    var roundTrip: Duration?
    var inFlight: UInt32 = 0
    var requests: UInt64 = 0
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    var roundTrips = Histogram()
    var name: String?
    var cause: Cause?
    var lateness: Duration?
}
