/// What has to be sent, by whom and when: the same for all connections.
struct Load {
    let options: LoadOptions
    /// Whether requests may be begun.
    var isOn = false
    /// `--silent`: whether the connections are to say nothing any more.
    var isSilenced = false
    /// How many may be begun yet.
    var budget = UInt64.max
    /// The first request was due then, in an open loop.
    var start = Nanoseconds.zero
    /// Requests that have become due, in an open loop.
    var due: UInt64 = 0
    /// Of these, for SHORT, those that have a connection.
    var taken: UInt64 = 0

    var isOpenLoop: Bool { options.rate != nil }

    /// When request `number` (from 0) is due.
    func instant(of number: UInt64) -> Nanoseconds { start + .seconds(Double(number) / (options.rate ?? 1)) }
}
