import Basics

/// Penalty time per source. Each failed handshake adds 10 s; it decays in real time. Above 60 s the source is refused.
/// A source that fails less than once in ten seconds never is.
///
/// The number of sources has a bound. Where there is no room, the smallest debts are forgotten: to be forgotten, a
/// source has to fail more often from each of thousands of others.
struct Penalties {
    /// The penalty time of one source.
    struct Debt: Equatable {
        let source: SourceNetwork
        /// How long until nothing is left of it.
        let left: Duration
        /// How long the source is refused; zero where it is not.
        let refused: Duration
    }

    static let perFailure = Duration.seconds(10)
    static let tolerated = Duration.seconds(60)
    /// No debt is longer, however often a source fails.
    static let longest = Duration.seconds(300)

    private let mostSources: Int
    /// When each source has no penalty time left.
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

    /// Lifts the penalties of all sources that have an address of the range. Returns how many had one.
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
