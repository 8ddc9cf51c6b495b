import Basics
import Framing

/// Decides which clients get a process, and why another does not. It counts what the parent itself has forked and
/// reaped. It trusts children in two things: which of them have had their HELLO, and which clients proxies have named.
struct Admission {
    /// Why a client is refused, by the name that the log has for it.
    enum Reason: String, CaseIterable {
        case address
        case proxyFrom = "proxy-from"
        case penalty
        case connections = "max-connections"
        case perSource = "max-per-source"
        case handshakes = "max-handshakes"
        case rate = "max-rate"
        case backEnds = "back-ends"
        case processes
        case descriptors
        case shutdown
    }

    /// A refusal, for the client and for the log.
    struct Refusal: Equatable {
        let reason: Reason
        /// For the log: what the client need not know.
        let detail: String
        /// In milliseconds, as CLOSE has it.
        var retryAfter: UInt32

        var close: Close { Close(reason.code, reason.text, retryAfter: retryAfter) }
    }

    /// What is judged by: the options that limit clients.
    private struct AdmissionLimits {
        let connections: Int
        let perSource: Int?
        let sourcePrefix: SourcePrefix
        let handshakes: HandshakeLimit?
        let rate: Int?
        let addresses: AddressRules
        /// No penalty holds for these addresses.
        let exempt: [AddressRange]
        let handshakeTimeout: Duration

        init(_ options: ServerOptions) {
            connections = options.maxConnections
            perSource = options.maxPerSource
            sourcePrefix = options.sourcePrefix
            handshakes = options.maxHandshakes
            rate = options.maxRate
            addresses = AddressRules(allow: options.allow, deny: options.deny)
            exempt = options.exempt
            handshakeTimeout = options.handshakeTimeout
        }
    }

    /// No client waits for longer than a minute and a random part: a penalty may be lifted before.
    private static let longestWait = Duration.seconds(60)
    private static let shortestWait = Duration.seconds(1)

    private var limits: AdmissionLimits
    private var rate: TokenBucket?
    private(set) var penalties = Penalties()
    private(set) var connections = 0
    private var perSource: [SourceNetwork: Int] = [:]
    /// The slots of children that had not had their HELLO when they were looked at last.
    private var greeting: Set<Int> = []
    /// How many clients were refused, by reason.
    private(set) var refused: [Reason: UInt64] = [:]

    init(_ options: ServerOptions) {
        limits = AdmissionLimits(options)
        rate = options.maxRate.map { TokenBucket(perSecond: $0) }
    }

    /// The most connections at a time.
    var maxConnections: Int { limits.connections }

    /// Judges by other options from now on. `children` are all connections, which may not have been counted until now,
    /// or not in this way. Penalties stay, and so does what the rate has left if its limit is the same.
    mutating func reconfigure(_ options: ServerOptions, children: [(address: UInt128?, slot: Int)]) {
        if options.maxRate != limits.rate { rate = options.maxRate.map { TokenBucket(perSecond: $0) } }
        limits = AdmissionLimits(options)
        perSource = [:]
        greeting = limits.handshakes == nil ? [] : Set(children.map(\.slot))
        guard limits.perSource != nil else { return }
        for case (let address?, _) in children { perSource[limits.sourcePrefix.source(of: address), default: 0] += 1 }
    }

    // MARK: Clients that come

    /// Why a client does not get a process; nil where it does.
    ///
    /// - Parameters:
    ///   - address: The client's own; nil where it came through a Unix socket.
    ///   - now: When it came.
    ///   - random: Decides between the soft and the hard limit of handshakes.
    ///   - hasGreeted: Whether the child in a slot has had its HELLO. It is called only where the handshakes begun since
    ///     the last time could be too many.
    mutating func judge(
        _ address: UInt128?, at now: Instant, using random: inout some RandomNumberGenerator,
        hasGreeted: (Int) -> Bool
    ) -> Refusal? {
        if let refusal = judgeAddress(address, at: now, using: &random) { return refusal }
        guard connections < limits.connections else { return refuseForConnections(using: &random) }
        if let refusal = judgePerSource(address, using: &random) { return refusal }
        return judgePace(at: now, using: &random, hasGreeted: hasGreeted)
    }

    /// Why a connection of a proxy does not get a process; nil where it does. What holds for clients is judged when the
    /// proxy has named its client.
    mutating func judgeProxy(
        at now: Instant, using random: inout some RandomNumberGenerator, hasGreeted: (Int) -> Bool
    ) -> Refusal? {
        guard connections < limits.connections else { return refuseForConnections(using: &random) }
        return judgePace(at: now, using: &random, hasGreeted: hasGreeted)
    }

    /// Why a client that a proxy has named is not let in; nil where it is, and is counted. Its connection has begun
    /// before (`began`), without an address.
    mutating func judgeClient(
        _ address: UInt128, at now: Instant, using random: inout some RandomNumberGenerator
    ) -> Refusal? {
        if let refusal = judgeAddress(address, at: now, using: &random) { return refusal }
        if let refusal = judgePerSource(address, using: &random) { return refusal }
        countSource(address)
        return nil
    }

    @inline(__always) private mutating func judgeAddress(
        _ address: UInt128?, at now: Instant, using random: inout some RandomNumberGenerator
    ) -> Refusal? {
        if let detail = limits.addresses.refusal(of: address) { return refuse(.address, detail, using: &random) }
        guard let address else { return nil }
        let source = limits.sourcePrefix.source(of: address)
        guard let left = penalties.refused(source, at: now), !isExempt(address) else { return nil }
        return refuse(.penalty, "too many handshakes of \(source) have failed", wait: left, using: &random)
    }

    @inline(__always) private mutating func judgePerSource(
        _ address: UInt128?, using random: inout some RandomNumberGenerator
    ) -> Refusal? {
        guard let most = limits.perSource, let address else { return nil }
        let source = limits.sourcePrefix.source(of: address)
        guard perSource[source, default: 0] >= most else { return nil }
        return refuse(.perSource, "--max-per-source \(most) is reached by \(source)", using: &random)
    }

    private mutating func refuseForConnections(using random: inout some RandomNumberGenerator) -> Refusal {
        refuse(.connections, "--max-connections \(limits.connections) is reached", using: &random)
    }

    /// The limits of how fast connections come.
    @inline(__always) private mutating func judgePace(
        at now: Instant, using random: inout some RandomNumberGenerator, hasGreeted: (Int) -> Bool
    ) -> Refusal? {
        if let limit = limits.handshakes {
            let percentage = limit.refusedPercentage(at: handshakes(from: limit.start, hasGreeted))
            if percentage > 0, Int.random(in: 0..<100, using: &random) < percentage {
                let detail = "--max-handshakes \(limit): \(greeting.count) clients have not said HELLO"
                return refuse(.handshakes, detail, using: &random)
            }
        }
        // The last: a client that is refused for another reason costs no token.
        if !(rate?.spend(at: now) ?? true), let next = rate?.nextToken(at: now) {
            return refuse(.rate, "--max-rate \(limits.rate ?? 0) is reached", wait: next - now, using: &random)
        }
        return nil
    }

    /// Refuses a client, also for a reason that is not judged here, and counts it.
    mutating func refuse(
        _ reason: Reason, _ detail: String = "", wait: Duration = .zero,
        using random: inout some RandomNumberGenerator
    ) -> Refusal {
        refused[reason, default: 0] += 1
        // A client of this address need not try again at all.
        guard reason.code != .unauthorized else { return Refusal(reason: reason, detail: detail, retryAfter: 0) }
        let wait = min(max(wait, Admission.shortestWait), Admission.longestWait)
        // Clients that were refused together shall not return together.
        let spread = max(Admission.shortestWait, wait / 4)
        let milliseconds = UInt32((wait / .milliseconds(1)).rounded(.up))
        let chance = UInt32.random(in: 0...UInt32(spread / .milliseconds(1)), using: &random)
        return Refusal(reason: reason, detail: detail, retryAfter: milliseconds + chance)
    }

    private func isExempt(_ address: UInt128) -> Bool { limits.exempt.contains { $0.contains(address) } }

    private mutating func handshakes(from start: Int, _ hasGreeted: (Int) -> Bool) -> Int {
        if greeting.count >= start { greeting = greeting.filter { !hasGreeted($0) } }
        return greeting.count
    }

    // MARK: Children

    /// A client of this address has got a process.
    mutating func began(_ address: UInt128?, slot: Int) {
        connections += 1
        if let address { countSource(address) }
        if limits.handshakes != nil { greeting.insert(slot) }
    }

    @inline(__always) private mutating func countSource(_ address: UInt128) {
        guard limits.perSource != nil else { return }
        perSource[limits.sourcePrefix.source(of: address), default: 0] += 1
    }

    /// The connection is over.
    mutating func ended(_ address: UInt128?, slot: Int, failedHandshake: Bool, at now: Instant) {
        connections -= 1
        greeting.remove(slot)
        guard let address else { return }
        let source = limits.sourcePrefix.source(of: address)
        if let count = perSource[source] { perSource[source] = count > 1 ? count - 1 : nil }
        if failedHandshake, !isExempt(address) { penalties.failed(source, at: now) }
    }

    /// Lifts the penalties of all sources that have an address of the range. Returns how many had one.
    mutating func lift(_ range: AddressRange, at now: Instant) -> Int { penalties.lift(range, at: now) }

    // MARK: Pressure

    /// How long the next client may take for its handshake. From three quarters of `--max-connections` on it shrinks
    /// evenly, down to a tenth of `--handshake-timeout`, but not below a second.
    var handshakeTimeout: Duration {
        let whole = limits.handshakeTimeout
        let left = Double(limits.connections - connections) / (Double(limits.connections) / 4)
        guard left < 1 else { return whole }
        let least = min(whole, max(whole / 10, .seconds(1)))
        return least + (whole - least) * max(0, left)
    }

    /// How long a back-end may take for its handshake: the pressure of clients is none of its own.
    var backEndHandshakeTimeout: Duration { limits.handshakeTimeout }

    /// The same for a proxy's connection: its header may be lost once and be sent again, which TCP does after up to 3 s
    /// (RFC 6298), and no pressure takes that away.
    var proxyHandshakeTimeout: Duration { max(handshakeTimeout, .seconds(3)) }
}

extension Admission.Reason {
    /// What CLOSE says.
    var code: Code {
        switch self {
        case .address, .proxyFrom: .unauthorized
        case .shutdown: .shuttingDown
        default: .busy
        }
    }

    /// The sentence in CLOSE.
    var text: String {
        switch self {
        case .address: "clients of this address are not let in"
        case .proxyFrom: "this listener takes connections of its proxies alone"
        case .penalty: "too many handshakes of this address have failed"
        case .connections: "the server has as many connections as it may"
        case .perSource: "this address has as many connections as it may"
        case .handshakes: "too many clients have not said HELLO"
        case .rate: "too many clients come at once"
        case .backEnds: "the server has as many connections of back-ends as it may"
        case .processes: "the server cannot start a process now"
        case .descriptors: "the server is out of descriptors"
        case .shutdown: "the server is shutting down"
        }
    }
}
