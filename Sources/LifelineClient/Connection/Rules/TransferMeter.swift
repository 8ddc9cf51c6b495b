import Basics
import Framing

/// Measures messages of several frames. One is sent and one received at a time (Protocol.md, 3.5-3).
///
/// It reports a message that takes longer than a second: after that second, each second, and at its end. While there is none,
/// it costs one empty array: the connection is copied often.
struct TransferMeter: Sendable {
    /// The messages under way, at most one in each direction, and those that have ended and whose end is not told yet.
    private var messages: [MeasuredMessage] = []
    /// Whether the program listens. Otherwise the meter reports nothing, and sets no timer.
    var isWatched = false

    // MARK: Bytes out

    /// Records what `outbox` has staged, and what of it is gone.
    @inline(__always) mutating func sending(_ outbox: borrowing Outbox, at now: Instant) {
        if let message = outbox.unfinished {
            sending(message, outbox, at: now)
        } else if !messages.isEmpty, let index = current(.sending) {
            finishSending(index, outbox, at: now)
        }
    }

    private mutating func sending(_ message: Outbox.Unfinished, _ outbox: borrowing Outbox, at now: Instant) {
        if let index = current(.sending), !messages[index].isSame(as: message) {
            finishSending(index, outbox, at: now)
        }
        guard let index = current(.sending) else {
            messages.append(MeasuredMessage(message, outbox.distance, at: now))
            return
        }
        if messages[index].isSame(as: message) { messages[index].advance(message, outbox.distance) }
    }

    /// All of the message is staged: it has to go.
    private mutating func finishSending(_ index: Int, _ outbox: borrowing Outbox, at now: Instant) {
        messages[index].finish(outbox.distance, isUnasked: outbox.isUnasked)
        if messages[index].isWhole { end(.sending, at: now) }
    }

    /// Records that the request `id` is answered, so that all of it has arrived if all was sent.
    mutating func answered(_ id: UInt32, at now: Instant) {
        guard !messages.isEmpty, let index = current(.sending), isRequest(id, at: index) else { return }
        messages[index].answered()
        end(.sending, at: now)
    }

    /// Records that the rest of the request `id` is not sent.
    mutating func cancelled(_ id: UInt32, at now: Instant) {
        if let index = current(.sending), isRequest(id, at: index) { end(.sending, at: now) }
    }

    /// Whether the message at `index` is this side's request `id`.
    private func isRequest(_ id: UInt32, at index: Int) -> Bool {
        messages[index].request == id && messages[index].type == .request
    }

    // MARK: Bytes in

    /// Records a stretch of a message.
    @inline(__always) mutating func received(_ part: MessagePart, at now: Instant) {
        if !part.isFirst || !part.isLast { receivedSome(part, at: now) }
    }

    private mutating func receivedSome(_ part: MessagePart, at now: Instant) {
        if part.isFirst { messages.append(MeasuredMessage(part, at: now)) }
        guard let index = current(.receiving) else { return }
        messages[index].bytes += part.range.count
        guard part.isLast else { return }
        messages[index].total = messages[index].bytes
        end(.receiving, at: now)
    }

    /// Records that the server will not end the response or the request that it has begun, or that this side refuses it.
    mutating func abandoned(at now: Instant) { end(.receiving, at: now) }

    // MARK: Reports

    /// The place of the message that is under way.
    private func current(_ direction: TransferDirection) -> Int? {
        messages.firstIndex { $0.direction == direction && !$0.isOver }
    }

    private mutating func end(_ direction: TransferDirection, at now: Instant) {
        guard let index = current(direction) else { return }
        if messages[index].isTold {
            messages[index].end(at: now)
        } else {
            messages.remove(at: index)
        }
    }

    /// The instant at which `next` returns something.
    var deadline: Instant? {
        if !isWatched || messages.isEmpty { return nil }
        return messages.reduce(nil) { earlier($0, $1.nextAt) }
    }

    /// The next report that is due at `now`.
    mutating func next(at now: Instant) -> TransferProgress? {
        guard isWatched, !messages.isEmpty, let index = messages.firstIndex(where: { $0.nextAt <= now }) else {
            return nil
        }
        let progress = messages[index].report(at: now)
        if progress.isOver { messages.remove(at: index) }
        return progress
    }

    /// Ends all measurements; returns the last reports of messages that were told.
    mutating func end(at now: Instant) -> [TransferProgress] {
        end(.sending, at: now)
        end(.receiving, at: now)
        defer { messages = [] }
        return messages.indices.map { messages[$0].report(at: now) }
    }
}
