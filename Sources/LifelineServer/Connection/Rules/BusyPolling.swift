/// Adaptive busy polling: after an answer the child reads the socket again before it sleeps in poll(2).
///
/// The child yields the processor before each read. Where more processes want to run than there are processors, the
/// client has spoken when the child's turn has come again. Where a processor is free, a client on the same machine has
/// spoken within microseconds. Both spare the child a sleep and a wake-up. A client that is far away, or thinks, has
/// said nothing: the child finds that out by trying, tries ever more seldom, and not at all while the client takes its
/// time.
///
/// Without it 256 connections get 30 % fewer answers, and a request takes 9 to 16 % more processor time
/// (tools/dev/cost --mode long --connections 256).
struct BusyPolling {
    /// After this many answers in a row the child asks poll(2) in any case, which tells of signals too.
    static let most = 16
    /// This many misses in a row show that polling does not pay.
    static let patience = 16
    /// How many waits pass before the child tries again: the first bound at first, and twice as many after each miss.
    /// It begins soon. Where many processes poll it pays for each of them, and where many wait, for none.
    static let rest = 8...1024
    /// This many reads, where no other process wants to run, take about as long as a wake-up by the kernel.
    static let mostReads = 64
    /// A read that took longer than `quick` had other processes run before it, and counts as this many.
    static let costOfTurn = 16
    static let quick = Duration.microseconds(5)
    /// The longest time of polling. What is there later has waited for its turn among too many processes, and a wake-up
    /// would have come sooner. Nor would polling have spared a longer wait.
    static let longest = Duration.milliseconds(4)

    private var row = 0
    private var misses = 0
    private var waits = 0
    private var rest = BusyPolling.rest.lowerBound
    /// How many reads at most: one at first, for most clients do not answer within microseconds.
    private var allowed = 1
    /// The reads since the answer, and the time that they took.
    private var reads = 0
    private var time = Duration.zero

    /// Returns whether to yield and read now that the child has answered. Each read is then reported to `polled`.
    mutating func shouldBusyPoll() -> Bool {
        let pays = misses < BusyPolling.patience
        guard row < BusyPolling.most, pays || waits >= rest else {
            row = 0
            return false
        }
        row += 1
        (reads, time) = (0, .zero)
        if !pays { allowed = BusyPolling.mostReads }
        return true
    }

    /// Returns whether to read once more after a read that took `time`, the yield included, and found something or not.
    mutating func polled(_ isThere: Bool, for time: Duration) -> Bool {
        reads += time <= BusyPolling.quick ? 1 : BusyPolling.costOfTurn
        self.time += time
        let isTimely = self.time < BusyPolling.longest
        if !isThere, reads < allowed, isTimely { return true }
        if isThere, isTimely {
            misses = 0
            allowed = min(2 * allowed, BusyPolling.mostReads)
            rest = BusyPolling.rest.lowerBound
        } else {
            if misses >= BusyPolling.patience { rest = min(2 * rest, BusyPolling.rest.upperBound) }
            misses += 1
        }
        if !isThere { row = 0 }  // It waits now.
        waits = 0
        return false
    }

    /// Records that the child slept in poll(2) for `time`.
    mutating func waited(for time: Duration) { waits = time <= BusyPolling.longest ? waits + 1 : 0 }
}
