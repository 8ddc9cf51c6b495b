/// Whether a child that has answered looks for what its client says next before it waits in poll(2), and for how long.
///
/// Before each look others get a turn. Where more processes want to run than there are processors, the client has
/// spoken when the child's own turn has come again; where a processor is free, a client on the same machine has within
/// some microseconds. Neither a wait nor a waking up is paid for then. Of one that is far away, or thinks, nothing is
/// there: that is found out by trying, and tried ever more seldom, and not at all while it takes its time.
struct BusyPolling {
    /// After so many answers in a row poll(2) is asked in any case, for it tells of signals too.
    static let most = 16
    /// So many times nothing, one after another, show that it does not pay.
    static let patience = 16
    /// It is tried again after so many waits, if nothing was there after twice as many, and so on. It begins soon: where
    /// many processes look, it pays for each of them, and where many wait, for none.
    static let rest = 8...1024
    /// So many looks, where nobody else wants to run, take about as long as to be woken up by the kernel.
    static let mostLooks = 64
    /// A look that took longer than `quick` had others run before it, and counts as so many.
    static let costOfTurn = 16
    static let quick = Duration.microseconds(5)
    /// Nothing is looked for any longer: what is there later than that has waited for its turn among too many, and would
    /// have been woken up sooner. Nor would a look have spared a wait that was longer.
    static let longest = Duration.milliseconds(4)

    private var row = 0
    private var misses = 0
    private var waits = 0
    private var rest = BusyPolling.rest.lowerBound
    /// How many looks at most: one at first, for most connections are not of that kind.
    private var allowed = 1
    /// Those since it has answered, and the time that they took.
    private var looks = 0
    private var time = Duration.zero

    /// It has answered: whether to give others a turn now and look. Then `looked` is told; if not it waits.
    mutating func mayLook() -> Bool {
        let pays = misses < BusyPolling.patience
        guard row < BusyPolling.most, pays || waits >= rest else {
            row = 0
            return false
        }
        row += 1
        (looks, time) = (0, .zero)
        if !pays { allowed = BusyPolling.mostLooks }
        return true
    }

    /// It has looked, which took `time` with the turn of others before it, and what the client said next was there or was
    /// not: whether to look again.
    mutating func looked(_ isThere: Bool, for time: Duration) -> Bool {
        looks += time <= BusyPolling.quick ? 1 : BusyPolling.costOfTurn
        self.time += time
        let isTimely = self.time < BusyPolling.longest
        if !isThere, looks < allowed, isTimely { return true }
        if isThere, isTimely {
            misses = 0
            allowed = min(2 * allowed, BusyPolling.mostLooks)
            rest = BusyPolling.rest.lowerBound
        } else {
            if misses >= BusyPolling.patience { rest = min(2 * rest, BusyPolling.rest.upperBound) }
            misses += 1
        }
        if !isThere { row = 0 }  // It waits now.
        waits = 0
        return false
    }

    /// It has waited for so long.
    mutating func waited(for time: Duration) { waits = time <= BusyPolling.longest ? waits + 1 : 0 }
}
