import Basics
import Posix

/// A proxy's connection in a shared process, until its client is let in.
struct SharedReception: ~Copyable {
    var reception: ProxyReception
    let socket: Descriptor
    let assignment: ConnectionAssignment
    let commands: ChildCommands.Inbox
    /// What epoll(7) waits for on its behalf; nil where it waits for nothing.
    var interest: TransportInterest?
    /// The parent's command that was carried out.
    var obeyed: ChildCommands.ChildCommand?
}

extension SharedProcess {
    typealias ReceptionPointer = UnsafeMutablePointer<SharedReception>

    /// Takes a connection in that begins with a proxy's header.
    func receive(_ socket: consuming Descriptor, _ assignment: ConnectionAssignment) {
        let place = takePlace()
        let slot = Int(assignment.slot)
        let pointer = ReceptionPointer.allocate(capacity: 1)
        pointer.initialize(
            to: SharedReception(
                reception: ProxyReception(assignment, context.registry, slot: slot, log: context.log),
                socket: socket, assignment: assignment, commands: context.registry.commands[slot]))
        receptions[place] = pointer
        count += 1
        go(on: place, pointer, pointer.pointee.reception.read(pointer.pointee.socket, into: &buffer))
        guard receptions[place] == pointer else { return }
        if isTerminating {
            go(on: place, pointer, pointer.pointee.reception.end(pointer.pointee.socket, nil, hurries: false))
        } else {
            readInbox(of: place, pointer)
        }
    }

    /// Bytes have come on a connection in a place that has no client yet, or its time is over.
    func turn(ofReceptionIn place: Int, isReadable: Bool) {
        guard let pointer = receptions[place] else { return }
        if isReadable { go(on: place, pointer, pointer.pointee.reception.read(pointer.pointee.socket, into: &buffer)) }
        guard receptions[place] == pointer else { return }
        go(on: place, pointer, pointer.pointee.reception.resumed(pointer.pointee.socket, at: .now))
    }

    /// Ends all connections that have no client yet.
    func endReceptions(hurries: Bool) {
        for (place, pointer) in receptions {
            go(on: place, pointer, pointer.pointee.reception.end(pointer.pointee.socket, nil, hurries: hurries))
        }
    }

    /// The parent may have judged clients, or said something of their connections.
    func readInboxesOfReceptions() {
        for (place, pointer) in receptions { readInbox(of: place, pointer) }
    }

    private func readInbox(of place: Int, _ pointer: ReceptionPointer) {
        if let command = pointer.pointee.commands.command, command != pointer.pointee.obeyed {
            pointer.pointee.obeyed = command
            go(on: place, pointer, pointer.pointee.reception.end(pointer.pointee.socket, command, hurries: false))
        } else {
            go(on: place, pointer, pointer.pointee.reception.lookForVerdict(pointer.pointee.socket))
        }
    }

    private func go(on place: Int, _ pointer: ReceptionPointer, _ progress: ProxyReception.Step) {
        switch progress {
        case .waits: wait(place, pointer)
        case .serves(let client):
            timers.remove(place)
            if pointer.pointee.interest != nil { poll.remove(pointer.pointee.socket.number) }
            receptions[place] = nil
            count -= 1
            let done = pointer.move()
            pointer.deallocate()
            serve(done.socket, done.assignment.identified(as: client.peer), client, in: place)
        case .over:
            let slot = Int(pointer.pointee.assignment.slot)
            timers.remove(place)
            receptions[place] = nil
            count -= 1
            freePlaces.append(Int32(place))
            pointer.deinitialize(count: 1)
            pointer.deallocate()
            context.registry.markCompleted(slot)
        }
    }

    private func wait(_ place: Int, _ pointer: ReceptionPointer) {
        timers.set(place, at: pointer.pointee.reception.deadline)
        let wanted =
            pointer.pointee.reception.waitsForBytes ? TransportInterest(reading: true, writing: false) : nil
        guard wanted != pointer.pointee.interest else { return }
        pointer.pointee.interest = wanted
        guard wanted != nil else { return poll.remove(pointer.pointee.socket.number) }
        do throws(SystemError) {
            try poll.add(pointer.pointee.socket.number, key: UInt64(place), reading: true, writing: false)
        } catch {
            pointer.pointee.interest = nil
            go(on: place, pointer, pointer.pointee.reception.broke("\(error)"))
        }
    }
}
