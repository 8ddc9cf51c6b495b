import Basics

/// Who has called, and the number of the call: 0 where no answer is wanted.
struct Caller: Hashable, Sendable {
    let tie: TieNumber
    let call: UInt64
}

/// For whom something is done. What is for the same ones is done in its order.
enum DeliveryLane: Hashable, Sendable {
    case topic(TopicName)
    case recipient(Recipient)
}

/// What is done for the processes of some connections.
enum DeliveryAction: Sendable {
    /// The connection `except` does not get it; 0 is none.
    case publication(RoutedRecord, except: UInt64)
    /// The sender does not get it.
    case broadcast(RoutedRecord, from: UInt64)
    case message(RoutedPayload, from: UInt64)
    case end(String)
    case enroll(TopicName, isOn: Bool)
}

/// What is to be done for many processes, slice by slice.
struct DeliveryJob: Sendable {
    let action: DeliveryAction
    let caller: Caller
    /// The processes that there were when the job began; nil before.
    var ties: [UInt32]?
    /// How many of them have had their turn.
    var done = 0
    /// How many connections it has reached.
    var reached: UInt64 = 0
}

/// The jobs that wait. Lanes take turns, and each does its jobs one after another.
struct RouterJobs {
    var lanes: [DeliveryLane: Queue<DeliveryJob>] = [:]
    var turns = Queue<DeliveryLane>()
}

// Messages and commands for several processes.
extension TopicRouter {
    /// How many processes have their turn in one slice.
    static let slice = 256
    /// What a job needs besides its message.
    private static let jobBytes = 128

    mutating func publish(
        _ bytes: ArraySlice<UInt8>, from publisher: UInt64, to topic: TopicName, includesSelf: Bool, _ caller: Caller
    ) {
        guard let group = topics[topic] else { return reply(to: caller.tie, caller.call, .done(0)) }
        guard hasRoom(for: caller, or: UInt64(group.count)) else { return }
        let except = includesSelf ? 0 : publisher
        let delivery = RouterDelivery.publication(topic, from: publisher, except: except, bytes)
        begin(
            .publication(RoutedRecord(delivery, .message(topic)), except: except), in: .topic(topic), group, caller)
    }

    mutating func send(_ bytes: ArraySlice<UInt8>, from sender: UInt64, to recipient: Recipient, _ caller: Caller) {
        guard hasRoom(for: caller, or: count(of: recipient)) else { return }
        if recipient == .all {
            let record = RoutedRecord(.broadcast(from: sender, bytes), .message(nil))
            begin(.broadcast(record, from: sender), for: recipient, caller)
        } else {
            begin(.message(RoutedPayload(bytes), from: sender), for: recipient, caller)
        }
    }

    /// Whether a further message may wait. Where it may not, the caller learns it, or the `lost` messages are counted.
    private mutating func hasRoom(for caller: Caller, or lost: UInt64) -> Bool {
        guard !memory.hasRoom else { return true }
        if caller.call == 0 { sums.dropped &+= lost }
        reply(to: caller.tie, caller.call, .unavailable(fullText))
        return false
    }

    /// Why no further message may wait.
    var fullText: String {
        "the router holds \(memory.bytes / 1024) KiB of messages that wait, and takes no more now"
    }

    /// Does something for the processes of some connections, now or in slices.
    mutating func begin(_ action: DeliveryAction, for recipient: Recipient, _ caller: Caller) {
        if case .connection(let id) = recipient {
            var group = ConnectionGroup()
            if let tie = connections[id]?.tie { _ = group.insert(id, on: tie) }
            return finish(DeliveryJob(action: action, caller: caller), group)
        }
        guard let group = namesakes(of: recipient)?.group else {
            return reply(to: caller.tie, caller.call, .done(0))
        }
        begin(action, in: .recipient(recipient), group, caller)
    }

    private mutating func begin(
        _ action: DeliveryAction, in lane: DeliveryLane, _ group: ConnectionGroup, _ caller: Caller
    ) {
        let job = DeliveryJob(action: action, caller: caller)
        guard group.ties.count > TopicRouter.slice || jobs.lanes[lane] != nil else { return finish(job, group) }
        hold(job)
        if jobs.lanes[lane] == nil { jobs.turns.append(lane) }
        jobs.lanes[lane, default: Queue()].append(job)
    }

    /// Does all of a job at once, for connections of a few processes.
    private mutating func finish(_ job: DeliveryJob, _ group: ConnectionGroup) {
        // A record that no process gets was never held.
        let reached = group.ties.reduce(0) { $0 + handOver(job.action, to: $1, group) }
        reply(to: job.caller.tie, job.caller.call, .done(reached))
    }

    // MARK: Slices

    /// Whether there is something for `runSlice` to do.
    var hasJobs: Bool { !jobs.turns.isEmpty || hasLeaving }

    /// Does the jobs of the first lanes for 256 processes. The lane of a job that is not done goes to the end of the
    /// others.
    mutating func runSlice() {
        if hasLeaving { forgetSome() }
        var left = TopicRouter.slice
        while left > 0, let lane = jobs.turns.first {
            jobs.turns.removeFirst()
            left -= max(1, runFirstJob(of: lane, most: left))
            if jobs.lanes[lane]?.isEmpty == true { jobs.lanes[lane] = nil } else { jobs.turns.append(lane) }
        }
    }

    /// Runs the first job of a lane for up to `most` processes, and returns for how many.
    private mutating func runFirstJob(of lane: DeliveryLane, most: Int) -> Int {
        guard var job = jobs.lanes[lane]?.first else { return 0 }
        let group = group(of: lane) ?? ConnectionGroup()
        let targets: [UInt32]
        if let ties = job.ties {
            targets = ties
        } else {
            targets = group.ties
            memory.hold(bytes: 4 * targets.count)
            job.ties = targets
        }
        let end = min(job.done + most, targets.count)
        for tie in targets[job.done..<end] { job.reached += handOver(job.action, to: tie, group) }
        let count = end - job.done
        job.done = end
        if end < targets.count {
            jobs.lanes[lane]?.replaceFirst(with: job)
        } else {
            jobs.lanes[lane]?.removeFirst()
            memory.release(bytes: 4 * targets.count)
            release(job)
            reply(to: job.caller.tie, job.caller.call, .done(job.reached))
        }
        return count
    }

    private mutating func hold(_ job: DeliveryJob) {
        memory.hold(bytes: TopicRouter.jobBytes)
        switch job.action {
        case .publication(let record, _), .broadcast(let record, _): memory.hold(record)
        case .message(let payload, _): memory.hold(payload)
        case .end, .enroll: break
        }
    }

    private mutating func release(_ job: DeliveryJob) {
        memory.release(bytes: TopicRouter.jobBytes)
        switch job.action {
        case .publication(let record, _), .broadcast(let record, _): memory.release(record)
        case .message(let payload, _): memory.release(payload)
        case .end, .enroll: break
        }
    }

    private func group(of lane: DeliveryLane) -> ConnectionGroup? {
        switch lane {
        case .topic(let topic): topics[topic]
        case .recipient(let recipient): namesakes(of: recipient)?.group
        }
    }

    /// Does something for those of `group` that are connections of one process. Returns how many they are.
    private mutating func handOver(_ action: DeliveryAction, to tie: UInt32, _ group: ConnectionGroup) -> UInt64 {
        guard ties[Int(tie)].isOpen, let connections = group[tie] else { return 0 }
        var count = UInt64(connections.count)
        switch action {
        case .publication(let record, let except):
            if except != 0, connections.contains(except) { count -= 1 }
            if count > 0 { append(message: record, connections: count, to: tie) }
        case .broadcast(let record, let sender):
            if connections.contains(sender) { count -= 1 }
            if count > 0 { append(message: record, connections: count, to: tie) }
        case .message(let payload, let sender):
            append(message: RoutedRecord(to: connections.all, from: sender, payload), connections: count, to: tie)
        case .end(let text): append(sure: .end(connections.all, text), to: tie)
        case .enroll(let topic, let isOn):
            // At once, and in the order of the queue for the process: what is published next reaches them, or does not.
            for id in connections.all {
                _ = isOn ? subscribe(id, on: tie, to: topic) : unsubscribe(id, on: tie, from: topic)
            }
            append(sure: .enroll(connections.all, topic, isOn: isOn), to: tie)
        }
        return count
    }
}
