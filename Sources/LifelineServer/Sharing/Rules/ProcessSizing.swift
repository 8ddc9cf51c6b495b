import Basics

/// Decides how many shared processes there are, and which of them gets the next connection.
struct ProcessSizing {
    /// One that has had no connection for this long leaves, where others are enough.
    static let longestEmpty = Duration.seconds(10)

    /// How many connections each serves at most.
    let most: Int
    /// How many there are from the start on; nil where one is forked when a client finds none with room.
    private let ahead: PoolSize?
    private let maxAge: Duration?
    var pause = ForkPause()

    /// - Parameters:
    ///   - most: How many connections a process serves at most at a time.
    ///   - ahead: How many processes are forked ahead of need.
    ///   - maxAge: How old a process becomes that gets connections.
    init(most: Int, ahead: PoolSize?, maxAge: Duration?) {
        self.most = most
        self.ahead = ahead
        self.maxAge = maxAge
    }

    /// How many are to get connections, where `connections` are spread over them: each is three quarters full at most, as long
    /// as that can be. Others empty by themselves.
    func wanted(for connections: Int) -> Int {
        max(ahead?.least ?? 1, (4 * connections + 3 * most - 1) / (3 * most))
    }

    /// How many are to be forked ahead now: as many as there are at least, or one where a quarter of a process is all the room
    /// that is left.
    ///
    /// - Parameters:
    ///   - processes: How many get connections.
    ///   - connections: How many connections these have.
    ///   - now: The instant of the turn.
    mutating func missing(processes: Int, connections: Int, at now: Instant) -> Int {
        guard let ahead else { return 0 }
        let isShort = processes < ahead.most && processes * most - connections <= most / 4
        let missing = max(ahead.least - processes, isShort ? 1 : 0)
        return missing <= 0 || pause.isOn(at: now) ? 0 : missing
    }

    /// What a process with so many connections, whose loop is busy for `load` thousandths of the time, has taken of its room:
    /// the one with the least gets the next connection.
    func score(connections: Int, load: Int) -> Int { connections * 1_000_000 / most + load * 1000 }

    /// When a process that starts now gets no connections any more, and is replaced: up to a tenth earlier than the greatest
    /// age, at random, so that not all are replaced at once.
    func leavesAt(startedAt: Instant, random: Double) -> Instant? {
        maxAge.map { startedAt + $0 * (1 - random / 10) }
    }

    /// Whether one that has been empty since `emptySince` is to leave, where `processes` get connections.
    func isSurplus(emptySince: Instant, processes: Int, at now: Instant) -> Bool {
        processes > (ahead?.least ?? 0) && now - emptySince >= ProcessSizing.longestEmpty
    }
}
