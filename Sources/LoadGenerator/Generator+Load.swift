/// Requests at a fixed rate, and connections that are cut.
extension Generator {
    /// Begins the requests of an open loop that are due.
    mutating func startDueRequests(at now: Nanoseconds) {
        // At most 256 at a time, so that answers are read in between.
        for _ in 0..<256 {
            guard load.instant(of: load.due) <= now, load.budget > 0 else { break }
            let index = Int(load.due % UInt64(options.connections))
            load.due += 1
            if !options.isShort {
                connections[index].requestBecameDue()
                flush(index, at: now)
            }
        }
        while options.isShort, load.connected < load.due, load.budget > 0, let index = idle.popLast() {
            load.connected += 1
            connect(index, due: load.instant(of: load.connected - 1), at: now)
        }
    }

    /// The instant of cut `number`, from 0.
    func cutInstant(_ number: UInt64) -> Nanoseconds {
        counters.measuredFrom + .seconds(Double(number) / (options.churn / 100 * Double(options.connections)))
    }

    /// Cuts a random open connection: by turns with a reset, and with an end of stream without CLOSE.
    mutating func cutConnection(at now: Nanoseconds) {
        cuts += 1
        let start = Int(random.next() % UInt64(options.connections))
        for step in 0..<options.connections {
            let index = (start + step) % options.connections
            guard connections[index].phase == .open else { continue }
            if cuts % 2 == 0 {
                sockets[index].resetWhenClosed()
                counters.cutByReset += 1
            } else {
                counters.cutByClose += 1
            }
            connections[index].end(.cut, &counters, profile)
            return closeSocket(index, at: now)
        }
    }
}
