/// Adaptive busy polling: after an answer the child reads the socket again before it sleeps in poll(2).
///
/// The child yields the processor before each read. Where more processes want to run than there are processors, the
/// client has spoken when the child's turn has come again. Where a processor is free, a client on the same machine has
/// spoken within microseconds. Both spare the child a sleep and a wake-up. A client that is far away, or thinks, has
/// said nothing: the child finds that out by trying, tries ever more seldom, and not at all while the client takes its
/// time.
///
/// A child that yields goes behind every other program (sched_yield(2)), and gets its turn back after a whole time slice
/// of theirs. Children of one server yield to each other, and that takes microseconds for each. So a turn that took longer
/// than the server's own connections need shows that another program wants the processor: the child stops at once.
///
/// Without it 256 connections get 30 % fewer answers, and a request takes 9 to 16 % more processor time
/// (tools/dev/cost --mode long --connections 256). Beside two busy programs 32 connections get half the answers without
/// the bound on a turn (tools/dev/bench/run --rows busy-32).
struct BusyPolling {
    /// After this many answers in a row the child asks poll(2) in any case, which tells of signals too.
    static let most = 16
    /// This many misses in a row show that polling does not pay.
    static let patience = 16
    /// How many waits pass before the child tries again: the first bound at first, twice as many after each try, and twice
    /// as many again where turns were late, which cost more than reads in vain. It begins soon. Where many processes poll
    /// it pays for each of them, and where many wait, for none.
    static let rest = 8...1024
    /// This many reads, where no other process wants to run, take about as long as a wake-up by the kernel.
    static let mostReads = 64
    /// A read that took longer than `quick` had other processes run before it, and counts as this many.
    static let costOfTurn = 16
    static let quick = Duration.microseconds(5)
    /// A turn of each connection takes less, its client's part included; where a handler needs longer, polling spares it
    /// next to nothing.
    static let turn = Duration.microseconds(40)
    /// The bounds of `longest(among:)`. What is there later than the second has waited for its turn among too many
    /// processes, and a wake-up would have come sooner. Nor would polling have spared a longer wait.
    static let longest = Duration.microseconds(250)...Duration.milliseconds(4)
    /// How much a late turn weighs against one in time, and the doubt at which the child rests. It begins in doubt, so
    /// the first late turn ends the first try; later one in five may be late.
    static let weightOfLate = 4
    static let mostDoubt = 16

    private var row = 0
    private var misses = 0
    private var waits = 0
    private var rest = BusyPolling.rest.lowerBound
    private var doubt = BusyPolling.mostDoubt - BusyPolling.weightOfLate
    /// How many reads at most: one at first, for most clients do not answer within microseconds.
    private var allowed = 1
    /// The reads since the answer, the time that they took, and the longest that they may take.
    private var reads = 0
    private var time = Duration.zero
    private var longest = BusyPolling.longest.upperBound

    /// The longest time of polling in a server with this many connections.
    static func longest(among connections: Int) -> Duration {
        let all = turn * min(connections, 1000)
        return min(max(all, longest.lowerBound), longest.upperBound)
    }

    /// Returns whether to yield and read now that the child has answered. Each read is then reported to `polled`.
    ///
    /// - Parameter connections: How many the server has.
    mutating func shouldBusyPoll(among connections: Int) -> Bool {
        let pays = misses < BusyPolling.patience
        guard row < BusyPolling.most, pays || waits >= rest else {
            row = 0
            return false
        }
        row += 1
        (reads, time) = (0, .zero)
        longest = BusyPolling.longest(among: connections)
        if !pays {
            allowed = BusyPolling.mostReads
            lengthenRest()
            doubt = BusyPolling.mostDoubt - BusyPolling.weightOfLate
        }
        return true
    }

    /// Returns whether to read once more after a read that took `time`, the yield included, and found something or not.
    mutating func polled(_ isThere: Bool, for time: Duration) -> Bool {
        reads += time <= BusyPolling.quick ? 1 : BusyPolling.costOfTurn
        self.time += time
        let isTimely = self.time < longest
        if !isThere, reads < allowed, isTimely { return true }
        if !isTimely {
            doubt += BusyPolling.weightOfLate
            misses += 1
            if doubt >= BusyPolling.mostDoubt {
                misses = BusyPolling.patience
                lengthenRest()
            }
        } else if isThere {
            misses = 0
            allowed = min(2 * allowed, BusyPolling.mostReads)
            if doubt > 0 { doubt -= 1 }
            // What has paid that often may be tried soon after the next rest.
            if doubt == 0 { rest = BusyPolling.rest.lowerBound }
        } else {
            misses += 1
        }
        if !isThere { row = 0 }  // It waits now.
        waits = 0
        return false
    }

    private mutating func lengthenRest() { rest = min(2 * rest, BusyPolling.rest.upperBound) }

    /// Records that the child slept in poll(2) for `time`.
    mutating func waited(for time: Duration) { waits = time <= BusyPolling.longest.upperBound ? waits + 1 : 0 }
}
