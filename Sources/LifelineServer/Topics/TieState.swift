import Basics
import Framing
import Posix

/// What connections go by that others can reach.
struct RouterTerms: Sendable {
    /// The longest message, in bytes.
    let mostBytes: Int
    /// How many topics a connection may have.
    var mostTopics: Int
    /// The longest record of the router.
    let longestDelivery: Int
}

extension RouterTerms {
    init(_ options: ServerOptions) {
        self.init(
            mostBytes: Int(options.maxMessage), mostTopics: options.maxTopics,
            longestDelivery: RouterLimits(options).longestDelivery)
    }
}

/// What the loop waits for on behalf of a tie.
struct TieInterest: Equatable {
    let number: Int32
    /// Tells a tie from the one before it, whose number it may have.
    let generation: Int
    let reading: Bool
    let writing: Bool
}

/// A delivery to a connection of this process, which the loop finds at `place`.
struct PlacedDelivery {
    let connection: UInt64
    let place: Int
    let delivery: LocalDelivery
}

/// What a tie keeps under its lock.
struct TieState {
    /// How long the process waits until it tries again to introduce itself.
    private static let pause = Duration.milliseconds(100)
    /// What may wait because the router takes nothing, in bytes: beyond that nothing more is said.
    private static let mostUnsent = 262_144
    /// What has to be said may wait up to this. Beyond it the tie is cut, and all is said to the router anew.
    private static let mostUnsentInAll = 4_194_304
    /// With so many direct deliveries no more is read.
    private static let mostDirect = 1024
    private static let bytesAtOnce = 65536

    /// The process's end. It is a class for a state that can be copied.
    private final class TieSocket: Sendable {
        let descriptor: Descriptor
        init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
    }

    private let entrance: RouterLobby.Entrance
    private let terms: RouterTerms
    private var socket: TieSocket?
    private var generation = 0
    private var tiedAt = Instant(sinceStart: .zero)
    private var reader: RecordReader<RouterDelivery>
    private var local = LocalTopics()
    private var deliveries = LocalDeliveries()
    /// Deliveries to a single connection, which wait for no slice.
    private var direct: [(connection: UInt64, LocalDelivery)] = []
    private var unsent: ArraySlice<UInt8> = []
    /// How many bytes of the last introduction had to wait.
    private var introduction = 0
    /// How many connections need the router, whether others can reach them or not.
    private var users = 0
    private var lastCall: UInt64 = 0
    private var waiting: Set<UInt64> = []
    private var replies: [UInt64: RouterReply] = [:]
    /// The call that a new router answers once it knows all of this process again.
    private var comeback: UInt64?
    /// When the process introduces itself again; nil where it is tied, or need not be.
    private var retryAt: Instant?
    /// Whether the tie has to be cut.
    private var isBroken = false

    init(_ entrance: RouterLobby.Entrance, _ terms: RouterTerms) {
        self.entrance = entrance
        self.terms = terms
        reader = RecordReader(most: terms.longestDelivery)
    }

    // MARK: The loop

    var interest: TieInterest? {
        guard let socket else { return nil }
        return TieInterest(
            number: socket.descriptor.number, generation: generation, reading: takesMore, writing: !unsent.isEmpty)
    }
    var deadline: Instant? {
        direct.isEmpty && deliveries.isEmpty ? retryAt : Instant(sinceStart: .zero)
    }
    /// Whether the loop has to look at the tie.
    var needsLoop: Bool { !unsent.isEmpty || isBroken }
    var isTied: Bool { socket != nil && !isBroken }
    private var takesMore: Bool { deliveries.hasRoom && direct.count < TieState.mostDirect }

    mutating func register(_ member: Member, place: Int) {
        local.register(member, place: place)
        // Where the process is not tied, it will say all that it has.
        mustSay(.register(member))
    }

    mutating func unregister(_ connection: UInt64) {
        if local.unregister(connection) { mustSay(.unregister(connection)) }
    }

    mutating func attach(at now: Instant) {
        users += 1
        if socket == nil, retryAt == nil { introduce(at: now) }
    }

    mutating func detach() {
        users -= 1
        if users == 0 { leave() }
    }

    /// Returns whether calls have answers.
    mutating func resumed(isReadable: Bool, isWritable: Bool, at now: Instant) -> Bool {
        let before = replies.count
        if isReadable, takesMore { read() }
        if isWritable { flush() }
        if isBroken { cut(at: now) }
        if let retryAt, retryAt <= now { introduce(at: now) }
        return replies.count > before
    }

    private mutating func read() {
        guard let socket else { return }
        do {
            let transfer = try withUnsafeTemporaryAllocation(byteCount: TieState.bytesAtOnce, alignment: 1) {
                (memory) throws -> Transfer in
                let transfer = try socket.descriptor.receive(into: memory)
                if case .bytes(let count) = transfer {
                    reader.append(UnsafeRawBufferPointer(rebasing: memory[..<count]))
                }
                return transfer
            }
            if case .end = transfer { isBroken = true }
            while let record = try reader.next() { take(record) }
        } catch {
            isBroken = true
        }
    }

    mutating func takeDeliveries(_ most: Int) -> [PlacedDelivery] {
        var taken = direct
        direct = []
        if !deliveries.isEmpty { taken += deliveries.takeSlice(most) }
        return taken.compactMap { connection, delivery in
            guard let place = local.members[connection]?.place else {
                if case .ask(let ask, _, _) = delivery { refuse(ask) }
                return nil
            }
            return PlacedDelivery(connection: connection, place: place, delivery: delivery)
        }
    }

    private mutating func refuse(_ ask: UInt64) {
        mustSay(.answered(ask: ask, .notSent("the connection has ended")))
    }

    // MARK: What the router says

    private mutating func take(_ record: RouterDelivery) {
        switch record {
        case .publication(let topic, let from, let except, let bytes):
            guard let subscribers = local.subscribers[topic] else { return }
            let publication = Publication(topic: topic.text, bytes: bytes, publisher: from)
            deliver(.publication(publication), to: subscribers, except: except)
        case .message(let connections, let from, let bytes):
            let publication = Publication(topic: nil, bytes: bytes, publisher: from)
            for connection in connections { direct.append((connection, .publication(publication))) }
        case .broadcast(let from, let bytes):
            let publication = Publication(topic: nil, bytes: bytes, publisher: from)
            deliver(.publication(publication), to: Set(local.members.keys), except: from)
        case .gap(let topic, let count): tell(MessageGap(topic: topic?.text, count: Int(clamping: count)), of: topic)
        case .ask(let ask, let connection, let timeout, let bytes):
            guard local.members[connection] != nil else { return refuse(ask) }
            direct.append((connection, .ask(ask, bytes, timeout: .milliseconds(timeout))))
        case .giveUp(let ask, let connection): direct.append((connection, .giveUp(ask)))
        case .end(let connections, let text):
            for connection in connections { direct.append((connection, .end(text))) }
        case .enroll(let connections, let topic, let isOn):
            for connection in connections { enroll(connection, topic, isOn: isOn) }
        case .reply(let call, let reply):
            if call == comeback { cameBack() }
            if waiting.remove(call) != nil { replies[call] = reply }
        }
    }

    /// Delivers to each of them, and to a single one at once where nothing waits before it.
    private mutating func deliver(_ delivery: LocalDelivery, to connections: Set<UInt64>, except: UInt64 = 0) {
        guard connections.count == 1, deliveries.isEmpty, let only = connections.first else {
            return deliveries.add(delivery, to: connections, except: except)
        }
        if only != except { direct.append((only, delivery)) }
    }

    private mutating func tell(_ gap: MessageGap, of topic: TopicName?) {
        let connections = topic.map { local.subscribers[$0] ?? [] } ?? Set(local.members.keys)
        deliver(.gap(gap), to: connections)
    }

    private mutating func enroll(_ connection: UInt64, _ topic: TopicName, isOn: Bool) {
        // Its handler may have said something else meanwhile, which the router has read behind this: what holds here is said
        // again.
        if isOn, case .success = subscribe(connection, to: topic) {
            mustSay(.subscribe(call: 0, connection: connection, topic))
        } else {
            _ = unsubscribe(connection, from: topic)
            mustSay(.unsubscribe(call: 0, connection: connection, topic))
        }
    }

    // MARK: The tie

    private mutating func introduce(at now: Instant) {
        pause(at: now)
        guard let pair = try? SocketPair(), entrance.enter(with: pair.other) else { return }
        retryAt = nil
        socket = TieSocket(pair.one)
        generation += 1
        tiedAt = now
        // However much it is: less would never make it known.
        for (connection, member) in local.members {
            send(.register(member.member))
            for topic in member.topics { send(.subscribe(call: 0, connection: connection, topic)) }
        }
        introduction = unsent.count
        guard comeback != nil else { return }
        lastCall += 1
        comeback = lastCall
        mustSay(.count(call: lastCall, .connection(0)))
    }

    /// The router has died, or the tie is of no use any more: the process introduces itself again. A router that does not
    /// keep its ties is asked less often.
    private mutating func cut(at now: Instant) {
        let wasShort = now - tiedAt < TieState.pause
        leave()
        guard users > 0 else { return }
        comeback = 0
        if wasShort { pause(at: now) } else { introduce(at: now) }
    }

    private mutating func pause(at now: Instant) { retryAt = now + TieState.pause * Double.random(in: 0.5..<1.5) }

    private mutating func leave() {
        (socket, isBroken, retryAt, comeback) = (nil, false, nil, nil)
        reader = RecordReader(most: terms.longestDelivery)
        (unsent, introduction) = ([], 0)
        for call in waiting {
            replies[call] = .unavailable("the tie to the router has ended; what was asked may have been done or not")
        }
        waiting = []
    }

    /// A new router knows all of this process. What was said to its connections meanwhile is lost, and nobody knows how much.
    private mutating func cameBack() {
        comeback = nil
        for topic in local.subscribers.keys { tell(MessageGap(topic: topic.text, count: nil), of: topic) }
        tell(MessageGap(topic: nil, count: nil), of: nil)
    }

    // MARK: What the process says

    /// Says something. Returns why that cannot be.
    mutating func say(_ command: RouterCommand) -> TopicError? {
        guard isTied else { return .unavailable("the router is being started anew") }
        guard unsent.count <= TieState.mostUnsent else { return .unavailable("the router takes nothing now") }
        send(command)
        return nil
    }

    /// Says something that a new router would be told too.
    mutating func mustSay(_ command: RouterCommand) {
        guard isTied else { return }
        guard unsent.count <= introduction + max(TieState.mostUnsentInAll, 16 * terms.mostBytes) else {
            return isBroken = true
        }
        send(command)
    }

    private mutating func send(_ command: RouterCommand) {
        let bytes = command.encoded()
        guard unsent.isEmpty else { return unsent += bytes }
        unsent = bytes[...]
        flush()
    }

    private mutating func flush() {
        guard let socket, !unsent.isEmpty else { return }
        do throws(SystemError) {
            guard case .bytes(let count) = try socket.descriptor.send(unsent) else { return }
            unsent = unsent.dropFirst(count)
            if unsent.isEmpty { (unsent, introduction) = ([], 0) }
        } catch {
            isBroken = true
        }
    }

    mutating func subscribe(_ connection: UInt64, to topic: TopicName) -> Result<Bool, TopicError> {
        switch local.subscribe(connection, to: topic, most: terms.mostTopics) {
        case .new: .success(true)
        case .existing, .unknownConnection: .success(false)
        case .tooMany: .failure(.tooManyTopics(most: terms.mostTopics))
        }
    }

    /// False where the connection had not subscribed.
    mutating func unsubscribe(_ connection: UInt64, from topic: TopicName) -> Bool {
        local.unsubscribe(connection, from: topic)
    }

    // MARK: Calls

    mutating func beginCall() -> UInt64 {
        lastCall += 1
        waiting.insert(lastCall)
        return lastCall
    }

    mutating func takeReply(to call: UInt64) -> RouterReply? {
        if let reply = replies.removeValue(forKey: call) { return reply }
        // The tie was cut before the call was said.
        return waiting.contains(call) ? nil : .unavailable("the router is being started anew")
    }

    /// The call's answer is not wanted any more.
    mutating func forget(_ call: UInt64) {
        waiting.remove(call)
        replies[call] = nil
    }
}
