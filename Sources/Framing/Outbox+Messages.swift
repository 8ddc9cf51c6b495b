import Basics

// Requests, their endings, and one-way messages.
extension Outbox {
    // MARK: Frames that overtake messages

    /// Cancels a request of this side; what is left of one that is being sent in chunks is not sent any more.
    public mutating func cancel(_ id: UInt32) {
        guard !isClosed else { return }
        removeWaiting(.request(id))
        staged.bytes.append(header: .cancel, id: id, length: 0)
    }

    /// Sends GOAWAY ahead of the messages that wait.
    public mutating func goAway(_ goAway: GoAway) {
        guard !isClosed else { return }
        goAway.append(to: &staged.bytes)
    }

    /// Sends CREDIT ahead of the messages that wait.
    public mutating func grant(_ credit: Credit) {
        guard !endsWithClose else { return }
        credit.append(to: &staged.bytes)
    }

    // MARK: Messages

    /// Queues GOAWAY behind the messages that wait: the peer has all of them before it.
    public mutating func leave(_ goAway: GoAway) {
        guard !isClosed else { return }
        var frame: [UInt8] = []
        goAway.append(to: &frame)
        waiting.append(.frame(frame, .none, isRefusal: false))
        stage()
    }

    /// Queues a message, in as many chunks as the peer's max_frame asks for. `cost` is counted in `cost` until the
    /// last byte of it is with the kernel.
    public mutating func send(_ type: FrameType, id: UInt32 = 0, _ payload: ArraySlice<UInt8>, cost: Int) {
        guard !isClosed else { return }
        count(MessageKey(type, id), cost)
        if mayStage, payload.count <= maxChunk {
            stage(type, id, payload, start: nil, cost: cost)
        } else {
            waiting.append(.message(Message(type: type, id: id, rest: payload, cost: cost)))
            stage()
        }
    }

    /// Queues a part of the response `id`, which begins with the first of them and ends with the one that `isLast`.
    ///
    /// Its parts are one message: they are cut into chunks as room comes. It is counted, with `cost`, from its last
    /// part on; until then it is `streamed` that says how much of it waits.
    public mutating func send(part payload: ArraySlice<UInt8>, of id: UInt32, isLast: Bool, cost: Int) {
        guard !isClosed else { return }
        if isLast { count(.ending(id), cost) }
        let known = waiting.replaceFirst { waiting in
            guard case .message(var message) = waiting, message.key == .ending(id) else { return nil }
            message.rest += payload
            message.isOpen = !isLast
            message.cost = isLast ? cost : 0
            return .message(message)
        }
        if !known {
            waiting.append(
                .message(
                    Message(type: .response, id: id, rest: payload, cost: isLast ? cost : 0, isOpen: !isLast)))
        }
        stage()
    }

    /// How many bytes of the response `id`, which is sent in parts, are not staged.
    public func streamed(of id: UInt32) -> Int {
        var bytes = 0
        _ = waiting.contains {
            guard case .message(let message) = $0, message.key == .ending(id) else { return false }
            bytes = message.rest.count
            return true
        }
        return bytes
    }

    /// Queues a FAILURE behind the messages that wait; it is counted in `count`, and costs nothing.
    ///
    /// A response that is sent in parts it ends where that is (section 4.9): messages that wait behind the response
    /// would else come between its chunks.
    public mutating func fail(_ id: UInt32, _ failure: Failure) {
        guard !isClosed else { return }
        count(.ending(id), 0)
        var frame: [UInt8] = []
        failure.append(id: id, to: &frame)
        let ending = Waiting.frame(frame, .ending(id), isRefusal: false)
        let isInPlace = waiting.replaceFirst { waiting in
            if case .message(let message) = waiting, message.key == .ending(id), message.isOpen { ending } else { nil }
        }
        if !isInPlace { waiting.append(ending) }
        stage()
    }

    /// Queues the FAILURE of a request that was not taken; it is counted in `refusals` alone.
    public mutating func refuse(_ id: UInt32, _ failure: Failure) {
        guard !isClosed else { return }
        refusals += 1
        var frame: [UInt8] = []
        failure.append(id: id, to: &frame)
        waiting.append(.frame(frame, .ending(id), isRefusal: true))
        stage()
    }

    /// Whether the kernel has no byte of this side's request `id`: the caller can promise that it never arrives.
    public func isUntouched(_ id: UInt32) -> Bool {
        let key = MessageKey.request(id)
        return waiting.contains { $0.key == key && $0.start ?? sent >= sent } || staged.isUntouched(key)
    }

    /// Removes this side's request `id`; false where the kernel has a byte of it, or it is not here.
    public mutating func withdraw(_ id: UInt32) -> Bool {
        guard isUntouched(id) else { return false }
        let key = MessageKey.request(id)
        let (marks, gaps) = staged.unstage(key)
        for mark in marks { uncount(key, mark.cost) }
        for gap in gaps { close(gap) }
        for gap in gaps {
            guard case .message(var message) = waiting.first, let start = message.start else { break }
            message.start = gap.closed(at: start)
            waiting.replaceFirst(with: .message(message))
        }
        removeWaiting(key)
        stage()
        return true
    }

    private mutating func close(_ gap: StagedFrames.Gap) {
        var behind: UInt64?
        for var ping in pings.remove(where: { $0.end > gap.start }) {
            behind = behind ?? ping.nonce
            ping.end = gap.closed(at: ping.end)
            pings.append(ping)
        }
        window.withdraw(gap.length, before: behind)
    }

    /// Whether chunks of this side's request `id` are staged and others are not.
    public func isUnfinished(_ id: UInt32) -> Bool { waiting.contains { $0.key == .request(id) && $0.isBegun } }

    /// Whether the last byte of this side's request `id` is still here.
    public func isComing(_ id: UInt32) -> Bool {
        !isDone && (waiting.contains { $0.key == .request(id) } || staged.isComing(.request(id)))
    }

    private mutating func removeWaiting(_ key: MessageKey) {
        for removed in waiting.remove(where: { $0.key == key }) { uncount(key, removed.cost) }
    }
}
