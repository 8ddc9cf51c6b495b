/// What processes and the router say to one another is read from any bytes; a router that is told anything keeps its books; and
/// what a back-end says is a command or an error.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTopics(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    switch script.byte() % 4 {
    case 0: readRecords(RouterCommand.self, script.rest())
    case 1: readRecords(RouterDelivery.self, script.rest())
    case 2: readCommand(script.rest())
    default:
        var run = RouterRun()
        while !script.isOver { run.step(&script) }
        run.end()
    }
    return 0
}

/// Any chopping gives the same records, or a fault behind the same ones; and a record that is said again is the same.
private func readRecords<Record: RouterRecord>(_: Record.Type, _ bytes: [UInt8]) {
    func read(_ size: Int) -> (records: [Record], hasFault: Bool) {
        var reader = RecordReader<Record>(most: 2000)
        var records: [Record] = []
        var rest = bytes[...]
        do throws(RecordFault) {
            while !rest.isEmpty {
                reader.append(rest.prefix(size))
                rest = rest.dropFirst(size)
                while let record = try reader.next() { records.append(record) }
            }
        } catch {
            return (records, true)
        }
        return (records, false)
    }

    let whole = read(max(1, bytes.count))
    let chopped = read(1)
    require(whole.records == chopped.records && whole.hasFault == chopped.hasFault, "chopping gives other records")
    for record in whole.records {
        var reader = RecordReader<Record>(most: .max)
        reader.append(record.encoded())
        let again = try? reader.next()
        require(again == record && reader.count == 0, "it is another record when it is said again: \(record)")
    }
}

/// A command that is said again is the same.
private func readCommand(_ bytes: [UInt8]) {
    guard let command = try? PushCommand(bytes[...]) else { return }
    // Less than a millisecond cannot be said.
    if case .request = command { return }
    let again = try? PushCommand(command.bytes[...])
    require(again == command, "it is another command when it is said again: \(command)")
}

/// A router under a script of commands, ends and writes.
private struct RouterRun: ~Copyable {
    private var router = TopicRouter(RouterLimits(maxMessage: 300, queueBytes: 600, queueRecords: 5, totalBytes: 4000))
    private var ties: [TieNumber] = []
    private var scratch: [UInt8] = []
    private var now = Instant(sinceStart: .seconds(1))
    private var call: UInt64 = 0

    mutating func step(_ script: inout Script) {
        switch script.byte() % 16 {
        case 0:
            if ties.count < 6 { ties.append(router.open()) }
        case 1:
            guard !ties.isEmpty else { return }
            router.close(ties.remove(at: Int(script.byte()) % ties.count))
        case 2: router.runSlice()
        case 3:
            now = now + .milliseconds(Int(script.byte()) * 100)
            router.settleOverdue(at: now)
        case 4, 5:
            guard let tie = tie(&script) else { return }
            let bytes = router.unsent(to: tie, &scratch)
            router.wrote(min(bytes.count, Int(script.byte()) * 4), to: tie)
        default:
            guard let tie = tie(&script) else { return }
            call += 1
            do throws(RecordFault) {
                try router.obey(command(&script), from: tie, at: now)
            } catch {
                ties.removeAll { $0 == tie }
                router.close(tie)
            }
        }
        for tie in router.takeBroken() {
            ties.removeAll { $0 == tie }
            router.close(tie)
        }
        require(router.counts.queuedBytes < 1 << 20, "\(router.counts.queuedBytes) bytes wait")
    }

    private func tie(_ script: inout Script) -> TieNumber? {
        ties.isEmpty ? nil : ties[Int(script.byte()) % ties.count]
    }

    private func command(_ script: inout Script) -> RouterCommand {
        let kind = script.byte()
        let connection = UInt64(script.byte() % 12)
        let topic = TopicName(checked: [0x61 + script.byte() % 3])
        let recipient: Recipient =
            switch kind / 64 {
            case 0: .connection(connection)
            case 1: .name("n\(connection % 2)")
            case 2: .token("t\(connection % 2)")
            default: .all
            }
        let wanted = script.byte() % 3 == 0 ? 0 : call
        let bytes = Array(repeating: UInt8(0x62), count: Int(script.byte()))[...]
        return switch kind % 16 {
        case 0, 1, 2:
            .register(
                Member(
                    connection: connection, name: connection % 3 == 0 ? nil : "n\(connection % 2)",
                    tokenName: connection % 4 == 0 ? nil : "t\(connection % 2)", peer: "p"))
        case 3: .unregister(connection)
        case 4, 5, 6: .subscribe(call: wanted, connection: connection, topic)
        case 7: .unsubscribe(call: wanted, connection: connection, topic)
        case 8: .publish(call: wanted, from: connection, topic, includesSelf: connection % 2 == 0, bytes)
        case 9: .send(call: wanted, from: connection, recipient, bytes)
        case 10: .request(call: call, recipient, timeout: UInt32(bytes.count), bytes)
        case 11: .answered(ask: UInt64(script.byte()), .answer(bytes))
        case 12: .giveUp(call: UInt64(script.byte()))
        case 13: .enroll(call: wanted, recipient, topic, isOn: connection % 2 == 0)
        case 14: .disconnect(call: wanted, recipient, "bye")
        default: .members(call: call, connection % 2 == 0 ? nil : topic)
        }
    }

    /// Nothing is left when all processes have gone.
    mutating func end() {
        for tie in ties { router.close(tie) }
        var slices = 0
        while router.hasJobs {
            require(slices < 10_000, "the jobs do not end")
            slices += 1
            router.runSlice()
        }
        let counts = router.counts
        require(
            counts.ties == 0 && counts.connections == 0 && counts.topics == 0 && counts.subscriptions == 0
                && counts.queuedBytes == 0, "something is left: \(counts)")
    }
}
