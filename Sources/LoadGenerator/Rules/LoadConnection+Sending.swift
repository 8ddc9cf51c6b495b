import Framing

extension LoadConnection {
    /// A request has become due.
    mutating func becomesDue() { waiting += 1 }

    /// `count` bytes are with the kernel, and more wait or not.
    mutating func sent(_ count: Int, waits: Bool, at now: Nanoseconds) {
        if count > 0 {
            isSent = true
            if phase == .connecting { phase = .greeting }
            spokeAt = now
        }
        if !waits {
            stuckSince = .never
        } else if count > 0 || stuckSince == .never {
            stuckSince = now
        }
    }

    /// Puts what is to be sent now into `buffer`.
    mutating func fill(
        _ buffer: inout SendBuffer, _ load: inout Load, _ script: borrowing LoadProfile, _ tally: inout LoadCounters,
        at now: Nanoseconds
    ) {
        switch phase {
        case .open: break
        case .connecting, .greeting:
            // Where the kernel has made the connection already, the first write tells.
            if !isGreeted {
                buffer.add(script.greeting)
                isGreeted = true
                if script.options.isShort { begin(&buffer, script, due: due, at: now) }
            }
            while offset > 0, offset < 16384, !buffer.isFull { addChunk(&buffer, script) }
            return
        case .closing:
            guard let code = owesClose else { return }
            owesClose = nil
            buffer.add(Close(code).frame)
            return
        case .away, .over: return
        }
        if load.isSilenced, !isSilent {
            isSilent = true
            pong = nil
            owesPing = script.options.saysLastPing
        }
        if let nonce = pong {
            pong = nil
            buffer.add(header: UInt16(FrameType.pong.rawValue) << 8, length: 20)
            buffer.add(nonce)
            buffer.add(0)
            buffer.add([0, 0, 0, 0])
        }
        if owesPing {
            owesPing = false
            pings += 1
            buffer.add(header: UInt16(FrameType.ping.rawValue) << 8, length: 8)
            buffer.add(pings)
        }
        while !buffer.isFull {
            if offset > 0 {
                addChunk(&buffer, script)
                continue
            }
            guard inFlight < window, load.isOn, load.budget > 0, isLeaving == nil else { break }
            if load.isOpenLoop {
                guard waiting > 0 else { break }
                waiting -= 1
                begin(&buffer, script, due: load.instant(of: arrival), at: now)
                arrival += UInt64(script.options.connections)
            } else {
                begin(&buffer, script, due: now, at: now)
            }
            load.budget -= 1
        }
        leaveIfDone(&tally, at: now)
        if let code = owesClose {
            owesClose = nil
            buffer.add(Close(code).frame)
        }
    }

    @inline(__always)
    mutating func begin(
        _ buffer: inout SendBuffer, _ script: borrowing LoadProfile, due: Nanoseconds, at now: Nanoseconds
    ) {
        // Ids have to rise, and may leave some out (3.6-1): one whose slot has an old request in it is left out.
        repeat { lastID &+= 1 } while slots[Int(lastID & script.mask)].id != 0
        slots[Int(lastID & script.mask)] = Slot(id: lastID, due: due, sent: now)
        inFlight += 1
        let size = script.payload.count
        if size <= maxFrame {
            buffer.add(header: UInt16(FrameType.request.rawValue) << 8, id: lastID, length: size)
            buffer.add(script.payload)
        } else {
            addChunk(&buffer, script)
        }
    }

    /// The next chunk of the last request.
    mutating func addChunk(_ buffer: inout SendBuffer, _ script: borrowing LoadProfile) {
        let size = script.payload.count
        let length = min(maxFrame, size - offset)
        let isLast = offset + length == size
        let type = UInt16(FrameType.request.rawValue) << 8 | UInt16(isLast ? 0 : FrameFlags.more.rawValue)
        buffer.add(header: type, id: lastID, length: length)
        buffer.add(UnsafeRawBufferPointer(rebasing: script.payload[offset..<(offset + length)]))
        offset = isLast ? 0 : offset + length
    }
}
