import Basics
import Posix

/// The router, as the parent knows it: forked before the first connection, and again when it has died.
///
/// The parent holds nothing of what the router knows. A new router learns it from the processes, which come back by
/// themselves.
final class RouterSupervisor {
    /// What it shows of itself.
    let board: RouterBoard
    let lobby: RouterLobby
    private var pause = RouterPause()
    private(set) var pid: ProcessID?
    /// How many have died.
    private(set) var deaths: UInt64 = 0
    /// What those that have died had counted.
    private var past = RouterCounts()

    /// Throws what socketpair(2) and mmap(2) do.
    init(in descriptors: ParentDescriptors) throws(SystemError) {
        board = try RouterBoard()
        lobby = try RouterLobby(in: descriptors)
    }

    /// What there is now, and what all routers have counted.
    var counts: RouterCounts {
        var counts = board.counts
        counts.add(sumsOf: past)
        return counts
    }

    /// When the next one is to be forked; nil where one runs.
    var deadline: Instant? { pid == nil ? pause.until : nil }

    /// Forks a router where there is none, and it is time.
    func resumed(_ launcher: ChildLauncher, log: Log, at now: Instant) {
        guard pid == nil, pause.isOver(at: now) else { return }
        do throws(SystemError) {
            let exit = try lobby.exitForRouter()
            pid = try launcher.launch(.router, slot: -1, exit)
            pause.began(at: now)
            log.write(.routerStarted) { $0.number(.pid, pid ?? 0) }
        } catch {
            pause.ended(at: now)
            log.write(failure: .forkFailed, error)
        }
    }

    /// A child was reaped. Whether it was the router.
    func exited(_ ended: Ended, log: Log, at now: Instant) -> Bool {
        guard ended.pid == pid else { return false }
        pid = nil
        deaths += 1
        pause.ended(at: now)
        past.add(sumsOf: board.counts)
        board.counts = RouterCounts()
        log.write(.routerDied) {
            $0.number(.pid, ended.pid)
            $0.addExit(ended)
            $0.seconds(.pause, (pause.until ?? now) - now)
        }
        return true
    }

    /// Ends it: every connection is over, and it has nothing that anybody needs.
    func end() {
        guard let pid else { return }
        sendSignal(Signal.kill, to: pid)
        awaitEnd(of: pid)
        self.pid = nil
    }
}
