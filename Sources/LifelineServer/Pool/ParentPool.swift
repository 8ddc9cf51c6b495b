import Basics
import Posix

/// What the parent does with children that it forks ahead, `--pool`.
extension Parent {
    /// So many are forked in a turn of the loop: clients that come meanwhile wait for no more.
    private static var forkedAtOnce: Int { 4 }

    /// Gives the connection to a child that waits; false where there is none, and it needs a process of its own. The
    /// caller's copy of it is to be closed.
    func handOver(_ connection: borrowing Descriptor, of peer: SocketAddress, at now: Instant) -> Bool {
        guard let crew else { return false }
        while let member = crew.next() {
            slots.clear(member.slot)
            orders.clear(member.slot)
            guard crew.give(connection, words(for: peer, at: now), to: member, at: now) else { continue }
            began(member.pid, member.slot, peer: peer, at: now)
            return true
        }
        return false
    }

    /// Children that are done with their connections have none any more, where they stay, or are about to end.
    func collect(at now: Instant) {
        done.takeAll(below: children.end) { slot in
            guard let pid = children.markDone(slot) else { return }
            guard let crew, crew.takeBack(pid) else { return leaving.append(pid) }
            guard let record = children.remove(pid) else { return }
            ended(record, failedHandshake: false, at: now)
        }
    }

    /// Forks children that are to wait. Returns whether there should be more: they follow in the next turn.
    func forkAhead() -> Bool {
        guard let crew, shutdown.isServing else { return false }
        for _ in 0..<Parent.forkedAtOnce {
            let now = Instant.now
            guard crew.missing(at: now) > 0 else { return false }
            let slot = takeSlot()
            do throws(SystemError) {
                let channel = try DescriptorChannel()
                listOwnDescriptors()
                switch try forkProcess() {
                case .child: becomePoolChild(channel.onlyTaking(), slot: slot)
                case .parent(let pid): crew.add(pid, slot: slot, channel.onlyGiving())
                }
            } catch {
                slots.giveBack(slot)
                crew.failed(at: now)
                if error.call == "fork" { look.count(fork: error) }
                reportTrouble("fork failed", error)
                return false
            }
        }
        return crew.missing(at: .now) > 0
    }

    /// What follows runs in the new process alone.
    private func becomePoolChild(_ channel: consuming Descriptor, slot: Int) -> Never {
        begin()
        do throws(SystemError) {
            try PooledProcess(channel, signals: childSignals, most: options.poolReuse, log: log, title: title).run {
                connection, words in
                var child = child(connection, words, slot: slot)
                return (child.run(), child.hasLeftNothing)
            } isDone: {
                done.make(slot)
            }
        } catch {
            log.write(.error, "child failed") {
                $0.number("pid", processID)
                $0.text("text", "\(error)")
            }
            exitProcess(1)
        }
    }

    /// A child of the pool was reaped that had no connection.
    func leftPool(_ member: ProcessPool.Reaped, _ ended: Ended, at now: Instant) {
        slots.giveBack(member.slot)
        // Who was let go has left as it should.
        if member.hasWaited { crew?.failed(at: now) }
        guard ended.status != 0 else { return }
        log.write(.warning, "waiting child died") {
            $0.number("pid", ended.pid)
            $0.how(ended)
        }
    }
}
