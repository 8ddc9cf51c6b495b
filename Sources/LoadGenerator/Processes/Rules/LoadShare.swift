extension LoadOptions {
    /// The load of process `index`, from 0, of `count` that make the whole together. There are at least as many connections
    /// as processes.
    ///
    /// Requests of an open loop are due by turns in each process, so that all of them are evenly spaced: see `Load.phase`.
    func share(of index: Int, in count: Int) -> LoadOptions {
        func part(_ whole: UInt64) -> UInt64 {
            whole / UInt64(count) + (UInt64(index) < whole % UInt64(count) ? 1 : 0)
        }
        var share = self
        share.connections = Int(part(UInt64(connections)))
        share.requests = requests.map(part)
        share.rate = rate.map { $0 / Double(count) }
        share.connectRate = connectRate.map { $0 * Double(share.connections) / Double(connections) }
        share.seed = seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15
        return share
    }
}
