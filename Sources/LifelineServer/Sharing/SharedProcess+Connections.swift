import Basics
import Posix

// How connections come and go.
extension SharedProcess {
    /// How many messages of the channel a turn takes at most: connections that are there wait meanwhile.
    private static let mostMessages = 4

    /// Takes the connections that have come.
    func receive() {
        for _ in 0..<SharedProcess.mostMessages {
            guard receiveMessage() else { return }
        }
    }

    /// Takes one message of the channel; false where none waits.
    private func receiveMessage() -> Bool {
        do throws(SystemError) {
            guard isChannelOpen,
                var received = try channel?.takeSeveral(into: UnsafeMutableRawBufferPointer(assignments))
            else { return false }
            guard received.bytes > 0 else {
                closeChannel()
                return false
            }
            let sent = received.bytes / MemoryLayout<ConnectionAssignment>.stride
            context.board.taken &+= UInt32(sent)
            for index in 0..<sent {
                let assignment = assignments[index]
                if let socket = received.takeNext() {
                    begin(socket, assignment)
                } else {
                    lose(assignment)
                }
            }
            return true
        } catch {
            // The parent learns of it as it gives the next one, and has this process's slots back when it ends.
            context.log.write(.childFailed) {
                $0.number(.pid, processID)
                $0.text(.text, "\(error)")
            }
            context.board.isLeaving = true
            closeChannel()
            return false
        }
    }

    /// A connection's descriptor was lost on its way, because this process has no room for it (RLIMIT_NOFILE).
    private func lose(_ assignment: ConnectionAssignment) {
        let slot = context.registry.slot(Int(assignment.slot))
        let reason = CloseReason.lost("the process has no descriptor left for it")
        slot.closeReason = CloseReasonLabel.numbers(of: reason)
        context.log.writeUnserved(assignment, reason, at: .warning) { $0.address(.peer, assignment.peer) }
        slot.isFinished = true
        context.registry.markCompleted(Int(assignment.slot))
        // Others would be lost too.
        context.board.isLeaving = true
    }

    private func begin(_ socket: consuming Descriptor, _ assignment: ConnectionAssignment) {
        if assignment.beginsWithHeader {
            receive(socket, assignment)
        } else {
            serve(socket, assignment, nil, in: takePlace())
        }
    }

    /// Serves a connection from its first byte on.
    func serve(
        _ socket: consuming Descriptor, _ assignment: ConnectionAssignment, _ client: ProxiedClient?, in place: Int
    ) {
        let slotNumber = Int(assignment.slot)
        let slot = context.registry.slot(slotNumber)
        let notice =
            place < mostNotices ? notices.notice(place, to: socket, sizeAt: slot.crashSizeAddress) : nil
        notice?.blame()
        let host = HandlerHost(for: Int32(place), in: wakeups, threads, notice, tie: tie)
        let runner = context.makeRunner(host, socket, assignment, client)
        let transport = ServerTransport.plain(socket)
        let connection = ConnectionPointer.allocate(capacity: 1)
        connection.initialize(
            to: SharedConnection(
                ConnectionDriver(
                    transport, assignment, client,
                    assignment.isBackEnd ? context.settings.ofBackEnd : context.settings,
                    tokens: assignment.isBackEnd ? nil : context.tokens, log: context.log, slot: slot, runner: runner,
                    crashNotice: notice, tie: tie, place: place),
                place: place, slot: slotNumber, commands: context.registry.commands[slotNumber]))
        connections[place] = connection
        count += 1
        if isTerminating { connection.pointee.lastReads = SharedConnection.LastReads(command: .end) }
        // As a rule what the client sent at once is there by now, so the first wait is saved.
        turn(connection, isReadable: true)
        // The parent may have said something before this process had the connection.
        if let connection = connections[place] { isTerminating ? enqueue(connection) : obey(connection) }
    }

    func takePlace() -> Int {
        if let place = freePlaces.popLast() { return Int(place) }
        connections.append(nil)
        return connections.count - 1
    }

    /// The connection is over: nothing of it is left in the process, and its slot is the parent's.
    func end(_ connection: ConnectionPointer) {
        let (place, slot) = (connection.pointee.place, connection.pointee.slot)
        connection.pointee.driver.close()
        if connection.pointee.driver.hasFailedHandshake {
            context.registry.slot(slot).hasFailedHandshake = true
        }
        connection.pointee.driver.crashNotice?.release()
        timers.remove(place)
        connections[place] = nil
        count -= 1
        // A handler that has not returned may still crash, which shall be no other connection's fault.
        if connection.pointee.driver.hasLeftNothing {
            freePlaces.append(Int32(place))
        } else if threads.lostThreads > 0 {
            context.board.isLeaving = true
        }
        connection.deinitialize(count: 1)
        connection.deallocate()
        context.registry.markCompleted(slot)
    }
}
