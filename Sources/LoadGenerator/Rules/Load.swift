/// The requests that are to be sent, and when: one state for all connections.
struct Load {
    let options: LoadOptions
    /// Whether new requests may begin.
    var isOn = false
    /// `--silent`: whether all connections have to fall silent.
    var isSilenced = false
    /// The number of requests that may still begin.
    var budget = UInt64.max
    /// Open loop: the instant at which the first request was due.
    var start = Nanoseconds.zero
    /// Open loop of several processes: how much later than `start` the first request of this one is due.
    var phase = Nanoseconds.zero
    /// Open loop: requests that have become due.
    var due: UInt64 = 0
    /// Open loop of SHORT connections: due requests that have a connection.
    var connected: UInt64 = 0

    var isOpenLoop: Bool { options.rate != nil }

    /// The instant at which request `number` (from 0) is due.
    func instant(of number: UInt64) -> Nanoseconds { start + phase + .seconds(Double(number) / (options.rate ?? 1)) }
}
