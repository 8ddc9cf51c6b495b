import Basics

/// What sources owe for handshakes that failed: each costs ten seconds, which pass by themselves. Whoever owes more than
/// a minute is refused until that is no longer so; whoever fails less than once in ten seconds never is.
///
/// What is remembered has a bound, and nobody can buy himself out of it: where there is no room the smallest debts are
/// forgotten, so to be forgotten one has to fail more often from each of thousands of other sources.
struct Penalties {
    /// A source that owes something.
    struct Debt: Equatable {
        let source: SourceNetwork
        /// How long it is until nothing is left of it.
        let left: Duration
        /// How long it is refused; zero where it is not.
        let refused: Duration
    }

    static let perFailure = Duration.seconds(10)
    static let tolerated = Duration.seconds(60)
    /// Nobody owes more, however often he fails.
    static let longest = Duration.seconds(300)

    private let mostSources: Int
    /// When each source will owe nothing.
    private var paidAt: [SourceNetwork: Instant] = [:]

    init(mostSources: Int = 16384) { self.mostSources = mostSources }

    /// How many sources are remembered.
    var count: Int { paidAt.count }

    /// A client of this source has failed the handshake.
    mutating func failed(_ source: SourceNetwork, at now: Instant) {
        let old = paidAt[source]
        if old == nil, paidAt.count >= mostSources { makeRoom(at: now) }
        paidAt[source] = min(max(old ?? now, now) + Penalties.perFailure, now + Penalties.longest)
    }

    /// How long clients of this source are refused; nil where they are not.
    func refused(_ source: SourceNetwork, at now: Instant) -> Duration? {
        guard let paidAt = paidAt[source] else { return nil }
        let refused = paidAt - now - Penalties.tolerated
        return refused > .zero ? refused : nil
    }

    /// The debts, the greatest first.
    func debts(at now: Instant) -> [Debt] {
        paidAt.filter { $0.value > now }.sorted { $0.value > $1.value }.map { source, paidAt in
            Debt(source: source, left: paidAt - now, refused: refused(source, at: now) ?? .zero)
        }
    }

    /// Forgives all sources that have an address of the range; how many owed something.
    mutating func lift(_ range: AddressRange, at now: Instant) -> Int {
        let lifted = paidAt.filter { range.overlaps($0.key) }
        for source in lifted.keys { paidAt[source] = nil }
        return lifted.count { $0.value > now }
    }

    /// A quarter at a time, so that the sorting is paid by thousands of failures.
    private mutating func makeRoom(at now: Instant) {
        paidAt = paidAt.filter { $0.value > now }
        let kept = mostSources - max(1, mostSources / 4)
        guard paidAt.count > kept else { return }
        let greatest = paidAt.sorted { $0.value > $1.value }.prefix(kept)
        paidAt = Dictionary(uniqueKeysWithValues: greatest.map { ($0.key, $0.value) })
    }
}
