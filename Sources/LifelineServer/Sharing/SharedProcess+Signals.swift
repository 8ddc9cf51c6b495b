import Basics
import Posix

// What the parent and operators say to all connections, or to one.
extension SharedProcess {
    /// Handles the signals that have come; false where the process is to end now.
    func handleSignals() -> Bool {
        while let (signal, _) = context.signals.next() {
            switch signal {
            case Signal.terminate: terminate()
            case Signal.quit:
                quit()
                return false
            case Signal.reopen: context.log.reopen()
            case Signal.resumed: machineResumed()
            case Signal.call:
                housekeeping.isCalled = true
                if !isTerminating { readInboxesOfReceptions() }
            default: break
            }
        }
        return true
    }

    private func forEachConnection(_ body: (ConnectionPointer) -> Void) {
        for place in connections.indices {
            if let connection = connections[place] { body(connection) }
        }
    }

    /// SIGTERM: every connection ends in an orderly way, and no further one comes.
    private func terminate() {
        isTerminating = true
        context.board.isLeaving = true
        channel?.refuseMore()
        forEachConnection { connection in
            connection.pointee.lastReads = SharedConnection.LastReads(command: .end)
            enqueue(connection)
        }
        endReceptions(hurries: false)
    }

    /// SIGQUIT: every connection ends at once. All clients are told before the first line is written to the log.
    private func quit() {
        now = .now
        forEachConnection { connection in
            connection.pointee.driver.crashNotice?.blame()
            connection.pointee.driver.quit(at: now)
            connection.pointee.driver.write(at: now)
            if connection.pointee.driver.isDoneSending { connection.pointee.driver.endWriting() }
        }
        now = .now
        forEachConnection { connection in
            connection.pointee.driver.crashNotice?.blame()
            if connection.pointee.driver.isDoneSending { connection.pointee.driver.finishSending() }
            connection.pointee.driver.reportEnd()
            // With unread bytes the socket would be reset, and what was just sent be lost.
            readWhatHasCome(connection)
            end(connection)
        }
        CrashNotice.blameNone()
        endReceptions(hurries: true)
    }

    /// The machine was suspended: each client has to prove that it is there.
    private func machineResumed() {
        now = .now
        forEachConnection { connection in
            connection.pointee.driver.machineResumed(at: now)
            // It is judged in its turn.
            connection.pointee.firesAt = nil
            enqueue(connection)
        }
    }

    // MARK: Commands

    /// Looks at the inboxes of all connections, where the parent has written to some.
    func readInboxes() {
        let commandCount = context.inbox.commandCount
        guard commandCount != housekeeping.commandCount else { return }
        housekeeping.commandCount = commandCount
        forEachConnection(obey)
    }

    /// Carries out what the parent has said of a connection.
    func obey(_ connection: ConnectionPointer) {
        guard let command = connection.pointee.takeCommand() else { return }
        if command == .kick {
            connection.pointee.lastReads = nil
            connection.pointee.driver.end(command, at: .now)
        } else {
            // The requests that have come are answered.
            connection.pointee.lastReads = SharedConnection.LastReads(command: command)
        }
        enqueue(connection)
    }
}
