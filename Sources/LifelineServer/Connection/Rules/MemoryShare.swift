/// How much one connection may hold of a budget that all connections share: as much as is free.
///
/// So those that hold most are refused first, a newcomer gets in, and `n` connections that want more than there is hold
/// one part each of `n + 1` (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
/// IEEE/ACM Transactions on Networking, 1998).
struct MemoryShare: Equatable {
    /// The part of the budget below which much is free again, after a refusal.
    private static let freeAgain = 4

    /// What a client may be offered for messages before it has sent any. A client that stays idle keeps it.
    static let firstCredit = 16384
    /// The part of the budget that one client may be offered at most, so that many who were offered much can exceed it by
    /// little.
    private static let offered = 64

    /// What the others leave of the budget.
    private var left: Int
    /// The most that one client is offered.
    private(set) var mostOffered = Int.max

    /// There is no budget.
    static let unlimited = MemoryShare(left: .max)

    private init(left: Int) { self.left = left }

    /// A share of `budget`, of which all together hold `total`, and this connection `own` of that.
    init(of budget: Int, total: Int, own: Int) {
        left = budget - max(0, total - own)
        mostOffered = max(budget / MemoryShare.offered, MemoryShare.firstCredit)
    }

    @inline(__always) var isLimited: Bool { left != .max }

    /// Whether a connection that holds `own` may hold `size` bytes more.
    @inline(__always) func allows(_ size: Int, holding own: Int) -> Bool { own + size <= left - own }

    /// How many bytes more a connection may hold that holds `own`.
    @inline(__always) func room(holding own: Int) -> Int { max(0, left - own - own) }

    /// How much of `window` a connection that holds `own` may offer its client for messages.
    ///
    /// One that holds nothing always offers room for a message, so that no client waits for what others hold. What a
    /// client was told is not taken back: the budget may be exceeded by what each was told, and one message of each.
    func window(_ window: Int, holding own: Int) -> Int {
        let window = min(window, mostOffered)
        let room = min(window, room(holding: own))
        return own == 0 ? max(room, min(window, 1)) : room
    }

    /// Whether much of the budget is free, so that a next refusal is news.
    static func isFree(total: Int, budget: Int) -> Bool { total <= budget / freeAgain }
}
