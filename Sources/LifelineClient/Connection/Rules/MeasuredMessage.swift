import Basics
import Framing

/// One message of several frames: how far it is, and when that was told.
struct MeasuredMessage: Sendable {
    private static let interval = Duration.seconds(1)
    /// How many reports the rate looks back.
    private static let reportsKept = 5

    let direction: TransferDirection
    let type: FrameType
    let request: UInt32?
    /// Where in the stream it begins, if it is sent.
    private var start: UInt64 = 0
    /// How many bytes have to be gone, at most, until it is: set once its last frame is staged.
    private var end: UInt64?
    var total: Int?
    var bytes = 0
    private let startedAt: Instant
    private var endedAt: Instant?
    /// When the next report is due.
    private(set) var nextAt: Instant
    /// The beginning and the last reports. It is empty until the first, so that a quick message allocates nothing.
    private var reports: [(at: Instant, bytes: Int)] = []

    private init(_ direction: TransferDirection, _ type: FrameType, id: UInt32, at now: Instant) {
        self.direction = direction
        self.type = type
        request = id == 0 ? nil : id
        startedAt = now
        nextAt = now + MeasuredMessage.interval
    }

    /// A message whose first frames are staged.
    init(_ message: Outbox.Unfinished, _ distance: (staged: UInt64, gone: UInt64), at now: Instant) {
        self.init(.sending, message.type, id: message.id, at: now)
        total = message.cost
        advance(message, distance)
    }

    /// A message whose first stretch has come.
    init(_ part: MessagePart, at now: Instant) { self.init(.receiving, part.type, id: part.id, at: now) }

    /// Whether it has ended, and its last report is due.
    var isOver: Bool { endedAt != nil }
    /// Whether there was a report.
    var isTold: Bool { !reports.isEmpty }

    /// Whether it is the message that the outbox has begun. A request that is withdrawn moves up what is behind it.
    func isSame(as message: Outbox.Unfinished) -> Bool {
        type == message.type && (start == message.start || request == message.id)
    }

    /// Whether it is a request of the server, or this side's answer to one.
    private var isServerRequest: Bool { type == (direction == .sending ? .response : .request) }

    /// Records how far it is.
    mutating func advance(_ message: Outbox.Unfinished, _ distance: (staged: UInt64, gone: UInt64)) {
        start = message.start
        // Its frames are the last that are staged; what else is among them is little.
        bytes = max(bytes, message.cost - message.rest - Int(distance.staged - distance.gone))
    }

    /// Records how far it is, where its last frame is staged. Where nothing will show more, it counts as gone.
    mutating func finish(_ distance: (staged: UInt64, gone: UInt64), isUnasked: Bool) {
        let end = self.end ?? distance.staged
        self.end = end
        let rest = isUnasked || end <= distance.gone ? 0 : Int(end - distance.gone)
        bytes = max(bytes, (total ?? 0) - rest)
    }

    /// Records that the server has all that was sent.
    mutating func answered() {
        if end != nil, let total { bytes = total }
    }

    /// Whether all of it is gone.
    var isWhole: Bool { bytes == total }

    /// Records that it has ended: the last report is due.
    mutating func end(at now: Instant) {
        endedAt = now
        nextAt = now
    }

    /// The report at `now`.
    mutating func report(at now: Instant) -> TransferProgress {
        let now = endedAt ?? now
        if reports.isEmpty { reports.append((startedAt, 0)) }
        if reports.count > MeasuredMessage.reportsKept { reports.removeFirst() }
        let since = reports[0]
        let seconds = (now - since.at) / .seconds(1)
        reports.append((now, bytes))
        nextAt = now + MeasuredMessage.interval
        return TransferProgress(
            direction: direction, request: request, bytes: bytes, total: total,
            rate: seconds > 0 ? Double(bytes - since.bytes) / seconds : 0, elapsed: now - startedAt, isOver: isOver,
            isServerRequest: isServerRequest)
    }
}
