import Basics

/// A tie by its place in the router, and which of those that have had the place it is.
struct TieNumber: Hashable, Sendable {
    let index: UInt32
    let generation: UInt32
}

/// A connection that others can reach.
struct RoutedConnection {
    let member: Member
    let tie: UInt32
    /// Its place in the order in which connections came.
    let serial: UInt64
    var topics: [TopicName] = []
}

/// What the router knows and decides: which connections there are, which topics they have, and what waits for whom.
///
/// It is told what the processes say, command by command, and puts records into their queues. The loop writes them.
///
/// No command goes through all connections, but those that are about all of them. One that is for more than 256
/// processes becomes a job, which `runSlice` does in slices (TopicRouter+Jobs.swift). Requests are in
/// TopicRouter+Requests.swift, questions in TopicRouter+Questions.swift. The properties that these files share are
/// internal for that alone.
///
/// Memory, as measured: a connection with a name takes 600 bytes, and a tie of its own 300 more. A subscription to a
/// topic of many takes 70 bytes, or 90 where it is the only one of its process. The first one of a topic takes 250.
struct TopicRouter: ~Copyable {
    /// What the router knows of a process.
    struct Tie {
        var generation: UInt32 = 0
        var isOpen = false
        var connections: Set<UInt64> = []
        var queue: RouterQueue
        /// The numbers of requests that it has made, and of those that its clients have to answer.
        var asking: Set<UInt64> = []
        var asked: Set<UInt64> = []
        /// Whether it stands in `ready`.
        var isReady = false
        /// Whether it stands in `broken`.
        var isBroken = false
    }

    /// Connections that have a name or a token in common, or nothing.
    struct Namesakes {
        var group = ConnectionGroup()
        var order = ArrivalOrder()
    }

    let limits: RouterLimits
    var ties: [Tie] = []
    private var freeTies: [UInt32] = []
    var connections: [UInt64: RoutedConnection] = [:]
    var names: [String: Namesakes] = [:]
    var tokens: [String: Namesakes] = [:]
    var everyone = Namesakes()
    var topics: [TopicName: ConnectionGroup] = [:]
    private var lastSerial: UInt64 = 0
    var memory: RouterMemory
    var jobs = RouterJobs()
    var asks = RouterAsks()
    /// The ties that have something to write since the last `takeReady`.
    private var ready: [UInt32] = []
    private var broken: [UInt32] = []
    /// The places of processes that have gone, and their connections that are not forgotten.
    private var gone: [UInt32] = []
    private var leaving: [UInt64] = []
    var sums = RouterCounts()

    /// Nothing is known yet. Requests have the numbers behind `lastAsk`: an answer to a router that has died is none to this one.
    init(_ limits: RouterLimits, lastAsk: UInt64 = 0) {
        asks.last = lastAsk
        self.limits = limits
        memory = RouterMemory(limit: limits.totalBytes)
    }

    /// What it has and has done.
    var counts: RouterCounts {
        var counts = sums
        counts.ties = UInt64(ties.count - freeTies.count - gone.count)
        counts.connections = UInt64(connections.count)
        counts.topics = UInt64(topics.count)
        counts.queuedBytes = UInt64(memory.bytes)
        return counts
    }

    // MARK: Ties

    /// Begins to serve a process.
    mutating func open() -> TieNumber {
        let index: UInt32
        if let free = freeTies.popLast() {
            index = free
        } else {
            index = UInt32(ties.count)
            ties.append(Tie(queue: RouterQueue(limits)))
        }
        ties[Int(index)].isOpen = true
        return TieNumber(index: index, generation: ties[Int(index)].generation)
    }

    /// Whether a process is still served.
    func isOpen(_ tie: TieNumber) -> Bool {
        ties[Int(tie.index)].isOpen && ties[Int(tie.index)].generation == tie.generation
    }

    /// How many connections a process has.
    func connectionCount(of tie: TieNumber) -> Int { ties[Int(tie.index)].connections.count }

    /// A process has gone, and its connections with it: those of a process with many are forgotten by `runSlice`.
    mutating func close(_ tie: TieNumber) {
        guard isOpen(tie) else { return }
        let index = Int(tie.index)
        ties[index].isOpen = false
        settleAsks(of: index)
        ties[index].queue.removeAll(&memory)
        ties[index].isReady = false
        ties[index].isBroken = false
        leaving.append(contentsOf: ties[index].connections)
        gone.append(tie.index)
        if ties[index].connections.count <= TopicRouter.slice { forgetSome() }
    }

    /// Whether connections of processes that have gone are still known. No message goes to them.
    var hasLeaving: Bool { !gone.isEmpty }

    /// Forgets some connections of processes that have gone, and then the processes.
    mutating func forgetSome() {
        for id in leaving.suffix(2 * TopicRouter.slice) {
            // It may have a new process.
            guard let index = connections[id]?.tie, !ties[Int(index)].isOpen else { continue }
            unregister(id, on: index)
        }
        leaving.removeLast(min(leaving.count, 2 * TopicRouter.slice))
        guard leaving.isEmpty else { return }
        for index in gone {
            let generation = ties[Int(index)].generation &+ 1
            ties[Int(index)] = Tie(generation: generation, queue: RouterQueue(limits))
        }
        freeTies += gone
        gone.removeAll()
    }

    // MARK: Commands

    /// Carries out what a process has said. Throws what the process cannot have meant.
    mutating func obey(_ command: RouterCommand, from tie: TieNumber, at now: Instant) throws(RecordFault) {
        guard isOpen(tie) else { return }
        switch command {
        case .register(let member): try register(member, on: tie.index)
        case .unregister(let connection): unregister(connection, on: tie.index)
        case .subscribe(let call, let connection, let topic):
            reply(to: tie, call, .done(subscribe(connection, on: tie.index, to: topic)))
        case .unsubscribe(let call, let connection, let topic):
            reply(to: tie, call, .done(unsubscribe(connection, on: tie.index, from: topic)))
        case .publish(let call, let publisher, let topic, let includesSelf, let bytes):
            sums.published += 1
            publish(bytes, from: publisher, to: topic, includesSelf: includesSelf, Caller(tie: tie, call: call))
        case .send(let call, let sender, let recipient, let bytes):
            sums.sent += 1
            send(bytes, from: sender, to: recipient, Caller(tie: tie, call: call))
        case .request(let call, let recipient, let timeout, let bytes):
            try request(bytes, of: recipient, timeout: timeout, Caller(tie: tie, call: call), at: now)
        case .giveUp(let call): giveUp(Caller(tie: tie, call: call))
        case .answered(let ask, let outcome): answered(ask, outcome, by: tie)
        case .members(let call, let topic): reply(to: tie, call, members(of: topic))
        case .topics(let call): reply(to: tie, call, topicCounts())
        case .count(let call, let recipient): reply(to: tie, call, .done(count(of: recipient)))
        case .disconnect(let call, let recipient, let text):
            begin(.end(text), for: recipient, Caller(tie: tie, call: call))
        case .enroll(let call, let recipient, let topic, let isOn):
            begin(.enroll(topic, isOn: isOn), for: recipient, Caller(tie: tie, call: call))
        }
    }

    // MARK: Connections

    private mutating func register(_ member: Member, on tie: UInt32) throws(RecordFault) {
        let id = member.connection
        guard id != 0 else { throw RecordFault("a connection has the number 0, which stands for none") }
        // It may come again: with another name, or from a process that has taken it over.
        if let old = connections[id] { unregister(id, on: old.tie) }
        lastSerial += 1
        let serial = lastSerial
        connections[id] = RoutedConnection(member: member, tie: tie, serial: serial)
        ties[Int(tie)].connections.insert(id)
        everyone.add(id, on: tie, serial: serial)
        if let name = member.name { names[name, default: Namesakes()].add(id, on: tie, serial: serial) }
        if let token = member.tokenName { tokens[token, default: Namesakes()].add(id, on: tie, serial: serial) }
    }

    private mutating func unregister(_ id: UInt64, on tie: UInt32) {
        guard let index = connections.index(forKey: id), connections.values[index].tie == tie else { return }
        let connection = connections.remove(at: index).value
        for topic in connection.topics { leave(topic, id, on: tie) }
        ties[Int(tie)].connections.remove(id)
        everyone.remove(id, on: tie, connections)
        if let name = connection.member.name, let index = names.index(forKey: name) {
            names.values[index].remove(id, on: tie, connections)
            if names.values[index].group.count == 0 { names.remove(at: index) }
        }
        if let token = connection.member.tokenName, let index = tokens.index(forKey: token) {
            tokens.values[index].remove(id, on: tie, connections)
            if tokens.values[index].group.count == 0 { tokens.remove(at: index) }
        }
    }

    /// Returns how many connections of this number there are.
    mutating func subscribe(_ id: UInt64, on tie: UInt32, to topic: TopicName) -> UInt64 {
        guard connections[id]?.tie == tie else { return 0 }
        guard topics[topic, default: ConnectionGroup()].insert(id, on: tie) else { return 1 }
        sums.subscriptions += 1
        // All connections have the bytes of one name.
        let name = topics.index(forKey: topic).map { topics.keys[$0] } ?? topic
        connections[id]?.topics.append(name)
        return 1
    }

    mutating func unsubscribe(_ id: UInt64, on tie: UInt32, from topic: TopicName) -> UInt64 {
        guard connections[id]?.tie == tie else { return 0 }
        if let index = connections[id]?.topics.firstIndex(of: topic) {
            connections[id]?.topics.remove(at: index)
            leave(topic, id, on: tie)
        }
        return 1
    }

    private mutating func leave(_ topic: TopicName, _ id: UInt64, on tie: UInt32) {
        guard let index = topics.index(forKey: topic), topics.values[index].remove(id, on: tie) else { return }
        sums.subscriptions -= 1
        if topics.values[index].count == 0 { topics.remove(at: index) }
    }

    // MARK: Queues

    /// Hands over a message to a process. It is for so many of its connections.
    mutating func append(message record: RoutedRecord, connections: UInt64, to tie: UInt32) {
        sums.delivered += 1
        sums.dropped &+= ties[Int(tie)].queue.append(message: record, connections: connections, &memory)
        markReady(tie)
    }

    /// Hands over what is never dropped.
    mutating func append(sure delivery: RouterDelivery, to tie: UInt32) {
        ties[Int(tie)].queue.append(sure: RoutedRecord(delivery, .sure), &memory)
        markReady(tie)
        guard ties[Int(tie)].queue.isBroken, !ties[Int(tie)].isBroken else { return }
        ties[Int(tie)].isBroken = true
        broken.append(tie)
    }

    /// Answers a call, where an answer is wanted and the process is still there.
    mutating func reply(to tie: TieNumber, _ call: UInt64, _ reply: RouterReply) {
        guard call != 0, isOpen(tie) else { return }
        append(sure: .reply(call: call, reply), to: tie.index)
    }

    private mutating func markReady(_ tie: UInt32) {
        guard !ties[Int(tie)].isReady else { return }
        ties[Int(tie)].isReady = true
        ready.append(tie)
    }

    /// Takes the ties that have something to write, or had it when they were marked.
    mutating func takeReady() -> [TieNumber] {
        guard !ready.isEmpty else { return [] }
        defer { ready.removeAll(keepingCapacity: true) }
        var numbers: [TieNumber] = []
        numbers.reserveCapacity(ready.count)
        for index in ready where ties[Int(index)].isReady {
            ties[Int(index)].isReady = false
            numbers.append(TieNumber(index: index, generation: ties[Int(index)].generation))
        }
        return numbers
    }

    /// Takes the ties that took not even what is never dropped. They are to be closed.
    mutating func takeBroken() -> [TieNumber] {
        guard !broken.isEmpty else { return [] }
        defer { broken.removeAll() }
        return broken.filter { ties[Int($0)].isBroken }
            .map { TieNumber(index: $0, generation: ties[Int($0)].generation) }
    }

    /// The bytes to write next to a process, `scratch` being memory for them; empty where nothing waits.
    mutating func unsent(to tie: TieNumber, _ scratch: inout [UInt8]) -> ArraySlice<UInt8> {
        isOpen(tie) ? ties[Int(tie.index)].queue.unsent(&scratch, &memory) : []
    }

    /// Records that the kernel has taken the first `count` of these bytes.
    mutating func wrote(_ count: Int, to tie: TieNumber) {
        if isOpen(tie) { ties[Int(tie.index)].queue.wrote(count, &memory) }
    }
}

extension TopicRouter.Namesakes {
    mutating func add(_ connection: UInt64, on tie: UInt32, serial: UInt64) {
        _ = group.insert(connection, on: tie)
        order.append(connection, serial: serial)
    }

    /// Removes a connection that `connections` does not have any more.
    mutating func remove(_ connection: UInt64, on tie: UInt32, _ connections: [UInt64: RoutedConnection]) {
        _ = group.remove(connection, on: tie)
        order.prune(present: group.count, connections)
    }
}
